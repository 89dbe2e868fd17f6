//! A member's side of the command bus: every command may be sent again, so a lost answer is asked for once more.

use std::time::Duration;

use agent_otp_domain::{
    Actor, MemberId, OwnerId, Recorded, RequestKey, Role, SignedStatement, Timestamp, codec, excerpt,
};
use async_nats::HeaderMap;
use async_nats::client::RequestErrorKind;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use crate::clock;
use crate::connection::{Connection, PATIENCE};
use crate::error::StoreError;
use crate::message::{Ask, OpenRequest, RefusalCode, Reply};
use crate::subject;
use crate::timers::Timers;

/// How long a call keeps trying before it says that the relay cannot be reached.
const TRY_FOR: Duration = Duration::from_secs(10);

/// How many open requests are listed at most, and in how many pages: a relay could go on for ever. A page may hold none,
/// because timers of requests that have ended stand until their deadline.
const OPEN_MAX: usize = 16_384;
const OPEN_PAGES_MAX: usize = 16_384;

/// A member's way to the relay.
#[derive(Debug, Clone)]
pub struct Bus {
    connection: Connection,
    owner: OwnerId,
    role: Role,
    member: MemberId,
}

/// Why a call brought no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The relay refused.
    #[error("{message}")]
    Refused {
        /// Why, for programs.
        code: RefusalCode,
        /// Why, for people: an [`excerpt`] of what the relay says.
        message: String,
    },
    /// Nobody answered; the command may or may not have had its effect.
    #[error("the relay does not answer; is it running?")]
    Unreachable(#[source] async_nats::Error),
    /// The answer makes no sense.
    #[error("the relay's answer cannot be read")]
    Unreadable(#[source] async_nats::Error),
}

impl CallError {
    /// Whether asking again may help: nobody answered, or the relay's store is not there at the moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { code, .. } => *code == RefusalCode::Unavailable,
            Self::Unreadable(_) => false,
        }
    }

    /// What the relay refused with.
    #[must_use]
    pub fn refusal(&self) -> Option<RefusalCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Unreachable(_) | Self::Unreadable(_) => None,
        }
    }
}

impl Bus {
    /// The bus for a member, on a connection whose NATS user may publish as that member.
    #[must_use]
    pub fn new(connection: Connection, owner: OwnerId, role: Role, member: MemberId) -> Self {
        Self { connection, owner, role, member }
    }

