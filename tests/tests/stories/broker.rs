//! A broker that dies: it is started again, and nothing is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use agent_otp_tests::{Place, Run, eventually, nats_server, strings};
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

#[tokio::test]
async fn a_broker_that_cannot_be_provisioned_is_replaced_by_one_that_can() {
    let place = Place::new();
    let starts = place.root().join("starts");
    let wrapper = place.root().join("nats-server");
    // The second one has no JetStream: it runs and greets, and makes no stream.
    let script = format!(
        r#"#!/bin/sh
[ "$1" = -c ] || exec {nats_server} "$@"
echo >> {starts}
[ "$(wc -l < {starts})" -eq 2 ] && sed -i '/^jetstream {{/,/^}}/d' "$2"
exec {nats_server} "$@"
"#,
        nats_server = nats_server().display(),
        starts = starts.display(),
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let up = place.start(&["up", "--accept-unverified-mail", "--nats-server", wrapper.to_str().unwrap()]);
    eventually("`up` to be ready", async || up.said().contains("Agent OTP is up").then_some(())).await;
    replaced(&place).await;
    assert_eq!(fs::read_to_string(&starts).unwrap().lines().count(), 3);
    assert!(up.said().contains("nats-server does not start"), "{}", up.said());
    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    place.mail(FROM, TEXT).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn a_broker_that_does_not_start_again_keeps_nobody_from_stopping() {
    let place = Place::new();
    let wrapper = place.root().join("nats-server");
    std::os::unix::fs::symlink(nats_server(), &wrapper).unwrap();
    let up = place.start(&["up", "--nats-server", wrapper.to_str().unwrap()]);
    eventually("`up` to be ready", async || up.said().contains("Agent OTP is up").then_some(())).await;
    fs::remove_file(&wrapper).unwrap();
    place.run().kill_broker();
    eventually("a start in vain", async || up.said().contains("does not start").then_some(())).await;
    let mut up = up;
    up.signal(Signal::INT);
    up.ended().await.well();
    assert!(!place.dir().join("run.json").exists());
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
