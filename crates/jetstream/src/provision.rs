//! Makes all streams and durables; run again, it says what differs and changes nothing of it.

use std::time::Duration;

use agent_otp_domain::EventType;
use async_nats::jetstream::consumer::{self, AckPolicy, pull};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, Republish, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{
    self,
    context::{ConsumerInfoErrorKind, GetStreamErrorKind},
};
use serde::Serialize;
use serde_json::Value;
use tracing::info;

use crate::connection::Connection;
use crate::subject;

/// How long a durable waits for a relay before it hands its work to another: a relay that dies with a timer or an end in
/// its hands delays the expiry or the erasure by so much.
const ACK_WAIT: Duration = Duration::from_secs(10);
/// What it was before.
const ACK_WAIT_BEFORE: Duration = Duration::from_secs(30);

/// How everything is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// On how many servers each stream is kept: 1, 3 or 5.
    pub replicas: usize,
    /// Where sealed codes are kept.
    pub vault: VaultStorage,
}

impl Default for Settings {
    fn default() -> Self {
        Self { replicas: 1, vault: VaultStorage::Memory }
    }
}

/// Where sealed codes are kept until they are erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaultStorage {
    /// In memory: no byte of them ever reaches a file.
    Memory,
    /// In files: they outlive a restart of the broker, and erasing costs a rewrite.
    File,
}

/// What `provision` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// What it made.
    pub created: Vec<&'static str>,
    /// What was there, as it should be.
    pub kept: Vec<&'static str>,
}

/// Why not everything is as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A stream or durable exists with other settings. It is left as it is.
    #[error("{name} exists with other settings: {}; change it by hand, or give the settings that it has", .differences.join(", "))]
    Differs {
        /// Which one.
        name: &'static str,
        /// Setting by setting: what it is, and what it should be.
        differences: Vec<String>,
    },
    /// The broker did not answer, or refused.
    #[error("{name} cannot be made")]
    Refused {
        /// Which one.
        name: &'static str,
        /// Why.
        #[source]
        source: async_nats::Error,
    },
}

/// Makes whatever is missing.
///
/// # Errors
///
/// [`ProvisionError::Differs`] at the first stream or durable that has other settings.
pub async fn provision(connection: &Connection, settings: Settings) -> Result<Provisioned, ProvisionError> {
    let mut done = Provisioned::default();
    for (name, config) in streams(settings) {
        stream(&connection.jetstream, name, config, &mut done).await?;
    }
    for (stream, name, config) in durables() {
        durable(&connection.jetstream, stream, name, config, &mut done).await?;
    }
    Ok(done)
}

/// Makes the vault alone, if it is missing: a single server forgets it when it restarts, and the relay may make that
/// one stream again.
///
/// # Errors
///
/// As [`provision`].
pub async fn ensure_vault(
    connection: &Connection,
    settings: Settings,
) -> Result<Provisioned, ProvisionError> {
    let mut done = Provisioned::default();
    stream(&connection.jetstream, subject::VAULT_STREAM, vault(settings), &mut done).await?;
    Ok(done)
}

fn streams(settings: Settings) -> [(&'static str, StreamConfig); 4] {
    [
        (subject::LOG_STREAM, log(settings)),
        (subject::ROSTER_STREAM, rosters(settings)),
        (subject::TIMER_STREAM, timers(settings)),
        (subject::VAULT_STREAM, vault(settings)),
    ]
}

/// What all streams share.
fn base(name: &str, subjects: &[&str], settings: Settings) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: 64 * 1024,
        duplicate_window: Duration::from_mins(2),
        allow_direct: true,
        ..StreamConfig::default()
    }
}

fn log(settings: Settings) -> StreamConfig {
    StreamConfig {
        description: Some("Agent OTP: every event of every request, append-only".to_owned()),
        // A type occurs at most once in a request, and its subject names both.
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        deny_delete: true,
        deny_purge: true,
        // A core subscription on the log's own subjects would see appends that are then refused.
        republish: Some(Republish {
            source: subject::LOG_ALL.to_owned(),
            destination: subject::EVENT_ALL.to_owned(),
            headers_only: false,
        }),
        ..base(subject::LOG_STREAM, &[subject::LOG_ALL], settings)
    }
}

fn rosters(settings: Settings) -> StreamConfig {
    StreamConfig {
        description: Some("Agent OTP: every signed roster, kept for ever".to_owned()),
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        deny_delete: true,
        deny_purge: true,
        // Members hear of a roster, and of the keys that it revokes, as soon as it is stored.
        republish: Some(Republish {
            source: subject::ROSTER_STORED.to_owned(),
            destination: subject::STANDING_ALL.to_owned(),
            headers_only: false,
        }),
        ..base(subject::ROSTER_STREAM, &[subject::ROSTER_ALL], settings)
    }
}

fn timers(settings: Settings) -> StreamConfig {
    StreamConfig {
        description: Some("Agent OTP: the deadlines of requests, as scheduled messages".to_owned()),
        retention: RetentionPolicy::WorkQueue,
        allow_message_schedules: true,
        // The server turns these on for schedules; said here so that a second run finds no difference.
        allow_rollup: true,
        allow_message_ttl: true,
        ..base(subject::TIMER_STREAM, &[subject::TIMER_SET_ALL, subject::TIMER_FIRED_ALL], settings)
    }
}

