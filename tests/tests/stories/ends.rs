//! The early ends: denied, expired, cancelled; each erases what was captured.

use std::time::Duration;

use agent_otp_domain::EventType;
use agent_otp_jetstream::clock;
use agent_otp_tests::{Needle, Place, ending_signals, eventually, hears, search, strings};
use rustix::process::Signal;
use serde_json::json;

const FROM: &str = "noreply@github.com";
const TEXT: &str = "Your GitHub verification code is 482913.";

#[tokio::test]
async fn a_denied_request_ends_with_ten_and_no_code() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&[]).await;
    let denied = place.deny(&asked.id).await;
    assert_eq!(denied.stdout, format!("denied {}\n", asked.id));
    let ended = asked.ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(10), ""));
    assert!(ended.stderr.contains("the user denied the request"), "{ended:?}");
    assert_eq!(place.history(&asked.id).await, strings(["requested", "denied"]));

    let mut asked = place.request(&["--json"]).await;
    place.approve(&asked.id).await;
    place.deny(&asked.id).await;
    let ended = asked.ended().await;
    assert_eq!(ended.code, Some(10));
    assert_eq!(
        ended.json(),
        json!({ "id": asked.id, "state": "denied", "error": "the user denied the request" })
    );
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved", "denied"]));
}

#[tokio::test]
async fn a_denial_after_the_capture_erases_the_code() {
    let place = Place::new();
    let _up = place.up().await;
    let (mut asked, captured, sealed) = place.captured(&[], FROM, TEXT).await;
    let sealed = [Needle::bytes("the sealed code", sealed.as_bytes())];
    assert_eq!(search(&place.dir(), &sealed).len(), 1, "the capturer could offer it again");

    place.deny(&asked.id).await;
    eventually("the vault to be empty", async || place.in_vault(&captured).await.is_none().then_some(()))
        .await;
    eventually("the capturer to forget", async || search(&place.dir(), &sealed).is_empty().then_some(()))
        .await;
    asked.signal(Signal::CONT);
    let ended = asked.ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(10), ""));
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved", "captured", "denied"]));
}

#[tokio::test]
async fn a_request_expires_at_its_deadline() {
    let place = Place::new();
    let _up = place.up().await;
    let (mut unheard, mut unanswered) =
        tokio::join!(place.request(&["--ttl", "1s"]), place.request(&["--ttl", "10s"]));
    place.approve(&unanswered.id).await;
    for asked in [&mut unheard, &mut unanswered] {
        let ended = asked.ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(11), ""));
        assert!(ended.stderr.contains("before a code came; ask again"), "{ended:?}");
    }
    assert_eq!(place.history(&unheard.id).await, strings(["requested", "expired"]));
    assert_eq!(place.history(&unanswered.id).await, strings(["requested", "approved", "expired"]));
    let late = place.agent_otp(&["approve", &unheard.id]).await;
    assert_eq!(late.code, Some(1));
    assert!(late.stderr.contains("no open request has the id"), "{late:?}");
}

#[tokio::test]
async fn a_deadline_that_passes_while_everything_is_down_is_recorded_when_it_is_up_again() {
    let place = Place::new();
    let up = place.up().await;
    let mut watch = place.watch().await;
    let asked = place.request(&["--ttl", "10s"]).await;
    let requested = watch.until(&asked.id, EventType::Requested).await;
    up.stop().await.well();
    let deadline = requested.time.after(Duration::from_secs(10));
    eventually("the deadline to pass", async || (clock::now() > deadline).then_some(())).await;
    assert!(!place.history(&asked.id).await.contains(&"expired".to_owned()));
    let _up = place.up().await;
    eventually("`expired`", async || {
        (place.history(&asked.id).await == strings(["requested", "expired"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ctrl_c_cancels_the_request() {
    let place = Place::new();
    let _up = place.up().await;
    for signal in ending_signals() {
        let mut asked = place.request(&[]).await;
        asked.signal(signal);
        let ended = asked.ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(12), ""));
        assert_eq!(place.history(&asked.id).await, strings(["requested", "cancelled"]));
    }
}

#[tokio::test]
async fn ctrl_c_before_the_request_stands_ends_with_twelve_too() {
    let place = Place::new();
    let _up = place.up().await;
    let run = place.run();
    for signal in ending_signals() {
        run.stop_broker();
        let mut asking = place.start_request(&[]);
        eventually("it to listen to signals", async || hears(asking.pid(), signal).then_some(())).await;
        asking.signal(signal);
        let ended = asking.ended().await;
        run.continue_broker();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(12), ""), "{ended:?}");
    }
}

#[tokio::test]
async fn a_code_that_cannot_be_printed_is_not_passed_over() {
    let place = Place::new();
    let _up = place.up().await;
    for options in [&[][..], &["--json"]] {
        let words = ["request", "--agent", "shopper", "--from", "github.com", "--reason", "Sign in"];
        let user = async {
            let asked = eventually("the request", async || place.pending().await.pop()).await;
            place.approve(asked["id"].as_str().unwrap()).await;
            place.mail(FROM, TEXT).await;
        };
        let words = [&words, options].concat();
        let (ended, ()) = tokio::join!(place.on_a_full_disk(&words), user);
        assert_eq!(ended.code, Some(1));
        let said = "the code was claimed, and could not be written to stdout: ask again";
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}
