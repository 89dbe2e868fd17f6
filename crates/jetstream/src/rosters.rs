//! The rosters: a stream of their own, one subject each, kept for ever because old events need them.

use agent_otp_domain::codec::{self, DecodeError};
use agent_otp_domain::{OwnerId, SignedStatement};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use serde_json::json;

use crate::connection::Connection;
use crate::direct;
use crate::error::StoreError;
use crate::subject;

/// The rosters of all owners.
#[derive(Debug, Clone)]
pub struct Rosters {
    connection: Connection,
}

/// Why a roster was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another roster bears this number.
    #[error("roster {number} is there already, and is another one")]
    Taken {
        /// Which number.
        number: u64,
    },
    /// The broker did not confirm.
    #[error("the roster is not confirmed")]
    Store(#[from] StoreError),
}

impl Rosters {
    /// The rosters on this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// The roster with this number, or the latest.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker does not answer, or what is stored is no signed statement.
    pub async fn read(
        &self,
        owner: &OwnerId,
        number: Option<u64>,
    ) -> Result<Option<SignedStatement>, StoreError> {
        let subject = number
            .map_or_else(|| subject::rosters_of(owner), |number| subject::roster_subject(owner, number));
        let query = json!({ "last_by_subj": subject });
        let found = direct::get_one(&self.connection, subject::ROSTER_STREAM, &query).await?;
        found.map(|stored| decode(&stored.subject, &stored.body)).transpose()
    }

    /// Stores a roster under its number, once.
    ///
    /// # Errors
    ///
    /// [`PublishError::Taken`] if another one has this number.
    pub async fn publish(
        &self,
        owner: &OwnerId,
        number: u64,
        signed: &SignedStatement,
    ) -> Result<(), PublishError> {
        let message = PublishMessage::build()
            .payload(codec::encode(signed).into())
            .header("Content-Type", "application/msgpack")
            .expected_last_subject_sequence(0);
        let publish = self.connection.jetstream.send_publish(subject::roster_subject(owner, number), message);
        let outcome = match publish.await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                match self.read(owner, Some(number)).await? {
                    Some(found) if found.digest() == signed.digest() => Ok(()),
                    Some(_) | None => Err(PublishError::Taken { number }),
                }
            }
            Err(error) => Err(StoreError::unreachable("storing of a roster")(error.into()).into()),
        }
    }
}

fn decode(subject: &str, body: &[u8]) -> Result<SignedStatement, StoreError> {
    codec::decode(body)
        .map_err(|source: DecodeError| StoreError::Damaged { subject: subject.to_owned(), source })
}
