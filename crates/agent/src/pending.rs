//! A request that was made: waits for the code, claims it, verifies before it opens.

use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{CLOCK_SKEW_MAX, Code, Digest, EventType, RequestKey, Timestamp};
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply};
use agent_otp_jetstream::{CallError, Feed, Statements, Unfollowed, VerifyError, clock};
use agent_otp_seal::{AgentSecret, Context, OpenError};
use agent_otp_trust::{Cancel, Consume, Nonce, Request, RosterError, VerifiedRequest};
use tracing::{debug, info};

use crate::agent::{AgentError, Inner};
use crate::newer::Newer;

/// How often the relay is asked although no event came: a relay that stays silent is to be noticed.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long the event of a request that the relay has accepted may take.
const FIRST_EVENT: Duration = Duration::from_secs(1);
/// How long after its deadline a request is waited for whose end the relay did not tell.
const EXPIRY_GRACE: Duration = Duration::from_secs(5);
/// How long a claim waits that the relay could not serve.
const CLAIM_AGAIN: Duration = Duration::from_millis(500);

/// A request on its way.
#[derive(Debug)]
#[must_use = "a request that is not awaited lapses unanswered"]
pub struct Pending {
    agent: Arc<Inner>,
    key: RequestKey,
    request: Request,
    digest: Digest,
    secret: AgentSecret,
    /// The same for every try, so that a claim whose answer was lost is answered again.
    nonce: Nonce,
    feed: Feed,
}

/// Takes a request back, also while another task waits for it.
#[derive(Debug, Clone)]
pub struct Canceller {
    agent: Arc<Inner>,
    key: RequestKey,
    digest: Digest,
}

/// What a request has come to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The user has been asked.
    Requested,
    /// The user approved; the message is awaited.
    Approved,
    /// The code is sealed and there.
    Captured,
    /// The broker is gone at the moment.
    Disconnected,
    /// The relay does not answer at the moment.
    Unreachable,
}

impl Progress {
    fn of(verified: &VerifiedRequest) -> Self {
        if verified.capture.is_some() {
            Self::Captured
        } else if verified.approval.is_some() {
            Self::Approved
        } else {
            Self::Requested
        }
    }
}

/// Why no code came.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The user said no.
    #[error("the user denied the request")]
    Denied,
    /// Nobody decided, or no message came, in time.
    #[error("the request expired at {expires_at} before a code came; ask again")]
    Expired {
        /// When.
        expires_at: Timestamp,
    },
    /// The request was taken back.
    #[error("the request was cancelled")]
    Cancelled,
    /// Somebody else claimed the code with this agent's key. That is an alarm.
    #[error(
        "the code was claimed with another nonce: someone else holds this agent's key, or the agent asked twice; if it did \
         not, have the owner replace the key: agent-otp keys rotate agent:NAME, or, if it was enrolled from elsewhere, \
         agent-otp revoke agent:NAME"
    )]
    ClaimedElsewhere,
    /// The relay refused.
    #[error("the relay refused: {message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// What the relay serves is not believed. That is an alarm.
    #[error("what the relay serves is not believed")]
    Untrusted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The sealed code does not open. That is an alarm.
    #[error("the sealed code does not open")]
    Open(#[from] OpenError),
    /// The code has another shape than the one that was asked for. That is an alarm.
    #[error("the code is not of the shape that was asked for")]
    Shape,
    /// The relay cannot be reached, or has lost the code.
    #[error("the relay cannot be reached, or the sealed code is gone; ask again")]
    Unavailable,
}

impl WaitError {
    /// Whether somebody lies, or uses a key that is not its own. That is kept as an alarm.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        match self {
            Self::ClaimedElsewhere | Self::Untrusted(_) | Self::Open(_) | Self::Shape => true,
            Self::Denied
            | Self::Expired { .. }
            | Self::Cancelled
            | Self::Refused { .. }
            | Self::Unavailable => false,
        }
    }
}

impl Pending {
    pub(crate) fn new(
        agent: Arc<Inner>,
        key: RequestKey,
        request: Request,
        digest: Digest,
        secret: AgentSecret,
        feed: Feed,
    ) -> Self {
        Self { agent, key, request, digest, secret, nonce: Nonce::new(clock::random()), feed }
    }

    /// Which request it is.
    #[must_use]
    pub fn key(&self) -> &RequestKey {
        &self.key
    }

