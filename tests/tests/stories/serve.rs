//! `serve`: each part of `up` in a process of its own.

use agent_otp_tests::{Parties, Place, Process, RIGHT, eventually, strings};
use rustix::process::Signal;

const FROM: &str = "noreply@github.com";
const TEXT: &str = "Your GitHub verification code is 482913.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parts_together_carry_a_code() {
    let place = Place::new();
    let parties = Parties::of(&place, 2).await;
    let life = async {
        parties.ready().await;
        let mut asked = parties.request(&[]).await;
        place.approve(&asked.id).await;
        place.mail(FROM, TEXT).await;
        assert_eq!(asked.ended().await.well().stdout, "482913\n");
        let life = strings(["requested", "approved", "captured", "consumed"]);
        assert_eq!(place.history(&asked.id).await, life);
    };
    parties.run(life).await;
}

#[tokio::test]
async fn what_must_run_once_runs_once_and_ends_in_order() {
    let place = Place::new();
    let broker = place.serve_broker().await;
    let relay = place.serve(RIGHT, &["relay"]).await;
    let user = place.serve(RIGHT, &["user"]).await;
    let audit = place.serve(RIGHT, &["audit"]).await;
    for (part, holder) in [("broker", &broker), ("user", &user), ("audit", &audit)] {
        let second = place.agent_otp(&["serve", part]).await;
        let said = format!("another `agent-otp serve {part}` (pid {}) runs on", holder.pid());
        assert!(second.code == Some(1) && second.stderr.contains(&said), "{second:?}");
    }
    let up = place.start_up(&[]).ended().await;
    assert!(up.code == Some(1) && up.stderr.contains("another `agent-otp serve broker`"), "{up:?}");
    // Relays hold nothing.
    let other = place.serve(RIGHT, &["relay"]).await;

    let asked = place.request(&[]).await;
    let line = format!("asked      {}  by shopper\n", asked.id);
    eventually("the user's side to tell it", async || user.said().contains(&line).then_some(())).await;

    for part in [user, other, relay, audit, broker] {
        ended(part).await;
    }
    assert!(!place.dir().join("run.json").exists());
    let _up = place.up().await;
}

#[tokio::test]
async fn a_relay_of_its_own_is_told_how_the_streams_are_kept() {
    let place = Place::new();
    let _broker = place.serve_broker().await;
    let differs = "this relay is told other settings than the vault has";
    for options in [["--vault", "file"], ["--replicas", "3"]] {
        let relay = place.serve(RIGHT, &[&["relay"][..], &options].concat()).await;
        eventually("it to say so", async || relay.said().contains(differs).then_some(())).await;
        ended(relay).await;
    }
}

/// Ends a part as a service manager does.
async fn ended(mut part: Process) {
    part.signal(Signal::TERM);
    assert_eq!(part.ended().await.well().stderr.lines().last(), Some("stopping"));
}
