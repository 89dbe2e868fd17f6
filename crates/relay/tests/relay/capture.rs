//! Vault first, then event: what is refused leaves nothing behind.

use std::time::Duration;

use agent_otp_domain::{Channel, EventType, SealedCode};
use agent_otp_jetstream::Who;
use agent_otp_jetstream::message::{Ask, RefusalCode, Sealed};
use agent_otp_trust::{Capture, Evidence, Verdict};
use async_nats::jetstream;

use crate::consume::consumed_by_a_relay_that_died;
use crate::home::{HOME, Home, PHONE, SHED, STRANGER, key, phase, refusal};
use crate::said::{Said, sign};
use crate::world::eventually;

#[tokio::test]
async fn a_capture_that_is_refused_leaves_nothing_in_the_vault() {
    let home = Home::start().await;
    let said = home.said();
    let ask = |seed, capture: Capture| Ask::Capture {
        statement: sign(seed, &capture),
        sealed: Sealed(said.sealed.clone()),
    };
    assert_eq!(refusal(home.capturer.call(&said.capture()).await), RefusalCode::Unknown);
    home.bring(&said, EventType::Requested).await;
    assert_eq!(refusal(home.capturer.call(&said.capture()).await), RefusalCode::OutOfTurn);
    home.phone.call(&said.approve()).await.unwrap();

    let by = |seed| Capture { heading: said.heading(seed), ..said.a_capture() };
    assert_eq!(refusal(home.shed.call(&ask(SHED, by(SHED))).await), RefusalCode::NotAppointed);
    assert_eq!(refusal(home.capturer.call(&ask(STRANGER, by(STRANGER))).await), RefusalCode::Untrusted);
    assert_eq!(refusal(home.capturer.call(&ask(PHONE, by(PHONE))).await), RefusalCode::Untrusted);
    let other = Capture { decision: said.denial.digest(), ..said.a_capture() };
    assert_eq!(refusal(home.capturer.call(&ask(HOME, other)).await), RefusalCode::Mismatch);
    let other = Capture { request: said.denial.digest(), ..said.a_capture() };
    assert_eq!(refusal(home.capturer.call(&ask(HOME, other)).await), RefusalCode::Mismatch);
    let swapped =
        Ask::Capture { statement: said.capture.clone(), sealed: Sealed(SealedCode::new(vec![0; 304])) };
    assert_eq!(refusal(home.capturer.call(&swapped).await), RefusalCode::Mismatch);
    let large = Said { sealed: SealedCode::new(vec![0; 2_097]), ..said.clone() };
    let large = Ask::Capture { statement: sign(HOME, &large.a_capture()), sealed: Sealed(large.sealed) };
    assert_eq!(refusal(home.capturer.call(&large).await), RefusalCode::Mismatch);

    home.phone.call(&said.deny()).await.unwrap();
    assert_eq!(refusal(home.capturer.call(&said.capture()).await), RefusalCode::OutOfTurn);
    assert_eq!(sealed_codes(&home).await, 0);
    assert_eq!(home.history(&said.key).await, [EventType::Requested, EventType::Approved, EventType::Denied]);
}

#[tokio::test]
async fn what_a_relay_put_before_it_died_is_erased_when_it_is_offered_after_the_end() {
    let home = Home::start().await;
    let (late, kept) = (home.said(), home.said());
    home.bring(&late, EventType::Approved).await;
    home.bring(&kept, EventType::Captured).await;
    for said in [&late, &kept] {
        home.phone.call(&said.deny()).await.unwrap();
        home.until_erased(said).await;
        // The follower has been there: whoever puts now leaves it for as long as its TTL.
        home.vault().put(&said.key, &said.digest(), &said.sealed, Duration::from_hours(1)).await.unwrap();
    }
    assert_eq!(refusal(home.capturer.call(&late.capture()).await), RefusalCode::OutOfTurn);
    assert_eq!(phase(&home.capturer.call(&kept.capture()).await.unwrap()), "denied");
    assert_eq!(sealed_codes(&home).await, 0);
}

