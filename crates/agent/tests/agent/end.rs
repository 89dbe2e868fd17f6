//! Requests that end without a code.

use agent_otp_agent::{AgentError, Asking, WaitError};
use agent_otp_domain::EventType::{Approved, Cancelled, Captured, Denied, Expired, Requested};
use agent_otp_domain::{RequestKey, codec};
use agent_otp_jetstream::message::Ask;
use agent_otp_jetstream::{CallError, Service, Who};
use agent_otp_trust::Cancel;
use agent_otp_user::ApproverError;

use crate::home::{Home, asking, briefly};
use crate::world::{eventually, within};

const ACME: &str = "Acme <no-reply@acme.example>";

#[tokio::test]
async fn a_denial_ends_the_waiting() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    let key = pending.key().clone();
    let waiting = tokio::spawn(pending.wait());
    home.deny(&key).await;
    let error = within(waiting).await.unwrap().unwrap_err();
    assert!(matches!(error, WaitError::Denied), "{error}");
    assert_eq!(home.history(&key).await, [Requested, Denied]);
    let again = home.approver.find(key.request).await.unwrap_err();
    assert!(matches!(again, ApproverError::Unknown { .. }), "{again}");
}

#[tokio::test]
async fn a_denial_takes_back_what_was_captured_and_erases_it() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    let key = pending.key().clone();
    captured(&home, &key).await;
    let digest = home.seen(&key).await.capture.unwrap().1.sealed;
    home.deny(&key).await;
    let error = within(pending.wait()).await.unwrap_err();
    assert!(matches!(error, WaitError::Denied), "{error}");
    let vault = home.vault().await;
    eventually(async || vault.read(&key, &digest).await.unwrap().is_none().then_some(())).await;
    assert_eq!(home.history(&key).await, [Requested, Approved, Captured, Denied]);
}

#[tokio::test]
async fn a_request_that_nobody_decides_expires_and_says_when() {
    let home = Box::pin(Home::start()).await;
    let pending = home.agent.request(briefly()).await.unwrap();
    let (key, lapses_at) = (pending.key().clone(), pending.expires_at());
    let error = within(pending.wait()).await.unwrap_err();
    assert!(matches!(error, WaitError::Expired { expires_at } if expires_at == lapses_at), "{error}");
    assert_eq!(home.history(&key).await, [Requested, Expired]);
}

#[tokio::test]
async fn a_request_expires_for_its_agent_even_if_the_relay_does_not_tell() {
    let mut home = Box::pin(Home::start()).await;
    let pending = home.agent.request(briefly()).await.unwrap();
    home.stop_serving().await;
    let error = within(pending.wait()).await.unwrap_err();
    assert!(matches!(error, WaitError::Unavailable), "{error}");
}

#[tokio::test]
async fn a_request_can_be_taken_back_while_it_is_waited_for() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    let (key, canceller) = (pending.key().clone(), pending.canceller());
    let waiting = tokio::spawn(pending.wait());
    home.approve(&key).await;
    canceller.cancel().await.unwrap();
    let error = within(waiting).await.unwrap().unwrap_err();
    assert!(matches!(error, WaitError::Cancelled), "{error}");
    assert_eq!(home.history(&key).await, [Requested, Approved, Cancelled]);
    canceller.cancel().await.unwrap();
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_taken_back_for_it_may_be_stored() {
    let mut home = Box::pin(Home::start()).await;
    // The roster is at hand.
    drop(home.ask().await);
    home.stop_serving().await;
    let mut mute = Service::start(&home.world.connect(&Who::Operator("relay")).await).await.unwrap();
    let asking = home.agent.request(asking());
    let hearing = async {
        let mut asked = None;
        loop {
            let ask = mute.next().await.unwrap().ask.unwrap();
            if let Ask::Request { statement } = &ask {
                asked = Some(statement.digest());
            }
            if let Ask::Cancel { statement } = &ask {
                let cancel: Cancel = codec::decode(&statement.payload).unwrap();
                return (asked, cancel.request);
            }
        }
    };
    let (refused, (asked, taken_back)) = within(async { tokio::join!(asking, hearing) }).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, AgentError::Call(CallError::Unreachable(_))), "{error}");
    assert_eq!(asked, Some(taken_back));
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_refused_before_anyone_is_asked() {
    let home = Box::pin(Home::start()).await;
    let filter = agent_otp_domain::Filter { sender: "GitHub".parse().unwrap(), ..asking().filter };
    let error = home.agent.request(Asking { filter, ..asking() }).await.unwrap_err();
    insta::assert_snapshot!(error, @"`GitHub` sends no email; name the sender of an e-mail by domain or address, such as github.com");
    assert!(home.approver.open().await.unwrap().is_empty());
}

async fn captured(home: &Home, key: &RequestKey) {
    home.approve(key).await;
    home.mail(ACME, "Your login code is 482913.").await;
    home.until(key, Captured).await;
}
