//! What readers of the log use: live events as hints, and replay by sequence as the truth.

use agent_otp_domain::{MemberId, OwnerId, Recorded, RequestKey, SignedStatement, Timestamp, codec};
use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;

use crate::connection::Connection;
use crate::direct;
use crate::error::StoreError;
use crate::subject;

/// A live subscription to public events. It is only a hint: whoever acts on it asks the relay, or reads the log.
#[derive(Debug)]
pub struct Feed {
    subscriber: Subscriber,
}

/// A live event, as the broker says.
#[derive(Debug, Clone)]
pub struct Hint {
    /// What happened.
    pub recorded: Recorded,
}

impl Feed {
    /// The events of one request.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the connection is closed.
    pub async fn of_request(connection: &Connection, key: &RequestKey) -> Result<Self, StoreError> {
        Self::subscribe(connection, subject::events_of(key)).await
    }

    /// The events of one agent's requests.
    ///
    /// # Errors
    ///
    /// As [`Feed::of_request`].
    pub async fn of_agent(
        connection: &Connection,
        owner: &OwnerId,
        agent: &MemberId,
    ) -> Result<Self, StoreError> {
        Self::subscribe(connection, subject::events_of_agent(owner, agent)).await
    }

    /// The events of all of an owner's requests.
    ///
    /// # Errors
    ///
    /// As [`Feed::of_request`].
    pub async fn of_owner(connection: &Connection, owner: &OwnerId) -> Result<Self, StoreError> {
        Self::subscribe(connection, subject::events_of_owner(owner)).await
    }

    /// The events of everybody's requests.
    ///
    /// # Errors
    ///
    /// As [`Feed::of_request`].
    pub async fn of_all(connection: &Connection) -> Result<Self, StoreError> {
        Self::subscribe(connection, subject::EVENT_ALL.to_owned()).await
    }

    async fn subscribe(connection: &Connection, subject: String) -> Result<Self, StoreError> {
        let doing = "subscription to events";
        let subscriber = connection
            .client
            .subscribe(subject)
            .await
            .map_err(|error| StoreError::unreachable(doing)(error.into()))?;
        // Whoever subscribes first and asks then must not miss what lies between.
        connection.client.flush().await.map_err(|error| StoreError::unreachable(doing)(error.into()))?;
        Ok(Self { subscriber })
    }

    /// The next event; what cannot be read is passed over. None when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Hint> {
        loop {
            let message = self.subscriber.next().await?;
            if let Ok(recorded) = codec::decode_event(&message.payload) {
                return Some(Hint { recorded });
            }
        }
    }
}

/// A live subscription to signed statements that stand in no log: each is believed for its signature alone.
#[derive(Debug)]
pub struct Statements {
    subscriber: Subscriber,
}

impl Statements {
    /// An owner's rosters, as each is stored.
    pub(crate) async fn rosters_of(connection: &Connection, owner: &OwnerId) -> Result<Self, StoreError> {
        Self::subscribe(connection, subject::standing_of(owner)).await
    }

    /// What a capturer tells the agent of this request.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the connection is closed.
    pub async fn about(connection: &Connection, key: &RequestKey) -> Result<Self, StoreError> {
        Self::subscribe(connection, subject::notice(key)).await
    }

    async fn subscribe(connection: &Connection, subject: String) -> Result<Self, StoreError> {
        let subscribing = connection.client.subscribe(subject);
        let unreachable = StoreError::unreachable("subscription to statements");
        Ok(Self { subscriber: subscribing.await.map_err(|error| unreachable(error.into()))? })
    }

    /// The next statement; what cannot be read is passed over. None when the connection is closed for good.
    pub async fn next(&mut self) -> Option<SignedStatement> {
        loop {
            if let Ok(signed) = codec::decode(&self.subscriber.next().await?.payload) {
                return Some(signed);
            }
        }
    }
}

/// An event as it stands in the log.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the broker stored it.
    pub stored_at: Timestamp,
    /// The subject that it stands under.
    pub subject: String,
    /// The exact bytes.
    pub body: Bytes,
}

impl From<direct::Stored> for StoredEvent {
    fn from(message: direct::Stored) -> Self {
        Self {
            sequence: message.sequence,
            stored_at: message.time,
            subject: message.subject,
            body: message.body,
        }
    }
}

/// Reads the log by sequence, without a consumer: an auditor needs no more than this one grant.
#[derive(Debug, Clone)]
pub struct Replay {
    connection: Connection,
}

impl Replay {
    /// How many events one read brings at most.
    pub const BATCH: usize = 1_000;

    /// Replay over this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The events from `sequence` on, at most [`Replay::BATCH`]; empty when there are no more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker does not answer.
    pub async fn from(&self, sequence: u64) -> Result<Vec<StoredEvent>, StoreError> {
        let query = json!({ "seq": sequence.max(1), "batch": Self::BATCH });
        let found = direct::get_many(&self.connection, subject::LOG_STREAM, &query, Self::BATCH).await?;
        Ok(found.into_iter().map(StoredEvent::from).collect())
    }

    /// Whether the broker answers at all: it is asked for an event that cannot be there, so that none can be in the way.
    pub async fn is_answered(&self) -> bool {
        let query = json!({ "seq": i64::MAX });
        direct::get_one(&self.connection, subject::LOG_STREAM, &query).await.is_ok()
    }

    /// The log's first event; none if it is empty.
    ///
    /// # Errors
    ///
    /// As [`Replay::from`].
    pub async fn first(&self) -> Result<Option<StoredEvent>, StoreError> {
        let query = json!({ "seq": 1, "next_by_subj": subject::LOG_ALL });
        let found = direct::get_one(&self.connection, subject::LOG_STREAM, &query).await?;
        Ok(found.map(StoredEvent::from))
    }

    /// The sequence of the log's last event; 0 if it is empty.
    ///
    /// # Errors
    ///
    /// As [`Replay::from`].
    pub async fn last(&self) -> Result<u64, StoreError> {
        let query = json!({ "last_by_subj": subject::LOG_ALL });
        let found = direct::get_one(&self.connection, subject::LOG_STREAM, &query).await?;
        Ok(found.map_or(0, |message| message.sequence))
    }
}
