//! The way between one that wants to join and the owner's side: requests on one subject, of which nothing is stored.

use std::time::Duration;

use agent_otp_domain::{MemberId, OwnerId, codec};
use agent_otp_trust::enrolment::{Answer, Said};
use async_nats::client::RequestErrorKind;
use async_nats::{Request, Subject, Subscriber};
use futures_util::StreamExt as _;
use tracing::{debug, warn};

use crate::connection::Connection;
use crate::error::StoreError;
use crate::subject;

/// The owner's side of one enrolment: hears whoever has its token.
#[derive(Debug)]
pub struct Reception {
    connection: Connection,
    subscriber: Subscriber,
    inbox: String,
}

/// Something that was said to the owner's side, and waits for its answer.
#[derive(Debug)]
#[must_use = "whoever said it waits for an answer"]
pub struct Visit {
    /// What was said; none if it cannot be read.
    pub said: Option<Said>,
    connection: Connection,
    reply: Subject,
}

/// The joiner's side of one enrolment.
#[derive(Debug)]
pub struct Entrance {
    connection: Connection,
    subject: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EntranceError {
    /// The owner's side is not there.
    #[error("nobody waits for this token: `agent-otp enroll` has ended there; have another token made")]
    Closed,
    /// No answer has come in time, or the connection is lost.
    #[error("the owner's side does not answer")]
    Silent(#[source] async_nats::Error),
    /// What came is no answer.
    #[error("the answer cannot be read")]
    Unreadable(#[source] async_nats::Error),
}

impl Reception {
    /// Hears of the enrolment `id` from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the connection is closed.
    pub async fn open(connection: Connection, owner: &OwnerId, id: &MemberId) -> Result<Self, StoreError> {
        let doing = "subscription to an enrolment";
        let subscriber = connection.client.subscribe(subject::join(owner, id)).await;
        let subscriber = subscriber.map_err(|error| StoreError::unreachable(doing)(error.into()))?;
        connection.client.flush().await.map_err(|error| StoreError::unreachable(doing)(error.into()))?;
        let inbox = format!("{}.", subject::enrolment_inbox(owner, id));
        Ok(Self { connection, subscriber, inbox })
    }

    /// The next thing that is said; none when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Visit> {
        loop {
            let message = self.subscriber.next().await?;
            // NATS lets anyone name any subject for the answer.
            let Some(reply) = message.reply.filter(|reply| reply.starts_with(&self.inbox)) else {
                warn!("an answer was asked for elsewhere than in the joiner's own inbox");
                continue;
            };
            let said = codec::decode(&message.payload).ok();
            return Some(Visit { said, connection: self.connection.clone(), reply });
        }
    }
}

impl Visit {
    /// Answers, and sees to it that the answer has left.
    pub async fn answer(&self, answer: &Answer) {
        let payload = codec::encode(answer).into();
        if let Err(error) = self.connection.client.publish(self.reply.clone(), payload).await {
            debug!(%error, "nobody waits for the answer");
        }
        self.connection.flush().await;
    }
}

impl Entrance {
    /// Where the enrolment `id` is spoken of.
    #[must_use]
    pub fn new(connection: Connection, owner: &OwnerId, id: &MemberId) -> Self {
        Self { connection, subject: subject::join(owner, id) }
    }

    /// Says something, once, and waits so long for its answer: it may be a person who gives it.
    ///
    /// # Errors
    ///
    /// [`EntranceError`]: it may have been heard all the same.
    pub async fn say(&self, said: &Said, patience: Duration) -> Result<Answer, EntranceError> {
        let request = Request::new().payload(codec::encode(said).into()).timeout(Some(patience));
        let answer = self.connection.client.send_request(self.subject.clone(), request).await;
        let answer = answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => EntranceError::Closed,
            RequestErrorKind::TimedOut
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::Other => EntranceError::Silent(error.into()),
        })?;
        codec::decode(&answer.payload).map_err(|error| EntranceError::Unreadable(error.into()))
    }
}
