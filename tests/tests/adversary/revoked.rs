//! Revoked keys: what they sign is acted on by nobody who has heard of the revocation, also where it was signed before.

use std::time::Duration;

use agent_otp_agent::Asking;
use agent_otp_domain::EventType::{Approved, Captured, Requested};
use agent_otp_domain::{RequestKey, Timestamp};
use agent_otp_jetstream::clock;
use agent_otp_trust::Revocation;

use crate::stage::{ACME, BOOKER, DESK, PHONE, Party, SHOPPER, Stage, asking, key};
use crate::world::within;

const REVOKED: &str = "was revoked at";

#[tokio::test]
async fn a_request_by_a_revoked_agent_is_shown_and_captured_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    revoke(&stage, SHOPPER, clock::now()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    stage.is_not_shown(&key, REVOKED).await;
    stage.alarm(DESK, Some(&key), REVOKED).await;
    stage.is_found_out(pending, REVOKED).await;
    stage.is_doubted(&key, REVOKED).await;
}

#[tokio::test]
async fn a_revoked_agent_gets_no_code_for_what_was_approved_before() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    stage.approve(&key).await;
    revoke(&stage, SHOPPER, clock::now()).await;
    // The capturer hears of the new roster by what another agent asks.
    another_is_captured(&stage).await;
    stage.mail(ACME, "482913").await;
    stage.alarm(DESK, Some(&key), REVOKED).await;
    another_is_captured(&stage).await;
    assert_eq!(stage.history(&key).await, [Requested, Approved]);
}

#[tokio::test]
async fn a_decision_by_a_revoked_approver_is_obeyed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    revoke(&stage, PHONE, clock::now()).await;
    let thief = stage.approver().await;
    thief.approve(&thief.find(key.request).await.unwrap()).await.unwrap();
    stage.alarm(DESK, Some(&key), REVOKED).await;
    stage.mail(ACME, "482913").await;
    stage.is_found_out(pending, REVOKED).await;
    stage.is_doubted(&key, REVOKED).await;
    assert_eq!(stage.history(&key).await, [Requested, Approved]);
}

#[tokio::test]
async fn a_code_by_a_revoked_capturer_is_not_opened() {
    let mut stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    stage.approve(&key).await;
    revoke(&stage, DESK, clock::now()).await;
    // It knows the new roster, and goes by it.
    stage.capture_anew().await;
    stage.mail(ACME, "482913").await;
    stage.until(&key, Captured).await;
    stage.is_found_out(pending, REVOKED).await;
    stage.is_doubted(&key, REVOKED).await;
}

#[tokio::test]
async fn what_a_revoked_key_dates_back_is_acted_on_by_nobody_either() {
    let stage = Box::pin(Stage::start()).await;
    // What is signed from now on is dated before the revocation.
    revoke(&stage, SHOPPER, clock::now().after(Duration::from_mins(10))).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    stage.is_not_shown(&key, REVOKED).await;
    stage.alarm(DESK, Some(&key), REVOKED).await;
    stage.is_found_out(pending, REVOKED).await;
}

async fn revoke(stage: &Stage, party: Party, at: Timestamp) {
    stage.renew(|roster| roster.revoked.push(Revocation { key: key(party).id(), at })).await;
}

/// Another agent, which goes by the latest roster, has its code captured.
async fn another_is_captured(stage: &Stage) -> RequestKey {
    let filter = Asking::code_by_email("Look", "other.example").unwrap().filter;
    let agent = stage.agent(BOOKER).await;
    let pending = within(agent.request(Asking { filter, ..asking() })).await.unwrap();
    stage.approve(pending.key()).await;
    stage.mail("a@other.example", "000000").await;
    stage.until(pending.key(), Captured).await;
    pending.key().clone()
}
