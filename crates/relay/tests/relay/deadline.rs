//! Time passes: a request lapses at its deadline, whatever it has come to and whoever was away.

use std::time::Duration;

use agent_otp_domain::{Actor, EventType};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::RefusalCode;
use async_nats::jetstream::{self, consumer::pull};
use tokio::time::Instant;

use crate::home::{Home, refusal};
use crate::world::eventually;

#[tokio::test]
async fn a_request_lapses_at_its_deadline_and_its_code_is_erased() {
    let mut home = Home::start().await;
    home.serve().await;
    let reached = [EventType::Requested, EventType::Approved, EventType::Captured];
    let all = reached.map(|reached| (reached, home.briefly()));
    for (reached, said) in &all {
        home.bring(said, *reached).await;
    }
    for (reached, said) in &all {
        home.until(&said.key, EventType::Expired).await;
        home.until_erased(said).await;
        let history = home.history(&said.key).await;
        assert_eq!(history.get(history.len() - 2), Some(reached), "once, though there are two relays");
        let expired = home.events(&said.key).await.pop().unwrap();
        assert!(expired.time >= said.expires_at);
        assert_eq!(expired.actor, Actor::relay());
        assert_eq!(refusal(home.shopper.call(&said.consume()).await), RefusalCode::Expired);
        assert_eq!(refusal(home.phone.call(&said.deny()).await), RefusalCode::Expired);
    }
}

#[tokio::test]
async fn a_request_lapses_although_no_relay_ran_at_its_deadline() {
    let mut home = Home::start().await;
    let said = home.briefly();
    home.bring(&said, EventType::Requested).await;
    home.stop_serving().await;
    eventually(async || (clock::now() > said.expires_at).then_some(())).await;
    assert_eq!(home.event_count().await, 1);
    home.serve().await;
    home.until(&said.key, EventType::Expired).await;
}

#[tokio::test]
async fn a_request_lapses_although_the_broker_was_away_at_its_deadline() {
    let mut home = Home::start().await;
    let said = home.briefly();
    home.bring(&said, EventType::Captured).await;
    home.world.stop().await;
    eventually(async || (clock::now() > said.expires_at).then_some(())).await;
    home.world.resume().await;
    home.until(&said.key, EventType::Expired).await;
}

#[tokio::test]
async fn after_its_deadline_a_request_is_over_before_anyone_has_said_so() {
    let mut home = Home::start().await;
    let said = home.briefly();
    home.bring(&said, EventType::Captured).await;
    home.stop_serving().await;
    eventually(async || (clock::now() > said.expires_at).then_some(())).await;
    home.serve().await;
    // Whether the timer or these are first: the answer is the same.
    assert_eq!(refusal(home.shopper.call(&said.consume()).await), RefusalCode::Expired);
    assert_eq!(refusal(home.shopper.call(&said.cancel()).await), RefusalCode::Expired);
    home.until(&said.key, EventType::Expired).await;
    assert_eq!(home.history(&said.key).await.len(), 4);
}

#[tokio::test]
async fn the_timer_of_a_request_that_has_ended_changes_nothing() {
    let home = Home::start().await;
    let (ended, open) = (home.briefly(), home.briefly());
    home.bring(&ended, EventType::Consumed).await;
    home.bring(&open, EventType::Requested).await;
    home.until(&open.key, EventType::Expired).await;
    assert_eq!(home.history(&ended.key).await.last(), Some(&EventType::Consumed));
}

#[tokio::test]
async fn the_timer_of_a_request_that_cannot_be_read_stays_and_comes_less_and_less_often() {
    let home = Home::start().await;
    let said = home.lasting(Duration::from_secs(4));
    home.bring(&said, EventType::Requested).await;
    home.damage(&said.key).await;
    let jetstream = jetstream::new(home.operator.client().clone());
    let timers = async || {
        let timers = jetstream.get_consumer_from_stream::<pull::Config, _, _>("relay_timers", "OTP_TIMER");
        timers.await.unwrap().cached_info().clone()
    };
    let delivered = async |times: u64| {
        eventually(async || (timers().await.delivered.consumer_sequence >= times).then(Instant::now)).await
    };
    let (first, third) = (delivered(1).await, delivered(3).await);
    // After one second, and then after two; a pause that stays the same would be two seconds for both.
    assert!(third.duration_since(first) > Duration::from_millis(2_100), "{:?}", third.duration_since(first));
    assert_eq!(timers().await.num_ack_pending, 1);
}
