//! The life of one request: `requested -> approved -> captured -> consumed`, or an early end.

use crate::{Digest, Event, EventType, KeyId, Timestamp};

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

    pub(crate) fn phase(&self) -> EventType {
        match self {
            Self::Requested(_) => EventType::Requested,
            Self::Approved(..) => EventType::Approved,
            Self::Captured(..) => EventType::Captured,
        }
    }
}

impl End {
    pub(crate) fn phase(&self) -> EventType {
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
}
