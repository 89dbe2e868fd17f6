//! The broker is gone for 1, 10 and 60 s under one party at a time: the person is told, and what was under way goes on
//! by itself when it is back, once.

use std::time::Duration;

use agent_otp_domain::EventType;
use agent_otp_tests::{Asked, Ended, Parties, Place, Proxy, eventually, strings};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

const GAPS: [u64; 3] = [1, 10, LONGEST];
const LIFE: [&str; 4] = ["requested", "approved", "captured", "consumed"];
/// A gap that outlasts every command that a person types: 15 s is the most that they ask for.
const LONGEST: u64 = 60;

#[tokio::test]
async fn the_relay_goes_on_where_it_was_when_its_broker_is_back() {
    join_all(GAPS.map(async |gap| {
        let place = Place::new();
        let parties = Parties::of(&place, 1).await;
        Box::pin(parties.run(under_the_relay(&place, &parties, gap))).await;
    }))
    .await;
}

#[tokio::test]
async fn the_users_side_goes_on_where_it_was_when_its_broker_is_back() {
    join_all(GAPS.map(async |gap| {
        let place = Place::new();
        let parties = Parties::of(&place, 1).await;
        Box::pin(parties.run(under_the_user(&place, &parties, gap))).await;
    }))
    .await;
}

#[tokio::test]
async fn the_agent_says_that_its_broker_is_gone_and_goes_on_when_it_is_back() {
    join_all(GAPS.map(async |gap| {
        let place = Place::new();
        let parties = Parties::of(&place, 1).await;
        Box::pin(parties.run(under_the_agent(&place, &parties, gap))).await;
    }))
    .await;
}

#[tokio::test]
async fn the_audit_trail_is_whole_when_its_broker_is_back() {
    join_all(GAPS.map(async |gap| {
        let place = Place::new();
        let parties = Parties::of(&place, 1).await;
        Box::pin(parties.run(under_the_trail(&place, &parties, gap))).await;
    }))
    .await;
}

async fn under_the_relay(place: &Place, parties: &Parties<'_>, gap: u64) {
    parties.ready().await;
    let mut approved = parties.request(&["--from", "one.example"]).await;
    place.approve(&approved.id).await;
    let mut open = parties.request(&["--from", "two.example"]).await;
    let gone = Gap::begin(&parties.relays[0].proxy, gap);
    mail(place, "one.example").await;
    let (mut pending, mut approving) = (place.start(&["pending"]), place.start(&["approve", &open.id]));
    let typing = async {
        let ended = tokio::join!(pending.ended(), approving.ended());
        (ended, Instant::now())
    };
    let (((pending, approving), given_up), back) = tokio::join!(typing, async {
        let back = gone.end().await;
        has_code(&mut approved, back, "relay", gap).await;
        back
    });
    assert!(gap < LONGEST || given_up < back, "whoever types something is not kept waiting for the broker");
    for ended in [&pending, &approving] {
        // For a gap that is shorter than a person's patience, asking again was enough.
        assert!(ended.code == Some(0) || gap > 1 && says_that_nobody_answers(ended), "{ended:?}");
    }
    if approving.code != Some(0) {
        place.approve(&open.id).await;
    }
    mail(place, "two.example").await;
    assert_eq!(open.ended().await.well().stdout, "482913\n");
    have_lived(place, [&approved, &open]).await;
}

async fn under_the_user(place: &Place, parties: &Parties<'_>, gap: u64) {
    parties.ready().await;
    let mut approved = parties.request(&["--from", "one.example"]).await;
    place.approve(&approved.id).await;
    let gone = Gap::begin(&parties.user.proxy, gap);
    mail(place, "one.example").await;
    let mut asked = parties.request(&["--from", "two.example"]).await;
    place.approve(&asked.id).await;
    mail(place, "two.example").await;
    let back = gone.end().await;

    has_code(&mut approved, back, "user's side, approved before", gap).await;
    has_code(&mut asked, back, "user's side, asked meanwhile", gap).await;
    have_lived(place, [&approved, &asked]).await;
}

