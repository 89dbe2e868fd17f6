//! The auditor's side: what is followed, filtered, rebuilt, and missed, while everything else goes on.

use std::env;
use std::fs;
use std::process::Stdio;

use agent_otp_tests::{Place, Process, eventually, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test]
async fn a_follower_prints_every_event_once_and_in_order_whatever_happens_meanwhile() {
    let place = Place::new();
    let up = place.up().await;
    denied(&place, &[]).await;
    let mut from_now = follow(&place, &[]).await;
    let mut from_first = follow(&place, &["--from", "1"]).await;
    let mut two = follow(&place, &["--type", "denied", "--since", "1h", "--limit", "2"]).await;
    denied(&place, &[]).await;

    let first = place.run();
    first.kill_broker();
    eventually("another broker", async || (place.run().nats_pid != first.nats_pid).then_some(())).await;
    denied(&place, &[]).await;
    place.agent_otp(&["audit", "rebuild"]).await.well();
    up.stop().await.well();
    let up = place.up().await;
    denied(&place, &[]).await;

    let all = positions(&place.events().await);
    assert_eq!(all, (1..=8).collect::<Vec<_>>());
    for (follower, expected) in [(&mut from_now, &all[2..]), (&mut from_first, &all[..])] {
        eventually("the follower to have printed everything", async || {
            (printed(follower).len() >= expected.len()).then_some(())
        })
        .await;
        follower.signal(Signal::INT);
        let ended = follower.ended().await.well();
        assert_eq!(positions(&lines(&ended.stdout)), expected);
    }
    // This one needed no signal.
    assert_eq!(positions(&lines(&two.ended().await.well().stdout)), [2, 4]);
    up.stop().await.well();
}

