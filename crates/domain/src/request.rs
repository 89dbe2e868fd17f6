//! The life of one request: `requested -> approved -> captured -> consumed`, or an early end.

use std::time::Duration;

use crate::{Command, Digest, Event, EventType, KeyId, SignedStatement, Timestamp, Ttl};

/// How far an agent's clock may be from the relay's and the capturer's.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(1);

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Nobody has asked.
    #[default]
    Absent,
    /// It is on its way.
    Open(Open),
    /// Nothing more happens; how far it had come, and how it ended.
    Ended(Open, End),
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// The user has not decided.
    Requested(Asked),
    /// A capturer may act.
    Approved(Asked, Approval),
    /// The relay holds the sealed code.
    Captured(Asked, Approval, Capture),
}

/// What is known since `requested`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The request statement's digest.
    pub digest: Digest,
    /// The agent's key.
    pub signer: KeyId,
    /// The deadline.
    pub expires_at: Timestamp,
}

/// What is known since `approved`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The decision statement's digest.
    pub digest: Digest,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// Who may act on it.
    pub capturers: Vec<KeyId>,
}

/// What is known since `captured`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The capture statement's digest.
    pub digest: Digest,
    /// SHA-256 of the sealed code.
    pub sealed: Digest,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The agent claimed the code; SHA-256 of the claim's nonce.
    Consumed(Digest),
    /// The user said no, with this key.
    Denied(KeyId),
    /// The deadline passed.
    Expired,
    /// The agent took it back.
    Cancelled,
}

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
    #[error("the request expired at {expires_at}; ask again")]
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
    /// The agent's clock is off.
    #[error(
        "the request was made at {made_at}, which is more than 60 s from this clock's {now}; set the clocks"
    )]
    ClockSkew {
        /// By the agent's clock.
        made_at: Timestamp,
        /// By the clock that compared.
        now: Timestamp,
    },
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

impl Open {
    /// What was asked.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        match self {
            Self::Requested(asked) | Self::Approved(asked, _) | Self::Captured(asked, _, _) => asked,
        }
    }

    /// The approval, if there was one.
    #[must_use]
    pub fn approval(&self) -> Option<&Approval> {
        match self {
            Self::Requested(_) => None,
            Self::Approved(_, approval) | Self::Captured(_, approval, _) => Some(approval),
        }
    }

    /// The capture, if there was one.
    #[must_use]
    pub fn capture(&self) -> Option<&Capture> {
        match self {
            Self::Requested(_) | Self::Approved(..) => None,
            Self::Captured(_, _, capture) => Some(capture),
        }
    }

    fn phase(&self) -> EventType {
        match self {
            Self::Requested(_) => EventType::Requested,
            Self::Approved(..) => EventType::Approved,
            Self::Captured(..) => EventType::Captured,
        }
    }
}

impl End {
    fn phase(&self) -> EventType {
        match self {
            Self::Consumed(_) => EventType::Consumed,
            Self::Denied(_) => EventType::Denied,
            Self::Expired => EventType::Expired,
            Self::Cancelled => EventType::Cancelled,
        }
    }
}

impl State {
    /// What the request's history adds up to.
    #[must_use]
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        events.into_iter().fold(Self::Absent, Self::evolve)
    }

    /// The last thing that happened; nothing if nobody has asked.
    #[must_use]
    pub fn phase(&self) -> Option<EventType> {
        match self {
            Self::Absent => None,
            Self::Open(open) => Some(open.phase()),
            Self::Ended(_, end) => Some(end.phase()),
        }
    }

    /// How far it came, ended or not; nothing if nobody has asked.
    #[must_use]
    pub fn progress(&self) -> Option<&Open> {
        match self {
            Self::Absent => None,
            Self::Open(open) | Self::Ended(open, _) => Some(open),
        }
    }

    /// The state after an event. Total: history is never refused, and what does not fit changes nothing.
    #[must_use]
    pub fn evolve(self, event: &Event) -> Self {
        match event {
            Event::Requested { statement, expires_at } => match self {
                Self::Absent => Self::Open(Open::Requested(Asked {
                    digest: statement.digest(),
                    signer: statement.key.clone(),
                    expires_at: *expires_at,
                })),
                Self::Open(_) | Self::Ended(..) => self,
            },
            Event::Approved { statement, expires_at, capturers } => match self {
                Self::Open(Open::Requested(asked)) => {
                    let approval = Approval {
                        digest: statement.digest(),
                        expires_at: *expires_at,
                        capturers: capturers.clone(),
                    };
                    Self::Open(Open::Approved(asked, approval))
                }
                Self::Absent | Self::Open(_) | Self::Ended(..) => self,
            },
            Event::Captured { statement, sealed } => match self {
                Self::Open(Open::Approved(asked, approval)) => {
                    let capture = Capture { digest: statement.digest(), sealed: *sealed };
                    Self::Open(Open::Captured(asked, approval, capture))
                }
                Self::Absent | Self::Open(_) | Self::Ended(..) => self,
            },
            Event::Consumed { claim, .. } => match self {
                Self::Open(open @ Open::Captured(..)) => Self::Ended(open, End::Consumed(*claim)),
                Self::Absent | Self::Open(_) | Self::Ended(..) => self,
            },
            Event::Denied { statement } => self.end(End::Denied(statement.key.clone())),
            Event::Expired => self.end(End::Expired),
            Event::Cancelled { .. } => self.end(End::Cancelled),
        }
    }

    fn end(self, end: End) -> Self {
        match self {
            Self::Open(open) => Self::Ended(open, end),
            Self::Absent | Self::Ended(..) => self,
        }
    }

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
            Command::Approve { statement, request, expires_at, capturers } => {
                self.approve(statement, *request, *expires_at, capturers, now)
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
        if made_at.distance(now) > CLOCK_SKEW_MAX {
            return Err(Rejection::ClockSkew { made_at, now });
        }
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
        expires_at: Timestamp,
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

impl Asked {
    fn is_spoken_of(&self, request: Digest) -> Result<(), Rejection> {
        if self.digest == request { Ok(()) } else { Err(Rejection::Mismatch { what: EventType::Requested }) }
    }

    /// To anyone but the agent that asked, the request does not exist.
    fn is_asked_by(&self, statement: &SignedStatement) -> Result<(), Rejection> {
        if self.signer == statement.key { Ok(()) } else { Err(Rejection::Unknown) }
    }
}
