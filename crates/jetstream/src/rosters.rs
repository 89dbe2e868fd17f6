//! The rosters: a stream of their own, one subject each, kept for ever because old events need them.

use agent_otp_domain::codec::{self, DecodeError};
use agent_otp_domain::{OwnerId, SignedStatement};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;

use crate::connection::Connection;
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
    #[error(
        "roster {number} is there already, and is another one: restore `owner/rosters` of the user's machine from its latest \
         backup"
    )]
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

    /// The roster with this number, or the latest, as the stream's leader has it: a replica that is behind would have the
    /// rosters go backwards.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the leader does not answer, or what is stored is no signed statement.
    pub async fn read(
        &self,
        owner: &OwnerId,
        number: Option<u64>,
    ) -> Result<Option<SignedStatement>, StoreError> {
        let doing = "read of a roster";
        let subject = number
            .map_or_else(|| subject::rosters_of(owner), |number| subject::roster_subject(owner, number));
        let stream = self.connection.jetstream.get_stream_no_info(subject::ROSTER_STREAM).await;
        let stream = stream.map_err(|error| StoreError::unreachable(doing)(error.into()))?;
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(found) => decode(&found.subject, &found.payload).map(Some),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(StoreError::unreachable(doing)(error.into())),
        }
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
