//! A broker that dies: it is started again, and nothing is lost.

use agent_otp_tests::{Place, Run, eventually, strings};
use rustix::process::Signal;

const FROM: &str = "noreply@github.com";
const TEXT: &str = "Your GitHub verification code is 482913.";
const LIFE: [&str; 4] = ["requested", "approved", "captured", "consumed"];

#[tokio::test]
async fn a_code_outlives_the_broker_that_held_it_in_memory() {
    let place = Place::new();
    let up = place.up().await;
    let (mut asked, ..) = place.captured(&[], FROM, TEXT).await;
    let next = replaced(&place).await;
    let told = format!("nats-server runs again as pid {}", next.nats_pid);
    eventually("what is said of the next broker", async || up.said().contains(&told).then_some(())).await;
    asked.signal(Signal::CONT);
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    assert_eq!(place.history(&asked.id).await, strings(LIFE));
}

#[tokio::test]
async fn a_request_that_is_open_goes_on_when_the_broker_is_back() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&[]).await;
    replaced(&place).await;
    place.approve(&asked.id).await;
    replaced(&place).await;
    place.mail(FROM, TEXT).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    assert_eq!(place.history(&asked.id).await, strings(LIFE));
}

/// Kills the broker, and waits for the next one.
async fn replaced(place: &Place) -> Run {
    let killed = place.run();
    killed.kill_broker();
    let next = eventually("another broker", async || {
        Some(place.run()).filter(|run| run.nats_pid != killed.nats_pid)
    })
    .await;
    assert_eq!(next.nats_url, killed.nats_url);
    next
}
