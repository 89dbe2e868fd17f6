//! A clock that is 90 s off, on each side: refused, with an error that says by how much, and where to look.

use agent_otp_tests::{Asked, Place, Process, RIGHT, eventually, strings};
use regex::Regex;

const FROM: &str = "noreply@github.com";
const TEXT: &str = "Your GitHub verification code is 482913.";
const USER: [&str; 2] = ["user", "--accept-unverified-mail"];
/// How far the clock is off, how it stands to another one, and how that one stands to it.
const OFF: [(&str, &str, &str); 2] = [("+90s", "ahead of", "behind"), ("-90s", "behind", "ahead of")];

#[tokio::test]
async fn an_agent_whose_clock_is_off_is_refused_and_told_by_how_much() {
    let place = Place::new();
    let (_broker, _relay) = (place.serve_broker().await, place.serve(RIGHT, &["relay"]).await);
    // As if the roster were some time old: the agent's clock is held against the relay's.
    let user = place.serve("-40s", &USER).await;
    let _audit = place.serve(RIGHT, &["audit"]).await;
    for (off, agent, _) in OFF {
        is_refused(ask(&place, off), &format!("the agent's clock is 90 s {agent} the relay's")).await;
    }
    drop(user);
    // A roster that was signed just now lies in the future of an agent whose clock is behind.
    let _user = place.serve(RIGHT, &USER).await;
    is_refused(ask(&place, "-90s"), "the owner's clock is 90 s ahead of this machine's").await;
    assert_eq!(place.events().await.len(), 0, "nothing was stored");
}

#[tokio::test]
async fn a_user_whose_clock_is_off_can_only_deny_and_is_told_by_how_much() {
    for ((off, user, agent), half) in OFF.into_iter().zip(["+45s", "-45s"]) {
        let place = Place::new();
        let (_broker, _relay) = (place.serve_broker().await, place.serve(RIGHT, &["relay"]).await);
        let first = place.serve(RIGHT, &USER).await;
        let _audit = place.serve(RIGHT, &["audit"]).await;
        let mut asked = place.request(&[]).await;
        drop(first);
        let _user = place.serve(off, &USER).await;

        let notice = eventually("a notice", async || {
            let pending = place.start_off(off, &["pending", "--json"]).ended().await.well().json();
            pending[0]["notice"].as_str().map(str::to_owned)
        })
        .await;
        is_told(&notice, "nothing is captured for this request");
        is_told(&notice, &format!("the agent's clock is 90 s {agent} this machine's"));
        let approved = place.start_off(off, &["approve", &asked.id]).ended().await;
        assert_eq!(approved.code, Some(13), "{approved:?}");
        is_told(&approved.stderr, &format!("the approver's clock is 90 s {user} the relay's"));

        // Approved where the clock is off by less than is refused: nothing is captured all the same.
        place.start_off(half, &["approve", &asked.id]).ended().await.well();
        place.mail(FROM, TEXT).await;
        place.start_off(off, &["deny", &asked.id]).ended().await.well();
        assert_eq!(asked.ended().await.code, Some(10));
        assert_eq!(place.history(&asked.id).await, strings(["requested", "approved", "denied"]));
    }
}

#[tokio::test]
async fn a_roster_from_the_future_is_told_as_the_clock_that_it_comes_from() {
    let place = Place::new();
    let (_broker, _relay) = (place.serve_broker().await, place.serve(RIGHT, &["relay"]).await);
    let _user = place.serve("+90s", &USER).await;
    let told = "the owner's clock is 90 s ahead of this machine's";
    is_refused(ask(&place, RIGHT), told).await;
    let pending = place.agent_otp(&["pending"]).await;
    assert_eq!(pending.code, Some(13), "{pending:?}");
    is_told(&pending.stderr, told);
}

#[tokio::test]
async fn a_relay_whose_clock_is_off_refuses_everyone_and_goes_on_when_it_is_set() {
    for (off, relay, other) in OFF {
        let place = Place::new();
        let _broker = place.serve_broker().await;
        let first = place.serve(RIGHT, &["relay"]).await;
        let (_user, _audit) = (place.serve(RIGHT, &USER).await, place.serve(RIGHT, &["audit"]).await);
        let mut asked = place.request(&[]).await;
        drop(first);
        let skewed = place.serve(off, &["relay"]).await;
        is_refused(ask(&place, RIGHT), &format!("the agent's clock is 90 s {other} the relay's")).await;
        let approved = place.agent_otp(&["approve", &asked.id]).await;
        assert_eq!(approved.code, Some(13), "{relay}: {approved:?}");
        is_told(&approved.stderr, &format!("the approver's clock is 90 s {other} the relay's"));

        drop(skewed);
        let _relay = place.serve(RIGHT, &["relay"]).await;
        finish(&place, &mut asked).await;
    }
}

/// What is asked before is approved, answered and consumed.
async fn finish(place: &Place, asked: &mut Asked) {
    place.approve(&asked.id).await;
    place.mail(FROM, TEXT).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    let life = strings(["requested", "approved", "captured", "consumed"]);
    assert_eq!(place.history(&asked.id).await, life);
}

fn ask(place: &Place, off: &str) -> Process {
    let reason = ["--reason", "Sign in to GitHub", "--from", "github.com"];
    place.start_off(off, &[&["request", "--agent", "shopper"], &reason[..]].concat())
}

async fn is_refused(mut asked: Process, said: &str) {
    let ended = asked.ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(13), ""), "{ended:?}");
    assert!(ended.stderr.contains("the request was not made"), "{ended:?}");
    is_told(&ended.stderr, said);
}

/// Whether this was said, with 90 s as it is written, more or less what the machine took meanwhile; and what to do.
fn is_told(said: &str, what: &str) {
    let pattern = regex::escape(what).replace("90\\ s", "1m (1[0-9]|2[0-9]|3[0-5])s");
    let pattern = pattern.replace("90 s", "1m (1[0-9]|2[0-9]|3[0-5])s");
    assert!(Regex::new(&pattern).unwrap().is_match(said), "{what}: {said}");
    assert!(said.contains("type `date -u` on both machines, set the clock that is off"), "{said}");
}
