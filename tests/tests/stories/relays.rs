//! Two relays at once: they share the work, and neither is in the other's way.

use std::time::Duration;

use agent_otp_agent::{Agent, Asking};
use agent_otp_domain::RequestId;
use agent_otp_tests::{Place, ending_signals, eventually, strings, within};
use agent_otp_user::Approver;
use futures_util::StreamExt as _;
use futures_util::future::join_all;

const LIVES: u32 = 20;

#[tokio::test]
async fn twenty_lives_over_two_relays_each_end_with_their_own_code() {
    let place = Place::new();
    let _up = place.up().await;
    let run = place.run();
    let key = run.creds["relay"].to_str().unwrap();
    let _second = place.spawn("agent-otp-relay", &["serve", "--nats-url", &run.nats_url, "--nkey-file", key]);
    eventually("two relays to answer `$SRV.PING`", async || {
        let relays = relays(&place).await;
        (relays.len() == 2).then_some(())
    })
    .await;

    let (agent, approver) = (place.agent().await, place.approver().await);
    let lives = join_all((0..LIVES).map(|number| life(&place, &agent, &approver, number))).await;
    for id in lives {
        let history = place.history(&id.to_string()).await;
        assert_eq!(history, strings(["requested", "approved", "captured", "consumed"]));
    }
    assert_eq!(relays(&place).await.len(), 2);
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_ends_well() {
    let place = Place::new();
    let _up = place.up().await;
    let run = place.run();
    let key = run.creds["relay"].to_str().unwrap();
    for signal in ending_signals() {
        let arguments = ["serve", "--nats-url", &run.nats_url, "--nkey-file", key];
        let mut relay = place.spawn("agent-otp-relay", &arguments);
        eventually("it to serve", async || relay.said().contains("serving").then_some(())).await;
        relay.signal(signal);
        relay.ended().await.well();
    }
}

async fn life(place: &Place, agent: &Agent, approver: &Approver, number: u32) -> RequestId {
    let (shop, code) = (format!("shop-{number}.example"), (100_000 + 7_919 * number).to_string());
    let asking = Asking::code_by_email("Sign in to the shop", &shop).unwrap();
    let pending = agent.request(asking).await.unwrap();
    let id = pending.key().request;
    approver.approve(&approver.find(id).await.unwrap()).await.unwrap();
    place.mail(&format!("noreply@{shop}"), &format!("Your verification code is {code}.")).await;
    assert_eq!(within("a code", pending.wait()).await.unwrap().expose(), code);
    id
}

/// The ids of the relays that answer within half a second.
async fn relays(place: &Place) -> Vec<String> {
    let wire = place.wire("provision").await;
    let inbox = wire.client.new_inbox();
    let mut answers = wire.client.subscribe(inbox.clone()).await.unwrap();
    wire.client.publish_with_reply("$SRV.PING.agent-otp-relay", inbox, "".into()).await.unwrap();
    let mut ids = Vec::new();
    while let Ok(Some(answer)) = tokio::time::timeout(Duration::from_millis(500), answers.next()).await {
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        ids.push(answer["id"].as_str().unwrap().to_owned());
    }
    ids
}
