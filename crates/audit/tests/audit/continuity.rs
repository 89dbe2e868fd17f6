//! What an administrator takes out of an append-only log is noticed, kept, told once, and stops nothing.

use agent_otp_audit::{Filter, ProjectError};
use agent_otp_domain::codec;

use crate::stage::{Stage, foreign, life, subject_of};

#[tokio::test]
async fn events_that_are_gone_before_they_were_read_raise_an_alarm() {
    let stage = Stage::set().await;
    stage.append((1..=3).map(foreign)).await;
    stage.keep_at_most(1).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 3);
    assert_eq!(stage.alarms().await, [(2, "events 1 to 2 are missing from the log".to_owned())]);
}

#[tokio::test]
async fn an_event_that_is_gone_after_it_was_read_raises_an_alarm_once_and_the_trail_goes_on() {
    let stage = Stage::set().await;
    stage.append((1..=3).map(foreign)).await;
    let mut projector = stage.projector().await;
    projector.catch_up().await.unwrap();
    // What was read last goes as well: only what comes behind it shows that.
    stage.keep_at_most(1).await;
    stage.append([foreign(4)]).await;
    stage.keep_at_most(-1).await;
    let expected = [(3, "event 3 is missing from the log".to_owned())];
    for _ in 0..2 {
        assert_eq!(projector.catch_up().await.unwrap(), 4);
        assert_eq!(stage.alarms().await, expected);
        projector = stage.projector().await;
    }
    stage.append([foreign(5)]).await;
    assert_eq!(projector.catch_up().await.unwrap(), 5);
    assert_eq!(stage.alarms().await, expected);
    assert_eq!(positions(&stage).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_log_that_goes_backwards_is_an_alarm_although_it_brings_nothing_new() {
    let stage = Stage::set().await;
    stage.append([foreign(1)]).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 1);
    stage.append([foreign(2)]).await;
    assert_eq!(stage.catch_up_bent([b"Nats-Sequence: 2", b"Nats-Sequence: 1"]).await, 1);
    let expected = "the log goes backwards: event 1 comes where event 2 is due";
    assert_eq!(stage.alarms().await, [(1, expected.to_owned())]);
}

#[tokio::test]
async fn a_version_that_is_not_due_in_its_request_raises_an_alarm() {
    let stage = Stage::set().await;
    let events = life(7);
    let (key, captured) = (events[0].key(), codec::encode(&events[2]));
    stage.append(events.into_iter().take(1)).await;
    stage.store(subject_of(&key, "captured"), captured).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 2);
    let due = format!("request {key}: version 3 comes at event 2, where 2 is due");
    let alarms = stage.alarms().await;
    assert!(alarms.contains(&(2, due)), "{alarms:?}");
}

#[tokio::test]
async fn a_log_that_was_replaced_is_never_mixed_with_the_one_that_was_read() {
    let stage = Stage::set().await;
    stage.append((1..=2).map(foreign)).await;
    let mut projector = stage.projector().await;
    projector.catch_up().await.unwrap();
    stage.replace_log().await;
    for _ in 0..3 {
        let shorter = projector.catch_up().await.unwrap_err();
        assert!(matches!(shorter, ProjectError::Behind { position: 2 }), "{shorter}");
    }
    let behind = (2, "the log ends before event 2, which was read from it".to_owned());
    assert_eq!(stage.alarms().await, std::slice::from_ref(&behind));
    // It has begun anew: that shows before it is as long as it was.
    stage.append([foreign(11)]).await;
    let begun = projector.catch_up().await.unwrap_err();
    assert!(matches!(begun, ProjectError::AnotherLog { position: 1 }), "{begun}");
    stage.append((12..=13).map(foreign)).await;
    for _ in 0..2 {
        projector = stage.projector().await;
        let another = projector.catch_up().await.unwrap_err();
        assert!(matches!(another, ProjectError::AnotherLog { position: 2 }), "{another}");
        let expected = [(1, begun.to_string()), (2, another.to_string()), behind.clone()];
        assert_eq!(stage.alarms().await, expected);
    }
    assert_eq!(positions(&stage).await, [1, 2]);
}

#[tokio::test]
async fn a_log_that_stays_unreadable_while_the_broker_answers_is_an_alarm() {
    let mut stage = Stage::set().await;
    stage.append([foreign(1)]).await;
    let mut projector = stage.projector().await;
    projector.catch_up().await.unwrap();
    // A relay's own connection would break on it too.
    stage.silence().await;
    stage.append_bent(&foreign(2)).await;
    for alarms in [0, 0, 1] {
        let unread = projector.catch_up().await.unwrap_err();
        assert!(matches!(unread, ProjectError::Log(_)), "{unread}");
        assert_eq!(stage.alarms().await.len(), alarms);
    }
    let expected = "the log cannot be read behind event 1, although the broker answers";
    assert_eq!(stage.alarms().await, [(1, expected.to_owned())]);
}

async fn positions(stage: &Stage) -> Vec<u64> {
    let entries = stage.trail().await.events(&Filter::default(), 0, 100).await.unwrap();
    entries.iter().map(|entry| entry.position).collect()
}
