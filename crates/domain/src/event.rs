//! The seven things that can happen to a request, as they are stored for ever.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Actor, Digest, EventId, MemberId, OwnerId, RequestId, RequestKey, SignedStatement, Timestamp};

/// Something that happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Event {
    /// An agent asked.
    #[serde(rename = "requested.v1")]
    Requested {
        /// The signed request.
        statement: SignedStatement,
        /// When the request lapses, in milliseconds since 1970; the statement says the same.
        expires_at: Timestamp,
    },
    /// The user approved.
    #[serde(rename = "approved.v1")]
    Approved {
        /// The signed decision.
        statement: SignedStatement,
        /// Until when it may be used; the statement says the same.
        expires_at: Timestamp,
        /// The keys of the capturers that may act on it; the statement says the same.
        capturers: Vec<crate::KeyId>,
    },
    /// A capturer sealed the code, and the relay holds it.
    #[serde(rename = "captured.v1")]
    Captured {
        /// The signed capture.
        statement: SignedStatement,
        /// SHA-256 of the sealed code `enc ‖ ct`; the statement says the same.
        sealed: Digest,
    },
    /// The agent claimed the code.
    #[serde(rename = "consumed.v1")]
    Consumed {
        /// The signed claim.
        statement: SignedStatement,
        /// SHA-256 of the claim's nonce; the statement says the same.
        claim: Digest,
    },
    /// The user denied, or took an approval back.
    #[serde(rename = "denied.v1")]
    Denied {
        /// The signed decision.
        statement: SignedStatement,
    },
    /// The deadline passed, by the relay's clock.
    #[serde(rename = "expired.v1")]
    Expired,
    /// The agent took its request back.
    #[serde(rename = "cancelled.v1")]
    Cancelled {
        /// The signed cancellation.
        statement: SignedStatement,
    },
}

/// The name of an event, as it stands in subjects, headers and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// See [`Event::Requested`].
    Requested,
    /// See [`Event::Approved`].
    Approved,
    /// See [`Event::Captured`].
    Captured,
    /// See [`Event::Consumed`].
    Consumed,
    /// See [`Event::Denied`].
    Denied,
    /// See [`Event::Expired`].
    Expired,
    /// See [`Event::Cancelled`].
    Cancelled,
}

impl EventType {
    /// All of them, in the order in which a request may meet them.
    pub const ALL: [Self; 7] = [
        Self::Requested,
        Self::Approved,
        Self::Captured,
        Self::Consumed,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Those after which nothing more happens.
    pub const ENDS: [Self; 4] = [Self::Consumed, Self::Denied, Self::Expired, Self::Cancelled];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Captured => "captured",
            Self::Consumed => "consumed",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for EventType {
    type Err = crate::FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            crate::FilterError::NoSuchWord {
                kind: "event type",
                text: text.chars().take(80).collect(),
                known: Self::ALL.map(Self::as_str).join(", "),
            }
        })
    }
}

impl Event {
    /// The schema version that new events are written in.
    pub const SCHEMA_VERSION: u32 = 1;

    /// What happened, in one word.
    #[must_use]
    pub fn kind(&self) -> EventType {
        match self {
            Self::Requested { .. } => EventType::Requested,
            Self::Approved { .. } => EventType::Approved,
            Self::Captured { .. } => EventType::Captured,
            Self::Consumed { .. } => EventType::Consumed,
            Self::Denied { .. } => EventType::Denied,
            Self::Expired => EventType::Expired,
            Self::Cancelled { .. } => EventType::Cancelled,
        }
    }

    /// The statement that caused it; none for `expired`, which nobody signs.
    #[must_use]
    pub fn statement(&self) -> Option<&SignedStatement> {
        match self {
            Self::Requested { statement, .. }
            | Self::Approved { statement, .. }
            | Self::Captured { statement, .. }
            | Self::Consumed { statement, .. }
            | Self::Denied { statement }
            | Self::Cancelled { statement } => Some(statement),
            Self::Expired => None,
        }
    }
}

/// How many events a request has: the version of its last one; 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of the event that comes next.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An event as it is stored and published: what happened, to which request, when, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Names this decision of the relay; also the message id.
    pub id: EventId,
    /// Whose request it is.
    pub owner: OwnerId,
    /// Which agent's.
    pub agent: MemberId,
    /// Which one.
    pub request: RequestId,
    /// Its place within the request, from 1.
    pub version: Version,
    /// When the relay decided, in milliseconds since 1970.
    pub time: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
}

impl Recorded {
    /// Which request the event belongs to.
    #[must_use]
    pub fn key(&self) -> RequestKey {
        RequestKey { owner: self.owner.clone(), agent: self.agent.clone(), request: self.request }
    }
}
