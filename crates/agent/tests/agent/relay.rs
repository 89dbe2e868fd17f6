//! What the user's side makes of a relay that stores what it should have refused.

use agent_otp_domain::EventType::{Approved, Requested};
use agent_otp_domain::{Actor, CLOCK_SKEW_MAX, Event, Recorded, RequestKey, Timestamp, Version};
use agent_otp_jetstream::{Log, Verifier, Who, clock};
use agent_otp_seal::AgentSecret;
use agent_otp_trust::{Heading, Recipient, Request, VerifiedRequest};

use crate::home::{Home, SHOPPER, asking, key, name, owner, owner_key};
use crate::world::within;

#[tokio::test]
async fn a_request_that_comes_dated_back_is_refused_by_the_capturer_for_good() {
    let home = Box::pin(Home::start()).await;
    // Long enough ago that its window reaches to a mail that came before it.
    let made_at = clock::now().before(CLOCK_SKEW_MAX.saturating_mul(2));
    home.mail("Acme <no-reply@acme.example>", "Your login code is 482913.").await;
    let key = store(&home, made_at).await;
    let notice = home.notice(&key).await;
    assert!(notice.contains("the agent's clock is 2m behind this machine's"), "{notice}");

    let request = verified(&home, &key).await;
    assert_eq!(home.approver.approve(&request).await.unwrap(), Some(Approved));
    home.learnt_of_all().await;
    assert_eq!(home.history(&key).await, [Requested, Approved]);
}

/// Stores a request, as a relay could that does not look at the time.
async fn store(home: &Home, made_at: Timestamp) -> RequestKey {
    let (roster, _) = Verifier::new(home.approver.bus().clone(), owner_key().id(), None)
        .current(clock::now())
        .await
        .unwrap();
    let heading = Heading {
        owner: owner(),
        agent: name(SHOPPER),
        request: clock::request_id(),
        signer: key(SHOPPER).id(),
        roster,
        made_at,
        checkpoint: None,
    };
    let secret = AgentSecret::generate();
    let recipient = Recipient { suite: secret.suite().into(), public_key: secret.public_key().to_vec() };
    let asking = asking();
    let expires_at = made_at.after(asking.ttl.as_duration());
    let request_key = heading.key();
    let request = Request { heading, reason: asking.reason, filter: asking.filter, recipient, expires_at };
    let recorded = Recorded {
        id: clock::event_id(),
        owner: request_key.owner.clone(),
        agent: request_key.agent.clone(),
        request: request_key.request,
        version: Version(1),
        time: clock::now(),
        actor: Actor { role: SHOPPER.0, member: name(SHOPPER) },
        event: Event::Requested { statement: key(SHOPPER).sign(&request), expires_at },
    };
    let log = Log::new(home.world.connect(&Who::Operator("relay")).await);
    let last = log.load(&request_key).await.unwrap().last();
    log.append(last, &recorded).await.unwrap();
    request_key
}

async fn verified(home: &Home, key: &RequestKey) -> VerifiedRequest {
    let verifier = Verifier::new(home.approver.bus().clone(), owner_key().id(), None);
    verifier.current(clock::now()).await.unwrap();
    within(verifier.request(key)).await.unwrap().unwrap()
}
