//! What `provision` makes, keeps and refuses to touch, and the one stream that the relay may make again.

use std::time::Duration;

use agent_otp_jetstream::Who;
use agent_otp_jetstream::provision::{
    ProvisionError, Provisioned, Settings, VaultStorage, ensure_vault, provision,
};
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, kv};

use crate::world::World;

const PROVISION: Who = Who::Operator("provision");
const RELAY: Who = Who::Operator("relay");

#[tokio::test]
async fn everything_is_made_once_and_then_kept() {
    let world = World::bare(&[]).await;
    let connection = world.connect(&PROVISION).await;
    let all = vec!["OTP_LOG", "OTP_ROSTER", "OTP_TIMER", "KV_otp_vault", "relay_timers", "relay_eraser"];
    let first = provision(&connection, Settings::default()).await.unwrap();
    assert_eq!(first, Provisioned { created: all.clone(), kept: Vec::new() });
    let second = provision(&connection, Settings::default()).await.unwrap();
    assert_eq!(second, Provisioned { created: Vec::new(), kept: all });
}

#[tokio::test]
async fn a_stream_with_other_settings_is_named_and_left_as_it_is() {
    let world = World::start(&[]).await;
    let connection = world.connect(&PROVISION).await;
    let jetstream = jetstream::new(connection.client().clone());
    let mut log = jetstream.get_stream("OTP_LOG").await.unwrap();
    let changed = Config { max_messages: 1_000, ..log.cached_info().config.clone() };
    jetstream.update_stream(changed).await.unwrap();
    let found = log.info().await.unwrap().config.clone();

    let error = provision(&connection, Settings::default()).await.unwrap_err();
    insta::assert_snapshot!(error, @"OTP_LOG exists with other settings: max_msgs is 1000, not -1; change it by hand, or give the settings that it has");
    assert_eq!(log.info().await.unwrap().config, found);
}

#[tokio::test]
async fn a_vault_in_files_is_not_taken_for_one_in_memory() {
    let world = World::bare(&[]).await;
    let connection = world.connect(&PROVISION).await;
    let in_files = Settings { vault: VaultStorage::File, ..Settings::default() };
    provision(&connection, in_files).await.unwrap();
    assert_eq!(provision(&connection, in_files).await.unwrap().created, Vec::<&str>::new());
    let error = provision(&connection, Settings::default()).await.unwrap_err();
    insta::assert_snapshot!(error, @r#"KV_otp_vault exists with other settings: storage is "file", not "memory"; change it by hand, or give the settings that it has"#);
}

#[tokio::test]
async fn a_bucket_made_by_others_is_no_vault_since_nothing_can_be_erased_from_it() {
    let world = World::bare(&[]).await;
    let connection = world.connect(&PROVISION).await;
    let jetstream = jetstream::new(connection.client().clone());
    let bucket =
        kv::Config { bucket: "otp_vault".to_owned(), storage: StorageType::Memory, ..Default::default() };
    jetstream.create_key_value(bucket).await.unwrap();
    let error = ensure_vault(&connection, Settings::default()).await.unwrap_err();
    let ProvisionError::Differs { name: "KV_otp_vault", differences } = error else { panic!("{error}") };
    assert!(differences.contains(&"deny_delete is true, not false".to_owned()), "{differences:?}");
}

#[tokio::test]
async fn a_durable_with_other_settings_is_named() {
    let world = World::start(&[]).await;
    let connection = world.connect(&PROVISION).await;
    let stream = jetstream::new(connection.client().clone()).get_stream("OTP_TIMER").await.unwrap();
    let mut durable = stream.get_consumer::<pull::Config>("relay_timers").await.unwrap();
    let config = durable.info().await.unwrap().config.clone();
    stream.update_consumer(jetstream::consumer::Config { max_deliver: 3, ..config }).await.unwrap();

    let error = provision(&connection, Settings::default()).await.unwrap_err();
    insta::assert_snapshot!(error, @"relay_timers exists with other settings: max_deliver is 3, not -1; change it by hand, or give the settings that it has");
}

#[tokio::test]
async fn the_patience_of_an_earlier_version_is_brought_up_to_date() {
    let world = World::start(&[]).await;
    let connection = world.connect(&PROVISION).await;
    let stream = jetstream::new(connection.client().clone()).get_stream("OTP_TIMER").await.unwrap();
    let mut durable = stream.get_consumer::<pull::Config>("relay_timers").await.unwrap();
    let config = durable.info().await.unwrap().config.clone();
    let earlier = jetstream::consumer::Config { ack_wait: Duration::from_secs(30), ..config.clone() };
    stream.update_consumer(earlier.clone()).await.unwrap();

    provision(&connection, Settings::default()).await.unwrap();
    assert_eq!(durable.info().await.unwrap().config, config);

    // With another difference besides, it is somebody's choice.
    stream.update_consumer(jetstream::consumer::Config { max_deliver: 3, ..earlier }).await.unwrap();
    let error = provision(&connection, Settings::default()).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Differs { name: "relay_timers", .. }), "{error}");
}

#[tokio::test]
async fn rosters_of_an_earlier_version_are_told_of_from_now_on() {
    let world = World::start(&[]).await;
    let connection = world.connect(&PROVISION).await;
    let jetstream = jetstream::new(connection.client().clone());
    let mut rosters = jetstream.get_stream("OTP_ROSTER").await.unwrap();
    let config = rosters.cached_info().config.clone();
    let earlier = Config { republish: None, ..config.clone() };
    jetstream.update_stream(earlier.clone()).await.unwrap();
    assert_eq!(rosters.info().await.unwrap().config.republish, None);

    provision(&connection, Settings::default()).await.unwrap();
    assert_eq!(rosters.info().await.unwrap().config, config);

    // With another difference besides, it is somebody's choice.
    jetstream.update_stream(Config { max_messages: 1_000, ..earlier }).await.unwrap();
    let error = provision(&connection, Settings::default()).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Differs { name: "OTP_ROSTER", .. }), "{error}");
}

#[tokio::test]
async fn a_broker_that_was_restarted_lacks_the_vault_alone_and_the_relay_makes_it_again() {
    let mut world = World::start(&[]).await;
    world.stop().await;
    world.resume().await;
    let relay = world.connect(&RELAY).await;
    let made = ensure_vault(&relay, Settings::default()).await.unwrap();
    assert_eq!(made, Provisioned { created: vec!["KV_otp_vault"], kept: Vec::new() });
    let again = ensure_vault(&relay, Settings::default()).await.unwrap();
    assert_eq!(again, Provisioned { created: Vec::new(), kept: vec!["KV_otp_vault"] });
    let others = provision(&world.connect(&PROVISION).await, Settings::default()).await.unwrap();
    assert_eq!(others.created, Vec::<&str>::new());
}

#[tokio::test]
async fn who_may_not_make_a_stream_is_told_which_one() {
    let world = World::bare(&[]).await;
    // The relay may not ask for the log to be made.
    let error = provision(&world.connect(&RELAY).await, Settings::default()).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Refused { name: "OTP_LOG", .. }), "{error}");
}
