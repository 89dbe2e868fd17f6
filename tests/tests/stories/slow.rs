//! Readers that stand still while very many events pass: the broker lets go of them, and they catch up without loss.

use std::fs;

use agent_otp_domain::{Actor, Event, Recorded, RequestKey, Role, Version, codec};
use agent_otp_jetstream::message::Ask;
use agent_otp_jetstream::{Feed, Log, clock};
use agent_otp_tests::{Parties, Place, Shopper, eventually, strings};
use agent_otp_trust::Request;
use futures_util::stream::{self, StreamExt as _};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

/// How many requests are made and cancelled: twice as many events are more than any reader's buffers hold.
const PASSING: usize = 6_000;
/// How many are appended at once.
const AT_ONCE: usize = 64;

#[tokio::test]
async fn readers_that_stood_still_while_very_many_events_passed_miss_none() {
    let place = Place::new();
    let parties = Parties::of(&place, 1).await;
    let story = async {
        parties.ready().await;
        eventually("a trail", async || parties.audit.is_ready().then_some(())).await;
        let mut open = parties.request(&["--from", "one.example"]).await;
        let follower = place.start(&["audit", "follow", "--from", "1", "--json"]);
        eventually("the follower", async || (lines(&follower.stdout).len() == 1).then_some(())).await;
        // A dashboard that does not read what it has subscribed to.
        let dashboard = place.connection("dashboard").await;
        let _unread = Feed::of_all(&dashboard).await.unwrap();
        let missed = dashboard.connects();
        let (connected, cuts) = (*missed.borrow(), cuts(&place));
        for signal in [Signal::STOP, Signal::CONT] {
            parties.user.signal(signal);
            parties.audit.signal(signal);
            follower.signal(signal);
            if signal == Signal::STOP {
                pass(&place).await;
                eventually("the broker to let go of both", async || {
                    (self::cuts(&place) >= cuts + 2).then_some(())
                })
                .await;
            }
        }
        assert!(*missed.borrow() > connected, "whoever missed something is told to ask again");

        let going_on = Instant::now();
        let mut asked = parties.request(&["--from", "two.example"]).await;
        for (asked, shop) in [(&mut open, "one.example"), (&mut asked, "two.example")] {
            place.approve(&asked.id).await;
            place.mail(&format!("noreply@{shop}"), "Your verification code is 482913.").await;
            assert_eq!(asked.ended().await.well().stdout, "482913\n");
        }

        eprintln!("two codes {:?} after the readers went on", going_on.elapsed());
        let all = 2 * PASSING + 8;
        let events = eventually("the trail to be whole", async || {
            let events = place.events().await;
            (events.len() >= all).then_some(events)
        })
        .await;
        is_whole(&events, all);
        eprintln!("{all} events in the trail {:?} after", going_on.elapsed());
        eventually("the follower to have printed it", async || {
            (lines(&follower.stdout).len() >= all).then_some(())
        })
        .await;
        let printed: Vec<Value> =
            lines(&follower.stdout).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        is_whole(&printed, all);
        for asked in [&open, &asked] {
            let life = strings(["requested", "approved", "captured", "consumed"]);
            assert_eq!(place.history(&asked.id).await, life);
        }
    };
    Box::pin(parties.run(story)).await;
}

/// Lets requests pass that are made and cancelled at once, and appended without a relay.
async fn pass(place: &Place) {
    let shopper = Shopper::of(place).await;
    let log = Log::new(place.connection("relay").await);
    let passing = stream::iter(0..PASSING).map(async |_| {
        let (key, statement) = shopper.request().await;
        let request: Request = codec::decode(&statement.payload).unwrap();
        let event = Event::Requested { statement, expires_at: request.expires_at };
        let requested = recorded(&key, 1, event);
        let first = log.append(0, &requested).await.unwrap().sequence;
        let Ask::Cancel { statement } = shopper.cancel(&requested).await else { panic!() };
        log.append(first, &recorded(&key, 2, Event::Cancelled { statement })).await.unwrap();
    });
    passing.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

fn recorded(key: &RequestKey, version: u64, event: Event) -> Recorded {
    Recorded {
        id: clock::event_id(),
        owner: key.owner.clone(),
        agent: key.agent.clone(),
        request: key.request,
        version: Version(version),
        time: clock::now(),
        actor: Actor { role: Role::Agent, member: key.agent.clone() },
        event,
    }
}

/// How many connections the broker has cut because their readers stood still.
fn cuts(place: &Place) -> usize {
    let log = fs::read_to_string(place.dir().join("nats/nats-server.log")).unwrap();
    log.matches("Slow Consumer Detected").count()
}

fn is_whole(events: &[Value], all: usize) {
    let positions: Vec<u64> = events.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=all as u64).collect::<Vec<_>>());
    assert!(events.iter().all(|event| event["verification"] == "verified"));
}

fn lines(path: &std::path::Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}