fn vault(settings: Settings) -> StreamConfig {
    let subjects = format!("$KV.{}.>", subject::VAULT_BUCKET);
    StreamConfig {
        description: Some("Agent OTP: sealed codes, until they are consumed".to_owned()),
        storage: match settings.vault {
            VaultStorage::Memory => StorageType::Memory,
            VaultStorage::File => StorageType::File,
        },
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        allow_message_ttl: true,
        // Only STREAM.MSG.DELETE erases bytes, and a bucket made by the KV API would refuse it.
        deny_delete: false,
        ..base(subject::VAULT_STREAM, &[&subjects], settings)
    }
}

fn durables() -> [(&'static str, &'static str, pull::Config); 2] {
    let base = |name: &str, filters: Vec<String>| pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subjects: filters,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: -1,
        // Ends wait ten seconds each for their erasure: the default of 1,000 would hold up a busy log.
        max_ack_pending: 100_000,
        ..pull::Config::default()
    };
    [
        (
            subject::TIMER_STREAM,
            subject::TIMER_DURABLE,
            base(subject::TIMER_DURABLE, vec![subject::TIMER_FIRED_ALL.to_owned()]),
        ),
        (
            subject::LOG_STREAM,
            subject::ERASER_DURABLE,
            base(subject::ERASER_DURABLE, EventType::ENDS.map(subject::log_of_kind).to_vec()),
        ),
    ]
}

async fn stream(
    jetstream: &jetstream::Context,
    name: &'static str,
    wanted: StreamConfig,
    done: &mut Provisioned,
) -> Result<(), ProvisionError> {
    let refused = |source| ProvisionError::Refused { name, source };
    match jetstream.get_stream(name).await {
        // Nobody's choice, but ours of before: it is brought up to date, and loses nothing by it.
        Ok(found) if is_of_before(name, &wanted, &found.cached_info().config) => {
            jetstream.update_stream(wanted).await.map_err(|error| refused(error.into()))?;
            info!(stream = name, "brought up to date");
            done.kept.push(name);
        }
        Ok(found) => {
            agrees(name, &wanted, &found.cached_info().config)?;
            done.kept.push(name);
        }
        Err(error) if is_missing(&error) => {
            jetstream.create_stream(wanted).await.map_err(|error| refused(error.into()))?;
            info!(stream = name, "created");
            done.created.push(name);
        }
        Err(error) => return Err(refused(error.into())),
    }
    Ok(())
}

/// Whether this is the roster stream as it was made before it told of what it stores.
fn is_of_before(name: &'static str, wanted: &StreamConfig, found: &StreamConfig) -> bool {
    let before = StreamConfig { republish: None, ..wanted.clone() };
    name == subject::ROSTER_STREAM && found.republish.is_none() && agrees(name, &before, found).is_ok()
}

fn is_missing(error: &jetstream::context::GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(cause) if cause.code() == 404)
}

async fn durable(
    jetstream: &jetstream::Context,
    stream: &str,
    name: &'static str,
    wanted: pull::Config,
    done: &mut Provisioned,
) -> Result<(), ProvisionError> {
    let refused = |source| ProvisionError::Refused { name, source };
    let stream = jetstream.get_stream_no_info(stream).await.map_err(|error| refused(error.into()))?;
    match stream.consumer_info(name).await {
        // Nobody's choice, but ours of before: it is brought up to date, and loses nothing by it.
        Ok(found) if is_patient_as_before(name, &wanted, &found.config) => {
            stream.update_consumer(wanted).await.map_err(|error| refused(error.into()))?;
            info!(durable = name, "brought up to date");
            done.kept.push(name);
        }
        Ok(found) => {
            agrees(name, &wanted, &found.config)?;
            done.kept.push(name);
        }
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
            stream.create_consumer_strict(wanted).await.map_err(|error| refused(error.into()))?;
            info!(durable = name, "created");
            done.created.push(name);
        }
        Err(error) => return Err(refused(error.into())),
    }
    Ok(())
}

/// Whether this is a durable as an earlier version made it, which waited longer for a relay.
fn is_patient_as_before(name: &'static str, wanted: &pull::Config, found: &consumer::Config) -> bool {
    let before = pull::Config { ack_wait: ACK_WAIT_BEFORE, ..wanted.clone() };
    found.ack_wait == ACK_WAIT_BEFORE && agrees(name, &before, found).is_ok()
}

/// Compares what was asked for with what is there, as both are written in JSON. What the server adds is its own affair.
fn agrees<W: Serialize, F: Serialize>(
    name: &'static str,
    wanted: &W,
    found: &F,
) -> Result<(), ProvisionError> {
    let (wanted, found) = (json_object(wanted), json_object(found));
    let differences: Vec<String> = wanted
        .iter()
        .filter(|(_, wanted)| !is_unset(wanted))
        .filter(|(key, wanted)| found.get(*key) != Some(wanted))
        .map(|(key, wanted)| format!("{key} is {}, not {wanted}", found.get(key).unwrap_or(&Value::Null)))
        .chain(
            // A protection that is asked for must not be missing, and none may be there that was not asked for.
            found
                .iter()
                .filter(|(key, found)| !wanted.contains_key(*key) && matches!(found, Value::Bool(true)))
                .map(|(key, _)| format!("{key} is true, not false")),
        )
        .collect();
    if differences.is_empty() { Ok(()) } else { Err(ProvisionError::Differs { name, differences }) }
}

fn json_object<T: Serialize>(value: &T) -> serde_json::Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => serde_json::Map::new(),
    }
}

/// Zero, null and empty mean "the server's default" in these configurations.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => value.is_null(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}
