//! The event log: loads a request with one read, and appends by compare-and-append.

use std::error::Error as _;

use agent_otp_domain::{EventId, EventType, Recorded, RequestKey, State, Timestamp, Version, codec, excerpt};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use serde_json::json;
use tracing::debug;

use crate::connection::Connection;
use crate::direct::{self, Stored};
use crate::error::StoreError;
use crate::subject;

/// How often an append whose outcome is unclear is sent again: the same bytes, with the same id and expectation.
const RESENDS_MAX: usize = 3;

/// The most events of one request: each type occurs at most once.
const EVENTS_MAX: usize = EventType::ALL.len();

/// The event log.
#[derive(Debug, Clone)]
pub struct Log {
    connection: Connection,
}

/// A request's events as they are stored, and where the next one goes.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The events, decoded, in order.
    pub events: Vec<Recorded>,
    /// The exact bytes of each.
    pub bytes: Vec<Bytes>,
    /// The stream sequence of each.
    pub sequences: Vec<u64>,
}

impl Loaded {
    /// What the events add up to.
    #[must_use]
    pub fn state(&self) -> State {
        State::replay(self.events.iter().map(|recorded| &recorded.event))
    }

    /// The version of the last event.
    #[must_use]
    pub fn version(&self) -> Version {
        self.events.last().map(|recorded| recorded.version).unwrap_or_default()
    }

    /// When the last event was decided, by the clock of the relay that did; the beginning of time if there is none.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        self.events.last().map_or(Timestamp::from_unix_ms(0), |recorded| recorded.time)
    }

    /// The stream sequence of the last event: what the next append expects; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.sequences.last().copied().unwrap_or_default()
    }

    /// The same with one event more, which was stored at `sequence`.
    #[must_use]
    pub fn then(mut self, recorded: Recorded, appended: Appended) -> Self {
        self.events.push(recorded);
        self.bytes.push(appended.bytes);
        self.sequences.push(appended.sequence);
        self
    }

    fn sequence_of(&self, id: EventId) -> Option<u64> {
        let mut found = self.events.iter().zip(&self.sequences);
        found.find(|(recorded, _)| recorded.id == id).map(|(_, sequence)| *sequence)
    }
}

/// Why an append was not stored.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Someone else appended first. Read again and decide again.
    #[error("another event was appended after sequence {expected}")]
    Conflict {
        /// What was last when it was decided.
        expected: u64,
    },
    /// The broker did not confirm in time: the event may or may not be stored.
    #[error("the append is not confirmed")]
    Store(#[from] StoreError),
}

/// Where an event was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The stream sequence.
    pub sequence: u64,
    /// The exact bytes.
    pub bytes: Bytes,
}

/// What one attempt to append tells.
enum Attempt {
    Stored(u64),
    /// A rival may have been first, or it may have been this very append.
    Unclear(Option<StoreError>),
}

impl Log {
    /// The log on this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Reads a request's events. On a cluster a replica may answer that is a moment behind: an append then conflicts,
    /// and a refusal asks [`Log::is_current`] first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker does not answer, or an event cannot be read.
    pub async fn load(&self, key: &RequestKey) -> Result<Loaded, StoreError> {
        let query = json!({ "multi_last": [subject::log_of(key)] });
        let mut stored = direct::get_many(&self.connection, subject::LOG_STREAM, &query, EVENTS_MAX).await?;
        stored.sort_by_key(|message| message.sequence);
        let events = stored.iter().map(recorded).collect::<Result<_, _>>()?;
        let sequences = stored.iter().map(|message| message.sequence).collect();
        Ok(Loaded { events, bytes: stored.into_iter().map(|message| message.body).collect(), sequences })
    }

    /// Whether `last` is the sequence of the request's last event, as the stream's leader says.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the leader does not answer.
    pub async fn is_current(&self, key: &RequestKey, last: u64) -> Result<bool, StoreError> {
        let doing = "read from the log's leader";
        let stream = self
            .connection
            .jetstream
            .get_stream_no_info(subject::LOG_STREAM)
            .await
            .map_err(|error| StoreError::unreachable(doing)(error.into()))?;
        match stream.get_last_raw_message_by_subject(&subject::log_of(key)).await {
            Ok(message) => Ok(message.sequence == last),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(last == 0),
            Err(error) => Err(StoreError::unreachable(doing)(error.into())),
        }
    }

    /// Appends an event if `expected` is still the last sequence of the request.
    ///
    /// An unclear outcome is settled by reading again: the event's own id says whether it is there.
    ///
    /// # Errors
    ///
    /// [`AppendError::Conflict`] if someone else was first; [`AppendError::Store`] if the broker went silent, when the
    /// event may be stored later: deciding the same command again finds it.
    pub async fn append(&self, expected: u64, recorded: &Recorded) -> Result<Appended, AppendError> {
        let key = recorded.key();
        let bytes = Bytes::from(codec::encode(recorded));
        let mut silent = None;
        for _ in 0..RESENDS_MAX {
            match self.attempt(expected, recorded, bytes.clone()).await {
                Attempt::Stored(sequence) => return Ok(Appended { sequence, bytes }),
                Attempt::Unclear(error) => silent = error,
            }
            let loaded = match self.load(&key).await {
                Ok(loaded) => loaded,
                Err(error) => {
                    silent = Some(error);
                    continue;
                }
            };
            if let Some(sequence) = loaded.sequence_of(recorded.id) {
                return Ok(Appended { sequence, bytes });
            }
            if loaded.last() != expected {
                return Err(AppendError::Conflict { expected });
            }
            // Nothing has changed: a spurious rival, or an append that is still under way. Sending the same again
            // is safe, because at most one of the two fits the expectation.
        }
        Err(silent.map_or(AppendError::Conflict { expected }, AppendError::Store))
    }

    async fn attempt(&self, expected: u64, recorded: &Recorded, bytes: Bytes) -> Attempt {
        let kind = recorded.event.kind();
        let key = recorded.key();
        let message = PublishMessage::build()
            .payload(bytes)
            .header("Content-Type", "application/msgpack")
            .header("Otp-Event-Type", kind.as_str())
            .header("Otp-Schema-Version", agent_otp_domain::Event::SCHEMA_VERSION.to_string().as_str())
            .header("Nats-Expected-Last-Subject-Sequence-Subject", subject::log_of(&key).as_str())
            .expected_last_subject_sequence(expected)
            .message_id(recorded.id.to_string());
        let publish = self.connection.jetstream.send_publish(subject::log(&key, kind), message);
        let outcome = match publish.await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(ack) if !ack.duplicate => Attempt::Stored(ack.sequence),
            // Another decision can bear this id only if this very append was stored before: read and see.
            Ok(_) => Attempt::Unclear(None),
            Err(error) => {
                // On three servers a rival's append that is still under way shows as the latter (10164).
                let rival = error.kind() == PublishErrorKind::WrongLastSequence
                    || error_code(&error) == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT);
                debug!(request = %key, %error, rival, "append not confirmed");
                Attempt::Unclear((!rival).then(|| StoreError::unreachable("append")(error.into())))
            }
        }
    }
}

fn error_code(error: &PublishError) -> Option<ErrorCode> {
    Some(error.source()?.downcast_ref::<jetstream::Error>()?.error_code())
}

fn recorded(stored: &Stored) -> Result<Recorded, StoreError> {
    codec::decode_event(&stored.body)
        .map_err(|source| StoreError::Damaged { subject: excerpt(&stored.subject), source })
}