    /// When it lapses.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.request.expires_at
    }

    /// A handle to take the request back with, while this is awaited.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::new(self.agent.clone(), self.key.clone(), self.digest)
    }

    /// Listens from now on whether another code comes after the one that this waits for, which it would not replace.
    ///
    /// # Errors
    ///
    /// [`AgentError::Store`] if the connection is closed.
    pub async fn newer(&self) -> Result<Newer, AgentError> {
        let notices = Statements::about(self.agent.member.bus.connection(), &self.key).await?;
        Ok(Newer::new(self.agent.clone(), self.key.clone(), self.request.expires_at, notices))
    }

    /// Waits for the code, and opens it.
    ///
    /// # Errors
    ///
    /// [`WaitError`] says how the request ended instead.
    pub async fn wait(self) -> Result<Code, WaitError> {
        self.wait_telling(|_| {}).await
    }

    /// Waits for the code, and tells what comes about meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Pending::wait`].
    pub async fn wait_telling(self, tell: impl FnMut(Progress)) -> Result<Code, WaitError> {
        let (agent, request) = (self.agent.clone(), self.key.request);
        self.until_it_ends(tell).await.inspect_err(|error| {
            if error.is_alarm() {
                agent.raise(Some(request), error);
            }
        })
    }

    async fn until_it_ends(mut self, mut tell: impl FnMut(Progress)) -> Result<Code, WaitError> {
        let mut is_up = self.agent.member.bus.connection().is_up();
        is_up.mark_unchanged();
        let mut told = None;
        // The feed begins before the request does, so its first event is on its way.
        let mut verified = self.hear(None, FIRST_EVENT).await?;
        loop {
            let progress = match &verified {
                Some(verified) => Progress::of(verified),
                None if *is_up.borrow_and_update() => Progress::Unreachable,
                None => Progress::Disconnected,
            };
            if let Some(verified) = &verified {
                self.is_over(verified)?;
            }
            if told != Some(progress) {
                tell(progress);
                told = Some(progress);
            }
            if let Some(verified) = &verified
                // A claim that has left is waited for, whatever becomes of the connection: a client sends it when it is
                // back, and the answer must find somebody.
                && let Some(code) = self.claim(verified).await?
            {
                return Ok(code);
            }
            if clock::now() >= self.request.expires_at.after(EXPIRY_GRACE) {
                return Err(self.silent_end(progress));
            }
            let again = match progress {
                Progress::Captured | Progress::Disconnected | Progress::Unreachable => CLAIM_AGAIN,
                Progress::Requested | Progress::Approved => {
                    let left = self.request.expires_at.after(EXPIRY_GRACE).since(clock::now());
                    ASK_AGAIN.min(left)
                }
            };
            verified = tokio::select! {
                changed = is_up.changed() => {
                    changed.map_err(|_| WaitError::Unavailable)?;
                    self.look().await?
                }
                heard = self.hear(verified, again) => heard?,
            };
        }
    }

    /// What is known after the next event; without one, the relay is asked after a while.
    async fn hear(
        &mut self,
        known: Option<VerifiedRequest>,
        within: Duration,
    ) -> Result<Option<VerifiedRequest>, WaitError> {
        match tokio::time::timeout(within, self.feed.next()).await {
            Ok(Some(hint)) => match self.agent.member.verifier.follow(known, &hint.recorded) {
                Ok(verified) => self.ours(verified).map(Some),
                Err(Unfollowed::Missed) => self.look().await,
                Err(Unfollowed::Lie(error)) => {
                    self.agent.raise(Some(self.key.request), &error);
                    self.look().await
                }
            },
            Ok(None) => Err(WaitError::Unavailable),
            Err(_) => self.look().await,
        }
    }

    /// The request as its statements prove it; none if the relay does not answer at the moment.
    async fn look(&self) -> Result<Option<VerifiedRequest>, WaitError> {
        let Some(verified) = self.while_up(self.agent.member.verifier.request(&self.key)).await else {
            return Ok(None);
        };
        match verified {
            Ok(Some(verified)) => self.ours(verified).map(Some),
            Ok(None) => Err(untrusted("the relay has lost the request that it had accepted")),
            Err(error) if passes(&error) => {
                debug!(%error, "not known at the moment");
                Ok(None)
            }
            Err(error) => Err(untrusted(error)),
        }
    }

    /// A relay that stored the request must not have another one under its name.
    fn ours(&self, verified: VerifiedRequest) -> Result<VerifiedRequest, WaitError> {
        if verified.digest == self.digest {
            Ok(verified)
        } else {
            Err(untrusted("the relay serves another request under this id"))
        }
    }

    /// What comes of work that needs the broker; none if the broker is gone. It may be begun again: the relay's answer
    /// would not arrive, and asking twice is harmless.
    async fn while_up<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut is_up = self.agent.member.bus.connection().is_up();
        tokio::select! {
            done = work => Some(done),
            _ = is_up.wait_for(|is_up| !is_up) => None,
        }
    }

    fn is_over(&self, verified: &VerifiedRequest) -> Result<(), WaitError> {
        match verified.end {
            None => Ok(()),
            Some(EventType::Denied) => Err(WaitError::Denied),
            Some(EventType::Cancelled) => Err(WaitError::Cancelled),
            // The relay stored the request when its clock was no further off.
            Some(EventType::Expired) if clock::now() < self.request.expires_at.before(CLOCK_SKEW_MAX) => {
                Err(untrusted("the relay says that the request has expired, long before its time"))
            }
            Some(EventType::Expired) => Err(WaitError::Expired { expires_at: self.request.expires_at }),
            Some(EventType::Consumed) if verified.claim != Some(self.nonce.digest()) => {
                Err(WaitError::ClaimedElsewhere)
            }
            // By this very claim, whose answer was lost, the code may still be had.
            Some(EventType::Consumed | EventType::Requested | EventType::Approved | EventType::Captured) => {
                Ok(())
            }
        }
    }

    fn silent_end(&self, progress: Progress) -> WaitError {
        match progress {
            Progress::Disconnected | Progress::Unreachable => WaitError::Unavailable,
            Progress::Requested | Progress::Approved | Progress::Captured => {
                WaitError::Expired { expires_at: self.request.expires_at }
            }
        }
    }

    /// Claims the sealed code and opens it; none if the relay cannot serve it yet.
    async fn claim(&self, verified: &VerifiedRequest) -> Result<Option<Code>, WaitError> {
        let (Some((decision, _, _)), Some((capture_digest, capture))) =
            (verified.approval(), &verified.capture)
        else {
            return Ok(None);
        };
        let roster = match self.agent.roster().await {
            Ok(roster) => roster,
            Err(AgentError::Roster(error)) if passes(&error) => return Ok(None),
            Err(error) => return Err(untrusted(error)),
        };
        let consume = Consume {
            heading: self.agent.heading(&self.key, roster),
            capture: *capture_digest,
            claim: self.nonce.digest(),
        };
        let statement = self.agent.identity.sign(&consume);
        let reply =
            self.agent.member.bus.call(&Ask::Consume { statement, nonce: *self.nonce.as_bytes() }).await;
        let sealed = match reply {
            Ok(Reply::Code { sealed }) => sealed.0,
            Ok(_) => return Err(untrusted("another kind of reply was expected")),
            Err(CallError::Unreachable(_)) => return Ok(None),
            Err(CallError::Unreadable(error)) => return Err(untrusted(error)),
            Err(CallError::Refused { code, message }) => return refused(verified, code, message),
        };
        if Digest::of(&[sealed.as_bytes()]) != capture.sealed {
            return Err(untrusted("the relay serves another ciphertext than the one that was captured"));
        }
        let context = Context { request: self.digest, decision, capturer: capture.heading.signer.clone() };
        let filter = &self.request.filter;
        let code = agent_otp_seal::open(&sealed, filter.wanted, &self.secret, &context)?;
        if filter.shape.is_some_and(|shape| !shape.fits(code.expose())) {
            return Err(WaitError::Shape);
        }
        info!(request = %self.key, "consumed");
        Ok(Some(code))
    }
}

