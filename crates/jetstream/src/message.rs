//! What is said on the command bus: commands, queries, and the relay's replies, each self-describing from its body.

use agent_otp_domain::{EventType, MemberId, RequestId, SealedCode, SignedStatement, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::subject::Verb;

/// What a member asks of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Ask {
    /// An agent asks for a code.
    #[serde(rename = "request.v1")]
    Request {
        /// The signed request.
        statement: SignedStatement,
    },
    /// The user approves.
    #[serde(rename = "approve.v1")]
    Approve {
        /// The signed decision.
        statement: SignedStatement,
    },
    /// The user denies.
    #[serde(rename = "deny.v1")]
    Deny {
        /// The signed decision.
        statement: SignedStatement,
    },
    /// A capturer hands in the sealed code.
    #[serde(rename = "capture.v1")]
    Capture {
        /// The signed capture.
        statement: SignedStatement,
        /// The sealed code, `enc ‖ ct`.
        sealed: Sealed,
    },
    /// The agent claims the code.
    #[serde(rename = "consume.v1")]
    Consume {
        /// The signed claim.
        statement: SignedStatement,
        /// The nonce whose SHA-256 the statement names.
        #[serde(with = "serde_bytes")]
        nonce: [u8; 16],
    },
    /// The agent takes its request back.
    #[serde(rename = "cancel.v1")]
    Cancel {
        /// The signed cancellation.
        statement: SignedStatement,
    },
    /// Reads a request's events.
    #[serde(rename = "get.v1")]
    Get {
        /// Which agent's.
        agent: MemberId,
        /// Which one.
        request: RequestId,
    },
    /// Lists the owner's open requests.
    #[serde(rename = "open.v1")]
    Open {
        /// Where the page begins; none for the first.
        from: Option<u64>,
    },
    /// Reads a roster.
    #[serde(rename = "roster.v1")]
    Roster {
        /// Its number; none for the latest.
        number: Option<u64>,
    },
    /// Hands in a roster that the owner signed.
    #[serde(rename = "enrol.v1")]
    Enrol {
        /// The signed roster.
        statement: SignedStatement,
    },
}

impl Ask {
    /// The verb that stands in the subject.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self {
            Self::Request { .. } => Verb::Request,
            Self::Approve { .. } => Verb::Approve,
            Self::Deny { .. } => Verb::Deny,
            Self::Capture { .. } => Verb::Capture,
            Self::Consume { .. } => Verb::Consume,
            Self::Cancel { .. } => Verb::Cancel,
            Self::Get { .. } => Verb::Get,
            Self::Open { .. } => Verb::Open,
            Self::Roster { .. } => Verb::Roster,
            Self::Enrol { .. } => Verb::Enrol,
        }
    }
}

/// A sealed code as bytes on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub struct Sealed(pub SealedCode);

impl From<serde_bytes::ByteBuf> for Sealed {
    fn from(bytes: serde_bytes::ByteBuf) -> Self {
        Self(SealedCode::new(bytes.into_vec()))
    }
}

impl From<Sealed> for serde_bytes::ByteBuf {
    fn from(sealed: Sealed) -> Self {
        Self::from(sealed.0.as_bytes().to_vec())
    }
}

/// What the relay answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Reply {
    /// The command's effect is there, by this command or by an earlier one.
    #[serde(rename = "done.v1")]
    Done {
        /// The last thing that happened to the request: `approved`, `consumed` …; `enrolled` for a roster.
        phase: String,
        /// How many events the request has; the number of a roster.
        version: Version,
    },
    /// The claimed code.
    #[serde(rename = "code.v1")]
    Code {
        /// Sealed to the agent's key.
        sealed: Sealed,
    },
    /// A request's events, the exact bytes that are stored.
    #[serde(rename = "events.v1")]
    Events {
        /// In order.
        events: Vec<serde_bytes::ByteBuf>,
        /// What time it is, by the relay's clock.
        now: Option<Timestamp>,
    },
    /// A page of open requests.
    #[serde(rename = "requests.v1")]
    Open {
        /// Those of this page.
        requests: Vec<OpenRequest>,
        /// Where the next page begins; none if this is the last.
        next: Option<u64>,
    },
    /// A signed roster.
    #[serde(rename = "signed_roster.v1")]
    Roster {
        /// The roster.
        statement: SignedStatement,
    },
    /// The relay refuses.
    #[serde(rename = "refused.v1")]
    Refused {
        /// Why, for programs.
        code: RefusalCode,
        /// Why, for people.
        message: String,
    },
}

/// One of an owner's open requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// Which agent's.
    pub agent: MemberId,
    /// Which one.
    pub request: RequestId,
}

/// Why the relay refuses, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// There is no such request for the asker.
    Unknown,
    /// The id is taken.
    Taken,
    /// The request is at another point of its life.
    OutOfTurn,
    /// The request has expired.
    Expired,
    /// A clock is off.
    ClockSkew,
    /// The statement does not fit what stands, or its bounds.
    Mismatch,
    /// The decision does not name this capturer.
    NotAppointed,
    /// The code was consumed before, with another nonce.
    AlreadyConsumed,
    /// A signature, a key or a roster is not believed.
    Untrusted,
    /// The message cannot be read.
    Malformed,
    /// The member may not ask this.
    Forbidden,
    /// Not now: the broker or the sealed code is not there. Asking again may help.
    Unavailable,
}

impl RefusalCode {
    /// The status that stands in `Nats-Service-Error-Code`, after HTTP's (RFC 9110).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Unknown => 404,
            Self::Taken | Self::OutOfTurn | Self::AlreadyConsumed => 409,
            Self::Expired => 410,
            Self::ClockSkew | Self::Mismatch | Self::Malformed => 400,
            Self::NotAppointed | Self::Untrusted | Self::Forbidden => 403,
            Self::Unavailable => 503,
        }
    }
}

impl Reply {
    /// What the replies are called: no command or other message is called so.
    pub const TYPES: [&'static str; 6] =
        ["done.v1", "code.v1", "events.v1", "requests.v1", "signed_roster.v1", "refused.v1"];

    /// What happened to the request, if the reply says so.
    #[must_use]
    pub fn phase(&self) -> Option<EventType> {
        match self {
            Self::Done { phase, .. } => phase.parse().ok(),
            Self::Code { .. }
            | Self::Events { .. }
            | Self::Open { .. }
            | Self::Roster { .. }
            | Self::Refused { .. } => None,
        }
    }
}