    /// Whose member this is.
    #[must_use]
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// Who asks.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor { role: self.role, member: self.member.clone() }
    }

    /// The connection that it uses.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Asks, and asks again for some seconds while nobody answers, or what is asked for is not to be had.
    ///
    /// # Errors
    ///
    /// [`CallError`] says what came of it: of the last try that came to anything.
    pub async fn call(&self, ask: &Ask) -> Result<Reply, CallError> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .without_max_times()
            .with_jitter()
            .build();
        let deadline = Instant::now() + TRY_FOR;
        let mut failed = None;
        loop {
            // On the heap, because whoever awaits several calls would hold all of their states in its own.
            match timeout_at(deadline, Box::pin(self.call_once(ask))).await {
                Ok(Err(error)) if error.is_transient() => failed = Some(error),
                Ok(answered) => return answered,
                // A relay that said that it has lost a code was reached: its word outlives the last try.
                Err(elapsed) => return Err(failed.unwrap_or_else(|| CallError::Unreachable(elapsed.into()))),
            }
            sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    /// Asks once.
    ///
    /// # Errors
    ///
    /// As [`Bus::call`].
    pub async fn call_once(&self, ask: &Ask) -> Result<Reply, CallError> {
        let subject = subject::command(&self.owner, self.role, &self.member, ask.verb());
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/msgpack");
        let request =
            self.connection.client.request_with_headers(subject, headers, codec::encode(ask).into());
        let answer = request.await.map_err(|error| {
            debug!(verb = ask.verb().as_str(), kind = %error.kind(), "no answer");
            match error.kind() {
                RequestErrorKind::MaxPayloadExceeded => CallError::Refused {
                    code: RefusalCode::Malformed,
                    message: "the message is larger than the broker takes".to_owned(),
                },
                RequestErrorKind::TimedOut
                | RequestErrorKind::NoResponders
                | RequestErrorKind::InvalidSubject
                | RequestErrorKind::Other => CallError::Unreachable(error.into()),
            }
        })?;
        match codec::decode(&answer.payload).map_err(|error| CallError::Unreadable(error.into()))? {
            // It is shown in logs, in notices, and beside what the user decides on.
            Reply::Refused { code, message } => Err(CallError::Refused { code, message: excerpt(&message) }),
            reply @ (Reply::Done { .. }
            | Reply::Code { .. }
            | Reply::Events { .. }
            | Reply::Open { .. }
            | Reply::Roster { .. }) => Ok(reply),
        }
    }

    /// Tells the agent of this request something, past the relay and the log: whoever does not listen now has missed it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the connection is closed for good.
    pub async fn tell(&self, key: &RequestKey, notice: &SignedStatement) -> Result<(), StoreError> {
        let publishing = self.connection.client.publish(subject::notice(key), codec::encode(notice).into());
        publishing.await.map_err(|error| StoreError::unreachable("a notice")(error.into()))
    }

    /// Reads a request's events; none if the relay knows no such request.
    ///
    /// # Errors
    ///
    /// As [`Bus::call`].
    pub async fn get(&self, key: &RequestKey) -> Result<Vec<Recorded>, CallError> {
        Ok(self.get_dated(key).await?.0)
    }

    /// Reads the same, and works out when the request was stored by this machine's own clock: the relay says how long
    /// ago that was. None if it does not say, or if its answer was under way for too long to tell.
    ///
    /// # Errors
    ///
    /// As [`Bus::call`].
    pub async fn get_dated(&self, key: &RequestKey) -> Result<(Vec<Recorded>, Option<Timestamp>), CallError> {
        let asked_at = clock::now();
        let ask = Ask::Get { agent: key.agent.clone(), request: key.request };
        let (events, now) = match self.call(&ask).await {
            Ok(Reply::Events { events, now }) => (events, now),
            Ok(_) => return Err(unexpected()),
            Err(CallError::Refused { code: RefusalCode::Unknown, .. }) => return Ok((Vec::new(), None)),
            Err(error) => return Err(error),
        };
        let decoded = events.iter().map(|bytes| codec::decode_event(bytes));
        let events: Vec<Recorded> =
            decoded.collect::<Result<_, _>>().map_err(|error| CallError::Unreadable(error.into()))?;
        let answered_at = clock::now();
        let prompt = now.filter(|_| answered_at.since(asked_at) < PATIENCE);
        let age = prompt.and_then(|now| Some(now.since(events.first()?.time)));
        Ok((events, age.map(|age| answered_at.before(age))))
    }

    /// Lists the owner's open requests, page by page, up to a number that nobody decides.
    ///
    /// # Errors
    ///
    /// As [`Bus::call`]; [`CallError::Unreadable`] too if the pages do not go forward.
    pub async fn open(&self) -> Result<Vec<OpenRequest>, CallError> {
        let (mut found, mut from) = (Vec::new(), None);
        for _ in 0..OPEN_PAGES_MAX {
            let (requests, next) = self.open_page(from).await?;
            found.extend(requests);
            match next {
                None => return Ok(found),
                Some(_) if found.len() >= OPEN_MAX => break,
                Some(next) if from.is_none_or(|from| from < next) => from = Some(next),
                Some(_) => return Err(CallError::Unreadable("the pages go round in circles".into())),
            }
        }
        warn!(listed = found.len(), "more requests are open than are listed");
        Ok(found)
    }

    async fn open_page(&self, from: Option<u64>) -> Result<(Vec<OpenRequest>, Option<u64>), CallError> {
        match self.call(&Ask::Open { from }).await? {
            Reply::Open { requests, next } if requests.len() <= Timers::PAGE => Ok((requests, next)),
            Reply::Open { .. } => Err(CallError::Unreadable("a page holds more than it may".into())),
            Reply::Done { .. }
            | Reply::Code { .. }
            | Reply::Events { .. }
            | Reply::Roster { .. }
            | Reply::Refused { .. } => Err(unexpected()),
        }
    }

    /// Reads the roster with this number, or the latest.
    ///
    /// # Errors
    ///
    /// As [`Bus::call`].
    pub async fn roster(&self, number: Option<u64>) -> Result<SignedStatement, CallError> {
        match self.call(&Ask::Roster { number }).await? {
            Reply::Roster { statement } => Ok(statement),
            Reply::Done { .. }
            | Reply::Code { .. }
            | Reply::Events { .. }
            | Reply::Open { .. }
            | Reply::Refused { .. } => Err(unexpected()),
        }
    }
}

fn unexpected() -> CallError {
    CallError::Unreadable("another kind of reply was expected".into())
}
