//! What was captured: the relay can neither bring a code of its own, nor an old one, nor another's.
//!
//! What the agent makes of a capturer that errs stands in `crates/agent/tests/agent/capturer.rs`.

use agent_otp_domain::{Channel, Code, Digest, Event, Recorded, RequestKey, SealedCode};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{Ask, Reply, Sealed};
use agent_otp_seal::{Context, RecipientKey, seal};
use agent_otp_trust::{Capture, Evidence, SenderCheck, VerifiedRequest};

use crate::forgery::{Forgery, statement_of};
use crate::stage::{DESK, SHOPPER, Stage, actor, asking, heading, key};

const ANOTHER: &str = "the relay serves another ciphertext than the one that was captured";

#[tokio::test]
async fn a_code_that_no_capturer_captured_is_not_taken() {
    let stage = Box::pin(Stage::start()).await;
    for forgery in Forgery::SIGNED {
        let pending = stage.ask().await;
        let key = pending.key().clone();
        stage.approve(&key).await;
        // All that it takes to seal is public, but for the signature.
        let request = stage.seen(&key).await;
        let sealed = sealed(&request, "666666");
        let genuine = self::key(DESK).sign(&capture(&request, &sealed));
        let statement = forgery.of::<Capture>(&genuine, |_| {});
        stage.double.store.keep(&key, &sealed).await;
        let event = Event::Captured { statement, sealed: Digest::of(&[sealed.as_bytes()]) };
        stage.double.store.append(&request.request.heading, actor(DESK), event).await;
        stage.is_found_out(pending, forgery.told()).await;
        stage.alarm(DESK, Some(&key), forgery.told()).await;
        stage.is_doubted(&key, forgery.told()).await;
    }
}

#[tokio::test]
async fn another_ciphertext_than_the_one_that_was_captured_is_not_opened() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.captured("482913").await;
    let own = Sealed(sealed(&stage.seen(pending.key()).await, "666666"));
    stage.double.lie(move |_, reply| match reply {
        Reply::Code { .. } => Reply::Code { sealed: own.clone() },
        reply => reply,
    });
    stage.is_found_out(pending, ANOTHER).await;
}

#[tokio::test]
async fn a_capture_whose_event_names_another_ciphertext_is_not_believed() {
    let stage = Box::pin(Stage::start()).await;
    stage.double.write(|recorded| {
        if let Event::Captured { sealed, .. } = &mut recorded.event {
            *sealed = Digest::of(&[b"another"]);
        }
    });
    let pending = stage.captured("482913").await;
    let key = pending.key().clone();
    stage.is_found_out(pending, "the event says another thing than its statement").await;
    stage.is_doubted(&key, "the event says another thing than its statement").await;
}

#[tokio::test]
async fn an_old_capture_is_not_taken_for_a_new_one() {
    let stage = Box::pin(Stage::start()).await;
    let old = captured_event(&stage, stage.captured("482913").await.key()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    stage.approve(&key).await;
    stage.double.store.append(&stage.seen(&key).await.request.heading, actor(DESK), old.event).await;
    let says = "the statement does not belong to what was approved";
    stage.is_found_out(pending, says).await;
    stage.alarm(DESK, Some(&key), says).await;
    stage.is_doubted(&key, says).await;
}

#[tokio::test]
async fn the_ciphertexts_of_two_requests_cannot_be_swapped() {
    let stage = Box::pin(Stage::start()).await;
    let (one, other) = (stage.captured("482913").await, stage.captured("550192").await);
    let of = async |key: &RequestKey| stage.double.store.sealed(key).await.unwrap();
    let (of_one, of_other) = (of(one.key()).await, of(other.key()).await);
    let is_one = Digest::of(&[of_one.as_bytes()]);
    stage.double.lie(move |ask, reply| match (ask, reply) {
        (Ask::Consume { .. }, Reply::Code { sealed }) => {
            let swapped = if Digest::of(&[sealed.0.as_bytes()]) == is_one { &of_other } else { &of_one };
            Reply::Code { sealed: Sealed(swapped.clone()) }
        }
        (_, reply) => reply,
    });
    stage.is_found_out(one, ANOTHER).await;
    stage.is_found_out(other, ANOTHER).await;
}

#[tokio::test]
async fn a_ciphertext_that_is_swapped_with_its_capture_is_not_believed() {
    let stage = Box::pin(Stage::start()).await;
    let other = stage.captured("550192").await;
    let foreign = captured_event(&stage, other.key()).await;
    stage.double.write(move |recorded| {
        if let Event::Captured { .. } = recorded.event {
            recorded.event = foreign.event.clone();
        }
    });
    let pending = stage.captured("482913").await;
    stage.is_found_out(pending, "the statement does not belong to what was approved").await;
    assert_eq!(stage.alarms(SHOPPER).len(), 1);
}

async fn captured_event(stage: &Stage, key: &RequestKey) -> Recorded {
    let mut captured = stage.events(key).await.pop().unwrap();
    assert!(statement_of(&mut captured.event).payload_type.contains("capture"));
    captured
}

fn sealed(request: &VerifiedRequest, code: &str) -> SealedCode {
    let recipient = &request.request.recipient;
    let recipient = RecipientKey::new(recipient.suite, &recipient.public_key).unwrap();
    let (decision, _, capturers) = request.approval().unwrap();
    let context = Context { request: request.digest, decision, capturer: capturers[0].clone() };
    seal(&Code::new(code).unwrap(), asking().filter.wanted, &recipient, &context).unwrap()
}

fn capture(request: &VerifiedRequest, sealed: &SealedCode) -> Capture {
    Capture {
        heading: heading(&request.key, DESK, request.request.heading.roster),
        request: request.digest,
        decision: request.approval().unwrap().0,
        sealed: Digest::of(&[sealed.as_bytes()]),
        evidence: Evidence {
            channel: Channel::Email,
            source: "smtp".to_owned(),
            sender: SenderCheck::Unverified,
            received_at: clock::now(),
            purpose: None,
        },
    }
}
