//! What a command changes in the life of a request, and why it may not.

use crate::request::Asked;
use crate::{
    CLOCK_SKEW_MAX, ClockSkew, Command, Digest, End, Event, EventType, KeyId, Open, Role, SignedStatement,
    State, Timestamp, Ttl,
};

/// Why a command is refused by the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such request, or it is not the asker's; the two look alike.
    #[error("there is no such request")]
    Unknown,
    /// Another request bears this id.
    #[error("this request id is taken by another request; ask again with a new id")]
    Taken,
    /// The request is at another point of its life.
    #[error("this is out of turn: the request was {phase}")]
    OutOfTurn {
        /// What it is: `requested`, `denied` …
        phase: EventType,
    },
    /// The deadline has passed.
    #[error("the request expired at {expires_at}; the agent has to ask again")]
    Expired {
        /// When.
        expires_at: Timestamp,
    },
    /// The deadline has not passed.
    #[error("the request stands until {expires_at}")]
    NotYet {
        /// Until when.
        expires_at: Timestamp,
    },
    /// The clocks of a member and of the relay are too far apart.
    #[error(transparent)]
    ClockSkew(#[from] ClockSkew),
    /// The time to live is too short or too long.
    #[error("a request stands for 1 s to 1 h, not from {made_at} to {expires_at}")]
    Lifetime {
        /// When it was made.
        made_at: Timestamp,
        /// When it would lapse.
        expires_at: Timestamp,
    },
    /// The statement speaks of another request, decision or capture than the one that stands.
    #[error("the statement does not belong to what was {what}")]
    Mismatch {
        /// What it should belong to.
        what: EventType,
    },
    /// The approval outlives the request, or has lapsed.
    #[error("the decision holds until {expires_at}, which is past, or later than the request's own deadline")]
    DecisionExpired {
        /// When it lapses.
        expires_at: Timestamp,
    },
    /// The decision names other capturers.
    #[error("the decision does not name this capturer")]
    NotAppointed,
    /// The code was claimed with another nonce.
    #[error("the code was consumed before")]
    AlreadyConsumed,
}