#[tokio::test]
async fn what_is_offered_again_right_after_it_was_consumed_stays_for_its_agent() {
    let home = Home::start().await;
    let said = home.said();
    consumed_by_a_relay_that_died(&home, &said).await;
    assert_eq!(phase(&home.capturer.call(&said.capture()).await.unwrap()), "consumed");
    home.shopper.call(&said.consume()).await.unwrap();
}

#[tokio::test]
async fn evidence_that_the_request_does_not_admit_is_refused() {
    let home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Approved).await;
    let evidence = said.a_capture().evidence;
    let table = [
        Evidence { channel: Channel::Sms, ..evidence.clone() },
        Evidence { received_at: said.made_at.before(Duration::from_secs(61)), ..evidence.clone() },
        Evidence { received_at: said.expires_at, ..evidence },
    ];
    for evidence in table {
        let statement = sign(HOME, &Capture { evidence: evidence.clone(), ..said.a_capture() });
        let ask = Ask::Capture { statement, sealed: Sealed(said.sealed.clone()) };
        assert_eq!(refusal(home.capturer.call(&ask).await), RefusalCode::Malformed, "{evidence:?}");
    }
    assert_eq!((sealed_codes(&home).await, home.event_count().await), (0, 2));
}

#[tokio::test]
async fn a_second_code_replaces_nothing() {
    let home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Captured).await;
    let mut newer = Said { sealed: SealedCode::new(vec![7; 304]), ..said.clone() };
    newer.capture = sign(HOME, &newer.a_capture());
    assert_eq!(refusal(home.capturer.call(&newer.capture()).await), RefusalCode::OutOfTurn);
    assert_eq!(sealed_codes(&home).await, 1);
    assert_eq!(home.vault().read(&said.key, &said.digest()).await.unwrap(), Some(said.sealed));
}

#[tokio::test]
async fn a_statement_is_brought_by_who_signed_it_or_the_log_would_name_another_actor() {
    let home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Approved).await;
    assert_eq!(refusal(home.shed.call(&said.capture()).await), RefusalCode::Forbidden);
    assert_eq!((sealed_codes(&home).await, home.event_count().await), (0, 2));
    home.capturer.call(&said.capture()).await.unwrap();
    assert_eq!(home.history(&said.key).await.last(), Some(&EventType::Captured));
}

#[tokio::test]
async fn an_approval_that_has_lapsed_admits_no_capture() {
    let home = Home::start().await;
    let mut said = home.said();
    let soon = said.made_at.after(Duration::from_secs(1));
    said.approval = sign(PHONE, &agent_otp_trust::Decision { expires_at: soon, ..said.an_approval() });
    said.capture = sign(HOME, &said.a_capture());
    home.bring(&said, EventType::Approved).await;
    eventually(async || (agent_otp_jetstream::clock::now() > soon).then_some(())).await;
    assert_eq!(refusal(home.capturer.call(&said.capture()).await), RefusalCode::Mismatch);
    assert_eq!(sealed_codes(&home).await, 0);
}

#[tokio::test]
async fn each_of_several_capturers_may_act_and_one_does() {
    let home = Home::start().await;
    let mut said = home.said();
    let verdict = Verdict::Approve { capturers: vec![key(HOME).id(), key(SHED).id()], narrowing: None };
    said.approval = sign(PHONE, &agent_otp_trust::Decision { verdict, ..said.an_approval() });
    said.capture = sign(SHED, &Capture { heading: said.heading(SHED), ..said.a_capture() });
    home.bring(&Said { ..said.clone() }, EventType::Requested).await;
    home.phone.call(&said.approve()).await.unwrap();
    assert_eq!(phase(&home.shed.call(&said.capture()).await.unwrap()), "captured");
    let late = sign(HOME, &said.a_capture());
    let late = Ask::Capture { statement: late, sealed: Sealed(said.sealed.clone()) };
    assert_eq!(refusal(home.capturer.call(&late).await), RefusalCode::OutOfTurn);
    home.shopper.call(&said.consume()).await.unwrap();
}

/// How many sealed codes the vault holds, of all requests.
async fn sealed_codes(home: &Home) -> u64 {
    let connection = home.world.connect(&Who::Operator("provision")).await;
    let vault = jetstream::new(connection.client().clone()).get_stream("KV_otp_vault").await.unwrap();
    vault.cached_info().state.messages
}
