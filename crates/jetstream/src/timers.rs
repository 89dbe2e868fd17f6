//! Deadlines as scheduled messages (ADR-51): armed before a request is stored, never cancelled.

use std::time::Duration;

use agent_otp_domain::{EventType, MemberId, OwnerId, RequestId, RequestKey, Timestamp, codec};
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::connection::Connection;
use crate::direct;
use crate::error::StoreError;
use crate::subject;

/// The timers.
#[derive(Debug, Clone)]
pub struct Timers {
    connection: Connection,
}

/// What a timer says, armed or fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "timer.v1")]
pub struct Timer {
    /// Whose request it is.
    pub owner: OwnerId,
    /// Which agent's.
    pub agent: MemberId,
    /// Which one.
    pub request: RequestId,
    /// When it fires, in milliseconds since 1970.
    pub expires_at: Timestamp,
}

impl Timer {
    /// What the message is called.
    pub const TYPE: &'static str = "timer.v1";
}

/// A page of an owner's armed timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armed {
    /// The requests whose timers stand.
    pub requests: Vec<RequestKey>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<u64>,
}

/// A message of a durable that calls for work on one request.
#[derive(Debug)]
pub struct Due {
    /// Which request; none if the subject makes no sense, and the message is best acknowledged.
    pub request: Option<RequestKey>,
    /// How often this message was delivered, this time included.
    pub deliveries: i64,
    /// How the request ended, if that is what is told.
    pub end: Option<EventType>,
    message: jetstream::Message,
}

impl Due {
    /// The work is done.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker is gone: the message comes again.
    pub async fn done(&self) -> Result<(), StoreError> {
        self.message.ack().await.map_err(StoreError::unreachable("acknowledgement"))
    }

    /// The work is to be tried again after a while.
    ///
    /// # Errors
    ///
    /// As [`Due::done`].
    pub async fn again_after(&self, delay: Duration) -> Result<(), StoreError> {
        self.message
            .ack_with(AckKind::Nak(Some(delay)))
            .await
            .map_err(StoreError::unreachable("acknowledgement"))
    }
}

impl Timers {
    /// How many armed timers a page holds.
    pub const PAGE: usize = 256;

    /// The timers on this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Arms a request's timer; one that is armed stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker did not confirm.
    pub async fn arm(&self, key: &RequestKey, at: Timestamp) -> Result<(), StoreError> {
        let body = Timer {
            owner: key.owner.clone(),
            agent: key.agent.clone(),
            request: key.request,
            expires_at: at,
        };
        let message = message(key, at, codec::encode(&body).into()).expected_last_subject_sequence(0);
        let publish = self.connection.jetstream.send_publish(subject::timer_set(key), message);
        let outcome = match publish.await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(StoreError::unreachable("arming of a timer")(error.into())),
        }
    }

    /// A page of an owner's armed timers: its requests whose deadline has not passed, ended or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker does not answer.
    pub async fn armed(&self, owner: &OwnerId, from: Option<u64>) -> Result<Armed, StoreError> {
        let query = json!({ "seq": from.unwrap_or(1), "batch": Self::PAGE, "next_by_subj": subject::timers_of(owner) });
        let found = direct::get_many(&self.connection, subject::TIMER_STREAM, &query, Self::PAGE).await?;
        let next = if found.len() < Self::PAGE {
            None
        } else {
            found.last().map(|last| last.sequence.saturating_add(1))
        };
        Ok(Armed {
            requests: found.iter().filter_map(|timer| subject::request_key(&timer.subject, 4)).collect(),
            next,
        })
    }

    /// The timers that fire, shared by all relays.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the durable is not there: run `provision`.
    pub async fn fired(
        &self,
    ) -> Result<impl futures_util::Stream<Item = Result<Due, StoreError>> + use<>, StoreError> {
        due(&self.connection, subject::TIMER_STREAM, subject::TIMER_DURABLE, 4).await
    }

    /// The ends of requests, whose sealed codes are to be erased, shared by all relays.
    ///
    /// # Errors
    ///
    /// As [`Timers::fired`].
    pub async fn ends(
        &self,
    ) -> Result<impl futures_util::Stream<Item = Result<Due, StoreError>> + use<>, StoreError> {
        due(&self.connection, subject::LOG_STREAM, subject::ERASER_DURABLE, 3).await
    }
}

/// A message that the broker publishes again when its time comes.
pub(crate) fn message(key: &RequestKey, at: Timestamp, body: Bytes) -> PublishMessage {
    PublishMessage::build()
        .payload(body)
        .header("Content-Type", "application/msgpack")
        .header("Nats-Schedule", format!("@at {at}").as_str())
        .header("Nats-Schedule-Target", subject::timer_fired(key).as_str())
}

/// The work that a durable hands out.
async fn due(
    connection: &Connection,
    stream: &str,
    durable: &str,
    prefix_tokens: usize,
) -> Result<impl futures_util::Stream<Item = Result<Due, StoreError>> + use<>, StoreError> {
    let doing = "reading of a durable";
    let consumer: PullConsumer = connection
        .jetstream
        .get_consumer_from_stream::<pull::Config, _, _>(durable, stream)
        .await
        .map_err(|error| StoreError::unreachable(doing)(error.into()))?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(100)
        .heartbeat(Duration::from_secs(5))
        .messages()
        .await
        .map_err(|error| StoreError::unreachable(doing)(error.into()))?;
    Ok(messages.map(move |message| {
        let message = message.map_err(|error| StoreError::unreachable(doing)(error.into()))?;
        let deliveries = message.info().map_or(1, |info| info.delivered);
        let request = subject::request_key(&message.subject, prefix_tokens);
        let end = message.subject.rsplit('.').next().and_then(|kind| kind.parse().ok());
        Ok(Due { request, deliveries, end, message })
    }))
}