impl Canceller {
    pub(crate) fn new(agent: Arc<Inner>, key: RequestKey, digest: Digest) -> Self {
        Self { agent, key, digest }
    }

    /// Takes the request back: whatever was captured is erased.
    ///
    /// # Errors
    ///
    /// [`AgentError`] if the relay refuses, because the request has ended, or does not answer.
    pub async fn cancel(&self) -> Result<(), AgentError> {
        let cancelled = self.take_back().await;
        cancelled.inspect_err(|error| self.agent.notice(Some(self.key.request), error))
    }

    pub(crate) async fn take_back(&self) -> Result<(), AgentError> {
        let roster = self.agent.roster().await?;
        let cancel = Cancel { heading: self.agent.heading(&self.key, roster), request: self.digest };
        self.agent.member.bus.call(&Ask::Cancel { statement: self.agent.identity.sign(&cancel) }).await?;
        Ok(())
    }
}

/// What comes of a claim that the relay refused.
fn refused(
    verified: &VerifiedRequest,
    code: RefusalCode,
    message: String,
) -> Result<Option<Code>, WaitError> {
    match code {
        RefusalCode::AlreadyConsumed => Err(WaitError::ClaimedElsewhere),
        // Consumed by this claim, but the code did not arrive, and is erased.
        RefusalCode::Unavailable if verified.end.is_some() => Err(WaitError::Unavailable),
        // The vault has lost it, and the capturer may bring it back; or the request ended: the next look tells.
        RefusalCode::Unavailable | RefusalCode::OutOfTurn | RefusalCode::Expired => Ok(None),
        RefusalCode::Unknown
        | RefusalCode::Taken
        | RefusalCode::ClockSkew
        | RefusalCode::Mismatch
        | RefusalCode::NotAppointed
        | RefusalCode::Untrusted
        | RefusalCode::Malformed
        | RefusalCode::Forbidden => Err(WaitError::Refused { message }),
    }
}

/// Whether it passes by itself: the relay or its store does not answer, or the roster is not in its time.
fn passes(error: &VerifyError) -> bool {
    matches!(
        error,
        VerifyError::Call(
            CallError::Unreachable(_) | CallError::Refused { code: RefusalCode::Unavailable, .. }
        ) | VerifyError::Roster(RosterError::Stale { .. } | RosterError::Ahead(_))
    )
}

fn untrusted(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WaitError {
    WaitError::Untrusted(error.into())
}