#[tokio::test]
async fn a_follower_whose_reader_has_gone_ends_quietly() {
    let place = Place::new();
    place.up().await.stop().await.well();
    // Nothing is written to it: that nobody reads is all that it can notice.
    let program = env::current_exe().unwrap().ancestors().nth(2).unwrap().join("agent-otp");
    let mut follower = Command::new(program)
        .args(["--data", place.dir().to_str().unwrap(), "audit", "follow"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(follower.stdout.take());
    let ended = within("the follower's end", follower.wait_with_output()).await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(said, "following the trail, which has come to event 0; Ctrl-C ends it\n");
}

#[tokio::test]
async fn a_list_holds_what_was_asked_for() {
    let place = Place::new();
    let _up = place.up().await;
    let denied = denied(&place, &[]).await;
    let mut asked = place.request(&["--ttl", "1s"]).await;
    assert_eq!(asked.ended().await.code, Some(11));
    let expired = asked.id.clone();
    for (options, expected) in [
        (&[][..], vec![&expired, &denied]),
        (&["--type", "denied"], vec![&denied]),
        (&["--type", "denied", "--type", "expired", "--agent", "shopper"], vec![&expired, &denied]),
        (&["--agent", "nobody"], vec![]),
        (&["--since", "1h", "--limit", "1"], vec![&expired]),
        (&["--until", "2026-01-31T12:00:00Z"], vec![]),
    ] {
        let listed = place.agent_otp(&[&["audit", "list", "--json"], options].concat()).await.well().json();
        let ids: Vec<&str> =
            listed.as_array().unwrap().iter().map(|row| row["request"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{options:?}");
    }
    let last = place.agent_otp(&["audit", "events", "--json", "--limit", "2"]).await.well();
    assert_eq!(positions(&lines(&last.stdout)), [3, 4]);
}

#[tokio::test]
async fn events_that_an_administrator_removed_are_an_alarm_once_and_for_good() {
    let place = Place::new();
    let up = place.up().await;
    let none = place.agent_otp(&["alarms"]).await.well();
    assert_eq!(none.stdout, "No alarms.\n");
    denied(&place, &[]).await;
    assert_eq!(place.events().await.len(), 2);
    // The trail has read both; the log loses them, and goes on.
    api(&place, json!({ "max_msgs": 1, "discard": "old", "discard_new_per_subject": false })).await;
    let asked = place.request(&[]).await;
    let alarms = eventually("an alarm", async || {
        let ended = place.agent_otp(&["alarms", "--json"]).await;
        (ended.code == Some(16)).then(|| ended.json())
    })
    .await;
    let whats: Vec<&str> =
        alarms.as_array().unwrap().iter().map(|alarm| alarm["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["event 2 is missing from the log"]);
    assert_eq!(place.events().await.len(), 3, "the trail keeps what the log has lost, and goes on");
    api(&place, json!({ "max_msgs": -1, "discard": "new", "discard_new_per_subject": true })).await;
    drop(asked);
    up.stop().await.well();

    let _up = place.up().await;
    for verb in ["list", "events"] {
        let told = place.agent_otp(&["audit", verb]).await.well();
        assert_eq!(told.stderr, "ALARM: something is wrong; `agent-otp alarms` says what\n");
    }
    let again = place.agent_otp(&["alarms", "--json"]).await;
    assert_eq!((again.code, again.json()), (Some(16), alarms));
    // The log is what counts for a rebuild. What it has lost is kept beside it.
    let rebuilt = place.agent_otp(&["audit", "rebuild", "--json"]).await;
    assert_eq!(rebuilt.code, Some(16));
    let rebuilt = rebuilt.json();
    let differences: Vec<&str> =
        rebuilt["differences"].as_array().unwrap().iter().map(|row| row.as_str().unwrap()).collect();
    assert_eq!(differences[..2], ["event 1 is not in the log", "event 2 is not in the log"]);
    assert!(fs::exists(rebuilt["before"].as_str().unwrap()).unwrap());
}

#[tokio::test]
async fn a_rebuild_says_that_the_trail_is_what_the_log_says_and_needs_the_log() {
    let place = Place::new();
    let up = place.up().await;
    denied(&place, &[]).await;
    let before = place.events().await;
    let rebuilt = place.agent_otp(&["audit", "rebuild"]).await.well();
    assert!(rebuilt.stdout.starts_with("rebuilt from 2 events in "), "{rebuilt:?}");
    assert!(rebuilt.stdout.ends_with("the trail was what the log says, in every row\n"), "{rebuilt:?}");
    assert_eq!(place.events().await, before);
    up.stop().await.well();
    let refused = place.agent_otp(&["audit", "rebuild"]).await;
    assert_eq!(refused.code, Some(14));
    assert!(refused.stderr.contains("no relay is running on"), "{refused:?}");
    assert_eq!(place.events().await, before);
}

/// A request that the user denies.
async fn denied(place: &Place, options: &[&str]) -> String {
    let mut asked = place.request(options).await;
    place.deny(&asked.id).await;
    assert_eq!(asked.ended().await.code, Some(10));
    asked.id.clone()
}

/// `audit follow --json` that follows.
async fn follow(place: &Place, options: &[&str]) -> Process {
    let follower = place.start(&[&["audit", "follow", "--json"], options].concat());
    eventually("the follower to follow", async || {
        follower.said().contains("following the trail").then_some(())
    })
    .await;
    follower
}

fn printed(follower: &Process) -> Vec<Value> {
    let printed = fs::read_to_string(&follower.stdout).unwrap();
    // The last line may be only half there.
    let whole = printed.rfind('\n').map_or("", |end| &printed[..end]);
    lines(whole)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn positions(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["position"].as_u64().unwrap()).collect()
}

/// Changes the log's settings as an administrator would.
async fn api(place: &Place, settings: Value) {
    let client = place.connection("provision").await.client().clone();
    let ask = async |verb: &str, body: Value| {
        let answer =
            client.request(format!("$JS.API.STREAM.{verb}.OTP_LOG"), body.to_string().into()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer.get("error"), None, "{answer}");
        answer
    };
    let mut config = ask("INFO", json!({})).await["config"].clone();
    for (name, value) in settings.as_object().unwrap() {
        config[name] = value.clone();
    }
    ask("UPDATE", config).await;
}