impl State {
    /// What a command changes: one event, or none if its effect is already there.
    ///
    /// # Errors
    ///
    /// [`Rejection`] if the rules do not allow it.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Option<Event>, Rejection> {
        match command {
            Command::Request { statement, made_at, expires_at } => {
                self.request(statement, *made_at, *expires_at, now)
            }
            Command::Approve { statement, request, made_at, expires_at, capturers } => {
                self.approve(statement, *request, (*made_at, *expires_at), capturers, now)
            }
            Command::Deny { statement, request } => self.deny(statement, *request, now),
            Command::Capture { statement, decision, sealed } => {
                self.capture(statement, *decision, *sealed, now)
            }
            Command::Consume { statement, capture, claim } => self.consume(statement, *capture, *claim, now),
            Command::Cancel { statement, request } => self.cancel(statement, *request, now),
            Command::Expire => self.expire(now),
        }
    }

    fn request(
        &self,
        statement: &SignedStatement,
        made_at: Timestamp,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        if let Some(open) = self.progress() {
            let same = open.asked().digest == statement.digest();
            return if same { Ok(None) } else { Err(Rejection::Taken) };
        }
        agrees(Role::Agent, made_at, now)?;
        if !(Ttl::MIN..=Ttl::MAX).contains(&expires_at.since(made_at)) {
            return Err(Rejection::Lifetime { made_at, expires_at });
        }
        if now >= expires_at {
            return Err(Rejection::Expired { expires_at });
        }
        Ok(Some(Event::Requested { statement: statement.clone(), expires_at }))
    }

    fn approve(
        &self,
        statement: &SignedStatement,
        request: Digest,
        (made_at, expires_at): (Timestamp, Timestamp),
        capturers: &[KeyId],
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        let progress = self.progress().ok_or(Rejection::Unknown)?;
        if progress.approval().is_some_and(|approval| approval.digest == statement.digest()) {
            return Ok(None);
        }
        let asked = match self.open_at(now)? {
            Open::Requested(asked) => asked,
            open @ (Open::Approved(..) | Open::Captured(..)) => {
                return Err(Rejection::OutOfTurn { phase: open.phase() });
            }
        };
        asked.is_spoken_of(request)?;
        agrees(Role::Approver, made_at, now)?;
        if expires_at > asked.expires_at || expires_at <= now {
            return Err(Rejection::DecisionExpired { expires_at });
        }
        Ok(Some(Event::Approved { statement: statement.clone(), expires_at, capturers: capturers.to_vec() }))
    }

    fn deny(
        &self,
        statement: &SignedStatement,
        request: Digest,
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        let progress = self.progress().ok_or(Rejection::Unknown)?;
        progress.asked().is_spoken_of(request)?;
        if matches!(self, Self::Ended(_, End::Denied(signer)) if *signer == statement.key) {
            return Ok(None);
        }
        self.open_at(now)?;
        Ok(Some(Event::Denied { statement: statement.clone() }))
    }

    fn capture(
        &self,
        statement: &SignedStatement,
        decision: Digest,
        sealed: Digest,
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        let progress = self.progress().ok_or(Rejection::Unknown)?;
        if progress.capture().is_some_and(|capture| capture.digest == statement.digest()) {
            return Ok(None);
        }
        let approval = match self.open_at(now)? {
            Open::Approved(_, approval) => approval,
            open @ (Open::Requested(_) | Open::Captured(..)) => {
                return Err(Rejection::OutOfTurn { phase: open.phase() });
            }
        };
        if approval.digest != decision {
            return Err(Rejection::Mismatch { what: EventType::Approved });
        }
        if !approval.capturers.contains(&statement.key) {
            return Err(Rejection::NotAppointed);
        }
        if now >= approval.expires_at {
            return Err(Rejection::DecisionExpired { expires_at: approval.expires_at });
        }
        Ok(Some(Event::Captured { statement: statement.clone(), sealed }))
    }

    fn consume(
        &self,
        statement: &SignedStatement,
        capture: Digest,
        claim: Digest,
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        let progress = self.progress().ok_or(Rejection::Unknown)?;
        progress.asked().is_asked_by(statement)?;
        if let Self::Ended(_, End::Consumed(first)) = self {
            return if *first == claim { Ok(None) } else { Err(Rejection::AlreadyConsumed) };
        }
        let captured = match self.open_at(now)? {
            Open::Captured(_, _, captured) => captured,
            open @ (Open::Requested(_) | Open::Approved(..)) => {
                return Err(Rejection::OutOfTurn { phase: open.phase() });
            }
        };
        if captured.digest != capture {
            return Err(Rejection::Mismatch { what: EventType::Captured });
        }
        Ok(Some(Event::Consumed { statement: statement.clone(), claim }))
    }

    fn cancel(
        &self,
        statement: &SignedStatement,
        request: Digest,
        now: Timestamp,
    ) -> Result<Option<Event>, Rejection> {
        let progress = self.progress().ok_or(Rejection::Unknown)?;
        progress.asked().is_asked_by(statement)?;
        progress.asked().is_spoken_of(request)?;
        if matches!(self, Self::Ended(_, End::Cancelled)) {
            return Ok(None);
        }
        self.open_at(now)?;
        Ok(Some(Event::Cancelled { statement: statement.clone() }))
    }

    fn expire(&self, now: Timestamp) -> Result<Option<Event>, Rejection> {
        match self {
            Self::Absent => Err(Rejection::Unknown),
            Self::Open(open) if now >= open.asked().expires_at => Ok(Some(Event::Expired)),
            Self::Open(open) => Err(Rejection::NotYet { expires_at: open.asked().expires_at }),
            Self::Ended(..) => Ok(None),
        }
    }

    /// How far the request has come, if it has neither ended nor passed its deadline.
    fn open_at(&self, now: Timestamp) -> Result<&Open, Rejection> {
        match self {
            Self::Absent => Err(Rejection::Unknown),
            Self::Open(open) if now < open.asked().expires_at => Ok(open),
            Self::Open(open) => Err(Rejection::Expired { expires_at: open.asked().expires_at }),
            Self::Ended(open, End::Expired) => {
                Err(Rejection::Expired { expires_at: open.asked().expires_at })
            }
            Self::Ended(_, end @ (End::Consumed(_) | End::Denied(_) | End::Cancelled)) => {
                Err(Rejection::OutOfTurn { phase: end.phase() })
            }
        }
    }
}

/// Whether a member's clock and the relay's are close enough.
fn agrees(whose: Role, made_at: Timestamp, now: Timestamp) -> Result<(), ClockSkew> {
    if made_at.distance(now) > CLOCK_SKEW_MAX {
        return Err(ClockSkew::with_relay(whose, made_at, now));
    }
    Ok(())
}

impl Asked {
    fn is_spoken_of(&self, request: Digest) -> Result<(), Rejection> {
        if self.digest == request { Ok(()) } else { Err(Rejection::Mismatch { what: EventType::Requested }) }
    }

    /// To anyone but the agent that asked, the request does not exist.
    fn is_asked_by(&self, statement: &SignedStatement) -> Result<(), Rejection> {
        if self.signer == statement.key { Ok(()) } else { Err(Rejection::Unknown) }
    }
}
