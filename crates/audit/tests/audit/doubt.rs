//! What is not believed is kept, marked, and shown; nothing that a relay stores makes the trail stop.

use std::time::Duration;

use agent_otp_audit::Filter;
use agent_otp_domain::{Event, Recorded, Version, codec};
use agent_otp_trust::{Request, Revocation};
use serde_json::json;

use crate::stage::{AGENT, OWNER, Stage, at, first_roster, key, life, life_by, reference, subject_of};

#[tokio::test]
async fn an_event_with_a_wrong_signature_is_kept_and_marked() {
    let stage = Stage::set().await;
    let mut events = life(7);
    if let Event::Approved { statement, .. } = &mut events[1].event {
        statement.signature[0] ^= 1;
    }
    stage.append(events).await;
    stage.projector().await.catch_up().await.unwrap();
    let reasons = verifications(&stage).await;
    assert_eq!(
        reasons,
        [
            "verified",
            "the signature is wrong",
            "the history is not whole at version 3",
            "the history is not whole at version 4",
        ]
    );
    let mut trail = stage.trail().await;
    assert_eq!(stage.alarms().await[0], (2, "the signature is wrong".to_owned()));
    assert_eq!(
        trail.requests(&Filter::default(), 1).await.unwrap()[0].verification,
        "the signature is wrong"
    );
}

#[tokio::test]
async fn nonsense_is_kept_and_stops_nothing() {
    let stage = Stage::set().await;
    let events = life(7);
    let key = events[0].key();
    let elsewhere = life(8)[0].key();
    stage.append(events.iter().take(1).cloned()).await;
    stage.store(subject_of(&elsewhere, "requested"), b"no event".to_vec()).await;
    stage.store(subject_of(&elsewhere, "approved"), codec::encode(&events[0])).await;
    let immense = Recorded { version: Version(u64::MAX), event: Event::Expired, ..events[0].clone() };
    stage.store(subject_of(&key, "expired"), codec::encode(&immense)).await;
    stage.store(subject_of(&key, "approved"), codec::encode(&events[1])).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 5);
    assert_eq!(
        verifications(&stage).await,
        [
            "verified",
            "the event cannot be read",
            "the event stands under another subject than it names",
            "the history is not whole at version 18446744073709551615",
            "verified",
        ]
    );
    let requests = stage.trail().await.requests(&Filter::default(), 10).await.unwrap();
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn an_event_whose_roster_comes_late_is_believed_then() {
    let stage = Stage::set().await;
    let first = key(OWNER).sign_roster(&first_roster());
    let second = first_roster().renewed(first.digest(), at(60));
    let signed = key(OWNER).sign_roster(&second);
    stage.append(life_by(7, reference(&signed, 2))).await;
    let mut projector = stage.projector().await;
    projector.catch_up().await.unwrap();
    assert_eq!(verifications(&stage).await[0], "roster 2 is not known");
    stage.enrol(&second).await;
    projector.catch_up().await.unwrap();
    assert_eq!(verifications(&stage).await, ["verified"; 4]);
}

#[tokio::test]
async fn a_trail_without_a_roster_holds_everything_in_doubt_until_it_has_one() {
    let stage = Stage::bare().await;
    stage.append(life(7)).await;
    stage.projector().await.catch_up().await.unwrap();
    assert!(verifications(&stage).await[0].ends_with("is in no roster of this owner"));
    stage.enrol(&first_roster()).await;
    stage.projector().await.catch_up().await.unwrap();
    assert_eq!(verifications(&stage).await, ["verified"; 4]);
}

#[tokio::test]
async fn a_relay_that_keeps_a_roster_back_does_not_stop_the_trail() {
    let mut stage = Stage::set().await;
    stage.silence().await;
    stage.append(life(7)).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 4);
    assert_eq!(stage.trail().await.alarms().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_revocation_takes_belief_back_from_what_was_signed_since_whatever_the_relay_dates_it() {
    let stage = Stage::set().await;
    let long_ago = at(0).before(Duration::from_hours(24));
    stage.append(life(7).into_iter().map(|recorded| Recorded { time: long_ago, ..recorded })).await;
    let mut projector = stage.projector().await;
    projector.catch_up().await.unwrap();
    assert_eq!(verifications(&stage).await, ["verified"; 4]);
    let first = key(OWNER).sign_roster(&first_roster());
    let mut second = first_roster().renewed(first.digest(), at(60));
    second.revoked.push(Revocation { key: key(AGENT).id(), at: at(30) });
    stage.enrol(&second).await;
    projector.catch_up().await.unwrap();
    let revoked = format!("the key {} was revoked at 2026-01-31T12:00:30.000Z", key(AGENT).id());
    assert_eq!(verifications(&stage).await, ["verified", "verified", "verified", &revoked]);
}

#[tokio::test]
async fn a_sender_that_would_act_on_the_readers_screen_is_kept_as_it_can_be_shown() {
    let stage = Stage::set().await;
    let mut requested = life(7).remove(0);
    let Event::Requested { statement, .. } = &mut requested.event else { panic!() };
    let mut request: Request = codec::decode(&statement.payload).unwrap();
    request.filter.sender = "\u{202e}emca@acme.example".parse().unwrap();
    *statement = key(AGENT).sign(&request);
    stage.append([requested]).await;
    stage.projector().await.catch_up().await.unwrap();
    let requests = stage.trail().await.requests(&Filter::default(), 1).await.unwrap();
    assert_eq!(requests[0].sender.as_deref(), Some("<U+202E>emca@acme.example"));
    assert_eq!(requests[0].verification, "verified");
}

#[tokio::test]
async fn a_statement_whose_type_would_act_on_the_readers_screen_is_marked_as_it_can_be_shown() {
    let stage = Stage::set().await;
    let mut requested = life(7).remove(0);
    let Event::Requested { statement, .. } = &mut requested.event else { panic!() };
    statement.payload_type = format!("\r\u{1b}[2K     1  verified\n{}", "x".repeat(7_000));
    stage.append([requested]).await;
    stage.projector().await.catch_up().await.unwrap();
    let verification = verifications(&stage).await.remove(0);
    let told = "a statement of type <U+000D><U+001B>[2K 1 verified<U+000A>xxx";
    assert!(verification.starts_with(told), "{verification}");
    assert_eq!(verification.chars().count(), 300);
}

#[tokio::test]
async fn rosters_that_were_seen_are_not_asked_for_again() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.projector().await.catch_up().await.unwrap();
    stage.api("STREAM.DELETE.OTP_ROSTER", json!({})).await;
    let mut projector = stage.projector().await;
    stage.append(life(8)).await;
    projector.catch_up().await.unwrap();
    assert_eq!(verifications(&stage).await, ["verified"; 8]);
}

async fn verifications(stage: &Stage) -> Vec<String> {
    let entries = stage.trail().await.events(&Filter::default(), 0, 100).await.unwrap();
    entries.into_iter().map(|entry| entry.verification).collect()
}
