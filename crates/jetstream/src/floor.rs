//! The NATS operations of one request's life, driven bare: the floor under everything that is built on them.

use agent_otp_domain::{Digest, EventType, RequestKey, SealedCode, Timestamp, codec};
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use crate::clock;
use crate::connection::Connection;
use crate::error::StoreError;
use crate::subject;
use crate::timers::{self, Timer};

/// How many messages are under way at a time while a log is filled.
const FILLING: usize = 1_000;

/// The events of one life, as bytes: what is appended has the size of what really is.
#[derive(Debug, Clone)]
pub struct Bodies {
    /// `requested`, `approved`, `captured`, `consumed`.
    pub events: [Bytes; 4],
    /// What lies in the vault.
    pub sealed: SealedCode,
}

/// The kinds of those events, in order.
const KINDS: [EventType; 4] =
    [EventType::Requested, EventType::Approved, EventType::Captured, EventType::Consumed];

/// The bare operations, with the relay's own NATS user.
#[derive(Debug, Clone)]
pub struct Floor {
    connection: Connection,
}

impl Floor {
    /// The bare operations on this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Four compare-and-appends, a put, a read by the leader, an erasure: one after another, each confirmed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] at the first that is not confirmed.
    pub async fn life(&self, key: &RequestKey, bodies: &Bodies) -> Result<(), StoreError> {
        let doing = "a bare operation";
        let failed = || StoreError::unreachable(doing);
        let [requested, approved, captured, consumed] = &bodies.events;
        let digest = Digest::of(&[bodies.sealed.as_bytes()]);
        let vault = subject::vault(key, &digest);
        let mut last = 0;
        for (kind, body) in KINDS.into_iter().zip([requested, approved, captured]) {
            if kind == EventType::Captured {
                let put = PublishMessage::build()
                    .payload(bodies.sealed.as_bytes().to_vec().into())
                    .expected_last_subject_sequence(0)
                    .ttl(std::time::Duration::from_mins(5));
                confirmed(self.connection.jetstream.send_publish(vault.clone(), put).await).await?;
            }
            last = self.append(key, kind, body, last).await?;
        }
        let stream = self.connection.jetstream.get_stream_no_info(subject::VAULT_STREAM).await;
        let stream = stream.map_err(|error| failed()(error.into()))?;
        let sealed = stream.get_last_raw_message_by_subject(&vault).await;
        let sealed = sealed.map_err(|error| failed()(error.into()))?;
        self.append(key, EventType::Consumed, consumed, last).await?;
        stream.delete_message(sealed.sequence).await.map_err(|error| failed()(error.into()))?;
        Ok(())
    }

    async fn append(
        &self,
        key: &RequestKey,
        kind: EventType,
        body: &Bytes,
        last: u64,
    ) -> Result<u64, StoreError> {
        let message = PublishMessage::build()
            .payload(body.clone())
            .header("Content-Type", "application/msgpack")
            .header("Nats-Expected-Last-Subject-Sequence-Subject", subject::log_of(key).as_str())
            .expected_last_subject_sequence(last)
            .message_id(clock::event_id().to_string());
        confirmed(self.connection.jetstream.send_publish(subject::log(key, kind), message).await).await
    }

    /// Stores open requests with their timers, many at a time; `requested` is the body of each.
    ///
    /// # Errors
    ///
    /// [`StoreError`] at the first that is not confirmed.
    pub async fn fill(
        &self,
        keys: impl IntoIterator<Item = RequestKey>,
        requested: &Bytes,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut under_way = std::collections::VecDeque::with_capacity(FILLING);
        for key in keys {
            let timer = Timer {
                owner: key.owner.clone(),
                agent: key.agent.clone(),
                request: key.request,
                expires_at,
            };
            let timer = timers::message(&key, expires_at, codec::encode(&timer).into());
            let jetstream = &self.connection.jetstream;
            under_way.push_back(jetstream.send_publish(subject::timer_set(&key), timer).await);
            let event = PublishMessage::build().payload(requested.clone());
            under_way
                .push_back(jetstream.send_publish(subject::log(&key, EventType::Requested), event).await);
            while under_way.len() >= FILLING {
                if let Some(first) = under_way.pop_front() {
                    confirmed(first).await?;
                }
            }
        }
        for left in under_way {
            confirmed(left).await?;
        }
        Ok(())
    }
}

async fn confirmed(published: Result<PublishAckFuture, PublishError>) -> Result<u64, StoreError> {
    let failed = StoreError::unreachable("a bare operation");
    let outcome = match published {
        Ok(acknowledgement) => acknowledgement.await,
        Err(error) => Err(error),
    };
    outcome.map(|ack| ack.sequence).map_err(|error| failed(error.into()))
}
