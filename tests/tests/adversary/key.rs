//! The key that a code is sealed to, and its suite: the relay can neither swap them nor do anything with what they lock.

use agent_otp_domain::{EventType, RequestKey};
use agent_otp_jetstream::message::Ask;
use agent_otp_jetstream::{Verifier, clock};
use agent_otp_seal::{AgentSecret, Context, OpenError, open};
use agent_otp_trust::{Recipient, Request};
use agent_otp_user::Notices;

use crate::forgery::{Forgery, statement_of};
use crate::stage::{DESK, SHOPPER, Stage, asking, heading, key, name, owner, owner_key};
use crate::world::eventually;

#[tokio::test]
async fn a_request_whose_key_was_swapped_is_believed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    for forgery in Forgery::ALL {
        let stolen = AgentSecret::generate().public_key().to_vec();
        stage.double.write(move |recorded| {
            let statement = statement_of(&mut recorded.event);
            *statement =
                forgery.of::<Request>(statement, |request| request.recipient.public_key = stolen.clone());
        });
        nobody_believes(&stage, forgery.told()).await;
    }
}

#[tokio::test]
async fn a_request_whose_suite_was_changed_is_believed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    for suite in [0, 2] {
        stage.double.write(move |recorded| {
            let statement = statement_of(&mut recorded.event);
            *statement = Forgery::Kept.of::<Request>(statement, |request| request.recipient.suite = suite);
        });
        nobody_believes(&stage, "the signature is wrong").await;
    }
}

#[tokio::test]
async fn nothing_is_sealed_to_a_key_or_a_suite_that_locks_nothing() {
    let stage = Box::pin(Stage::start()).await;
    let good = AgentSecret::generate().public_key().to_vec();
    for recipient in [
        Recipient { suite: 0, public_key: good.clone() },
        Recipient { suite: 2, public_key: good },
        Recipient { suite: 1, public_key: vec![0; 32] },
        Recipient { suite: 1, public_key: Vec::new() },
    ] {
        let key = ask_by_hand(&stage, recipient).await;
        stage.approve(&key).await;
        stage.is_not_captured(&key).await;
        let notice = eventually(async || {
            let notices = Notices::open(stage.world.files().join("notices.json"));
            notices.about(key.request).map(|notice| notice.text.clone())
        })
        .await;
        assert!(notice.contains("the agent's public key cannot be used"), "{notice}");
        // So that its mail fits no further request.
        stage.deny(&key).await;
    }
}

#[tokio::test]
async fn what_the_relay_holds_opens_for_the_agent_alone() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.captured("482913").await;
    let request = stage.seen(pending.key()).await;
    let sealed = stage.double.store.sealed(pending.key()).await.unwrap();
    let (decision, _, capturers) = request.approval().unwrap();
    let context = Context { request: request.digest, decision, capturer: capturers[0].clone() };
    let opened = open(&sealed, asking().filter.wanted, &AgentSecret::generate(), &context);
    assert!(matches!(opened, Err(OpenError::Foreign(_))), "{opened:?}");
}

/// The next request is altered when it is stored, and found out by everybody.
async fn nobody_believes(stage: &Stage, says: &str) {
    let pending = stage.ask().await;
    stage.double.behave();
    let key = pending.key().clone();
    stage.alarm(DESK, Some(&key), says).await;
    stage.is_found_out(pending, says).await;
    stage.is_not_shown(&key, says).await;
    stage.is_doubted(&key, says).await;
    assert_eq!(stage.history(&key).await, [EventType::Requested]);
}

/// Asks with the agent's own key for a code that is to be sealed to this recipient.
async fn ask_by_hand(stage: &Stage, recipient: Recipient) -> RequestKey {
    let bus = stage.bus(SHOPPER).await;
    let verifier = Verifier::new(bus.clone(), owner_key().id(), None);
    let (roster, _) = verifier.current(clock::now()).await.unwrap();
    let key = RequestKey { owner: owner(), agent: name(SHOPPER), request: clock::request_id() };
    let heading = heading(&key, SHOPPER, roster);
    let asked = asking();
    let request = Request {
        reason: asked.reason,
        filter: asked.filter,
        recipient,
        expires_at: heading.made_at.after(asked.ttl.as_duration()),
        heading,
    };
    let statement = self::key(SHOPPER).sign(&request);
    bus.call(&Ask::Request { statement }).await.unwrap();
    key
}
