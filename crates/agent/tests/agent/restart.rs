//! What survives when the capturer, the relay or the broker goes away and comes back.

use agent_otp_agent::Pending;
use agent_otp_domain::EventType::{Approved, Captured, Consumed, Requested};

use crate::home::Home;
use crate::world::{eventually, within};

const ACME: &str = "Acme <no-reply@acme.example>";

#[tokio::test]
async fn a_capturer_that_starts_again_brings_back_a_code_that_the_vault_has_lost() {
    let mut home = Box::pin(Home::start()).await;
    let pending = captured(&home).await;
    home.stop_capturing().await;
    home.vault().await.erase(pending.key()).await.unwrap();
    let waiting = tokio::spawn(pending.wait());
    home.capture().await;
    assert_eq!(within(waiting).await.unwrap().unwrap().expose(), "482913");
}

#[tokio::test]
async fn a_broker_that_starts_again_loses_no_code() {
    let mut home = Box::pin(Home::start()).await;
    let pending = captured(&home).await;
    home.world.stop().await;
    home.world.resume().await;
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
}

#[tokio::test]
async fn a_broker_that_starts_again_under_a_waiting_agent_hinders_nobody() {
    let mut home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    let key = pending.key().clone();
    let waiting = tokio::spawn(pending.wait());
    home.world.stop().await;
    home.world.resume().await;
    home.approve(&key).await;
    home.mail(ACME, "Your login code is 482913.").await;
    assert_eq!(within(waiting).await.unwrap().unwrap().expose(), "482913");
    assert_eq!(home.history(&key).await, [Requested, Approved, Captured, Consumed]);
}

#[tokio::test]
async fn a_decision_that_was_acted_on_is_not_acted_on_again_by_a_capturer_that_starts_again() {
    let mut home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    let key = pending.key().clone();
    home.approve(&key).await;
    home.learnt_of_all().await;
    home.stop_serving().await;
    // Written down, but no relay is there to take it.
    home.mail(ACME, "Your login code is 482913.").await;
    let before = eventually(async || Some(home.records()).filter(|records| records.len() == 2)).await;
    home.stop_capturing().await;

    home.capture().await;
    home.mail(ACME, "Your login code is 550192.").await;
    home.serve().await;
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
    assert_eq!(home.records(), before);
}

#[tokio::test]
async fn messages_wait_for_a_capturer_that_learns_of_the_approval_after_a_restart_of_the_relay() {
    let mut home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    home.mail(ACME, "Your login code is 482913.").await;
    home.stop_serving().await;
    home.serve().await;
    home.approve(pending.key()).await;
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
}

/// A request whose code is in the vault.
async fn captured(home: &Home) -> Pending {
    let pending = home.ask().await;
    home.approve(pending.key()).await;
    home.mail(ACME, "Your login code is 482913.").await;
    home.until(pending.key(), Captured).await;
    pending
}
