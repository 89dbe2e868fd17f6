//! What the agent makes of a capturer that errs, and of somebody else who holds the agent's key.

use agent_otp_agent::{Asking, Pending, WaitError};
use agent_otp_domain::{Channel, Code, Digest, EventType, Filter, RequestKey, SealedCode};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{Ask, Sealed};
use agent_otp_seal::{AgentSecret, Context, RecipientKey, seal};
use agent_otp_trust::{Capture, Consume, Evidence, Heading, Nonce, SenderCheck, VerifiedRequest};

use crate::home::{DESK, Home, SHOPPER, asking, key};
use crate::world::within;

#[tokio::test]
async fn a_code_of_another_shape_than_was_asked_for_is_refused() {
    let home = Box::pin(Home::start()).await;
    let pending = six_digits(&home).await;
    let request = home.seen(pending.key()).await;
    let recipient = recipient(&request);
    capture(&home, &request, sealed("48291355", &recipient, &context(&request))).await;
    let error = within(pending.wait()).await.unwrap_err();
    assert!(matches!(error, WaitError::Shape), "{error}");
}

#[tokio::test]
async fn what_a_capturer_by_hand_seals_rightly_opens() {
    let home = Box::pin(Home::start()).await;
    let pending = six_digits(&home).await;
    let request = home.seen(pending.key()).await;
    capture(&home, &request, sealed("482913", &recipient(&request), &context(&request))).await;
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
}

#[tokio::test]
async fn a_code_that_is_sealed_to_another_key_or_for_another_decision_does_not_open() {
    let home = Box::pin(Home::start()).await;
    let other = AgentSecret::generate();
    let elsewhere = |context: Context| Context { decision: Digest::of(&[b"another"]), ..context };
    for case in ["key", "decision"] {
        let pending = six_digits(&home).await;
        let request = home.seen(pending.key()).await;
        let sealed = if case == "key" {
            let other = RecipientKey::new(other.suite().into(), &other.public_key()).unwrap();
            sealed("482913", &other, &context(&request))
        } else {
            sealed("482913", &recipient(&request), &elsewhere(context(&request)))
        };
        capture(&home, &request, sealed).await;
        let error = within(pending.wait()).await.unwrap_err();
        assert!(matches!(error, WaitError::Open(_)), "{case}: {error}");
    }
}

#[tokio::test]
async fn an_agent_whose_code_was_claimed_with_its_own_key_is_told_so() {
    let home = Box::pin(Home::start()).await;
    let pending = six_digits(&home).await;
    let request = home.seen(pending.key()).await;
    capture(&home, &request, sealed("482913", &recipient(&request), &context(&request))).await;
    let captured = home.seen(pending.key()).await.capture.unwrap().0;
    let nonce = Nonce::new(clock::random());
    let consume = Consume {
        heading: Heading {
            signer: key(SHOPPER).id(),
            made_at: clock::now(),
            ..request.request.heading.clone()
        },
        capture: captured,
        claim: nonce.digest(),
    };
    let claim = Ask::Consume { statement: key(SHOPPER).sign(&consume), nonce: *nonce.as_bytes() };
    home.bus(SHOPPER).await.call(&claim).await.unwrap();
    let error = within(pending.wait()).await.unwrap_err();
    assert!(matches!(error, WaitError::ClaimedElsewhere), "{error}");
}

/// Asks for six digits; the user approves.
async fn six_digits(home: &Home) -> Pending {
    let filter = Filter { shape: "digits:6".parse().ok(), ..asking().filter };
    let pending = home.agent.request(Asking { filter, ..asking() }).await.unwrap();
    home.approve(pending.key()).await;
    pending
}

/// Hands in a sealed code, signed with the capturer's key.
async fn capture(home: &Home, request: &VerifiedRequest, sealed: SealedCode) {
    let capture = Capture {
        heading: Heading { signer: key(DESK).id(), made_at: clock::now(), ..request.request.heading.clone() },
        request: request.digest,
        decision: context(request).decision,
        sealed: Digest::of(&[sealed.as_bytes()]),
        evidence: Evidence {
            channel: Channel::Email,
            source: "smtp".to_owned(),
            sender: SenderCheck::Unverified,
            received_at: clock::now(),
            purpose: None,
        },
    };
    let ask = Ask::Capture { statement: key(DESK).sign(&capture), sealed: Sealed(sealed) };
    home.bus(DESK).await.call(&ask).await.unwrap();
    let key: &RequestKey = &request.key;
    home.until(key, EventType::Captured).await;
}

fn sealed(code: &str, recipient: &RecipientKey, context: &Context) -> SealedCode {
    seal(&Code::new(code).unwrap(), asking().filter.wanted, recipient, context).unwrap()
}

fn recipient(request: &VerifiedRequest) -> RecipientKey {
    RecipientKey::new(request.request.recipient.suite, &request.request.recipient.public_key).unwrap()
}

fn context(request: &VerifiedRequest) -> Context {
    let (decision, _, _) = request.approval().unwrap();
    Context { request: request.digest, decision, capturer: key(DESK).id() }
}