async fn under_the_agent(place: &Place, parties: &Parties<'_>, gap: u64) {
    parties.ready().await;
    let mut watch = place.watch().await;
    let mut asked = parties.request(&["--from", "one.example"]).await;
    let mut open = parties.request(&["--from", "two.example"]).await;
    place.approve(&asked.id).await;
    let gone = Gap::begin(&parties.agent, gap);
    mail(place, "one.example").await;
    watch.until(&asked.id, EventType::Captured).await;
    for waiting in [&asked, &open] {
        eventually("the agent to say so", async || {
            waiting.said().contains("the broker is gone; waiting for it to come back").then_some(())
        })
        .await;
    }
    // Whoever types something where the broker cannot be reached is told at once.
    let there = parties.agent_dir();
    let data = ["--data", there.to_str().unwrap()];
    let asking = ["request", "--agent", "shopper", "--from", "three.example", "--reason", "Sign in"];
    for words in [&["pending"][..], &["approve", &open.id], &asking] {
        let ended = place.spawn("agent-otp", &[&data, words].concat()).ended().await;
        if gap > 1 || ended.code != Some(0) {
            assert_eq!(ended.code, Some(14), "{ended:?}");
            assert!(ended.stderr.contains("cannot connect to NATS at"), "{ended:?}");
            assert!(ended.stderr.contains("is `agent-otp up` running?"), "{ended:?}");
        }
    }
    let back = gone.end().await;

    has_code(&mut asked, back, "agent", gap).await;
    eventually("the other one to go on", async || {
        open.said().contains("the relay answers again").then_some(())
    })
    .await;
    place.approve(&open.id).await;
    mail(place, "two.example").await;
    assert_eq!(open.ended().await.well().stdout, "482913\n");
    have_lived(place, [&asked, &open]).await;
}

async fn under_the_trail(place: &Place, parties: &Parties<'_>, gap: u64) {
    parties.ready().await;
    eventually("a trail", async || parties.audit.is_ready().then_some(())).await;
    let mut asked = parties.request(&["--from", "one.example"]).await;
    eventually("the trail to begin", async || (place.events().await.len() == 1).then_some(())).await;
    let gone = Gap::begin(&parties.audit.proxy, gap);
    place.approve(&asked.id).await;
    mail(place, "one.example").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    if gap > 1 {
        let read = place.agent_otp(&["audit", "events"]).await.well();
        assert!(
            read.stderr.contains("the trail is behind the log; ask again for what is missing"),
            "{read:?}"
        );
    }
    let back = gone.end().await;
    eventually("the trail to be whole", async || (place.events().await.len() == 4).then_some(())).await;
    report(back, "audit trail", gap);
    have_lived(place, [&asked]).await;
}

/// A time without the broker.
struct Gap<'a> {
    network: &'a Proxy,
    until: Instant,
}

impl<'a> Gap<'a> {
    fn begin(network: &'a Proxy, seconds: u64) -> Self {
        network.cut();
        Self { network, until: Instant::now() + Duration::from_secs(seconds) }
    }

    /// Waits for its end, and says when that was.
    async fn end(self) -> Instant {
        sleep_until(self.until).await;
        self.network.restore();
        Instant::now()
    }
}

async fn mail(place: &Place, shop: &str) {
    place.mail(&format!("noreply@{shop}"), "Your verification code is 482913.").await;
}

async fn has_code(asked: &mut Asked, back: Instant, who: &str, gap: u64) {
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    report(back, who, gap);
}

fn report(back: Instant, who: &str, gap: u64) {
    eprintln!("{who}, {gap} s without the broker: {:?} after its return", back.elapsed());
}

fn says_that_nobody_answers(ended: &Ended) -> bool {
    ended.code == Some(14)
        && ended.stderr.contains("the relay does not answer yet; still trying")
        && ended.stderr.contains("the relay does not answer; is it running?")
}

async fn have_lived<const N: usize>(place: &Place, asked: [&Asked; N]) {
    for asked in asked {
        assert_eq!(place.history(&asked.id).await, strings(LIFE));
    }
    let positions: Vec<u64> =
        place.events().await.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=4 * N as u64).collect::<Vec<_>>());
}
