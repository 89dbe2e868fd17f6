//! What a member is told when the relay refuses, and what it is not told.

use agent_otp_domain::{Rejection, causes};
use agent_otp_jetstream::message::{RefusalCode, Reply};
use agent_otp_jetstream::{AppendError, PublishError, StoreError};
use agent_otp_trust::{RosterError, Untrusted};
use tracing::warn;

use crate::decide::Undecided;

/// A reason to answer with `Refused`.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// One and the same for what is not there and for what is not the asker's.
    pub(crate) fn unknown() -> Self {
        Rejection::Unknown.into()
    }

    /// What was read is older than what is stored.
    pub(crate) fn behind() -> Self {
        Self::new(RefusalCode::Unavailable, "the relay's store is catching up; try again")
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code, message: refusal.message }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let code = match &rejection {
            Rejection::Unknown => RefusalCode::Unknown,
            Rejection::Taken => RefusalCode::Taken,
            Rejection::OutOfTurn { .. } | Rejection::NotYet { .. } => RefusalCode::OutOfTurn,
            Rejection::Expired { .. } => RefusalCode::Expired,
            Rejection::ClockSkew { .. } => RefusalCode::ClockSkew,
            Rejection::Lifetime { .. } | Rejection::Mismatch { .. } | Rejection::DecisionExpired { .. } => {
                RefusalCode::Mismatch
            }
            Rejection::NotAppointed => RefusalCode::NotAppointed,
            Rejection::AlreadyConsumed => RefusalCode::AlreadyConsumed,
        };
        Self::new(code, rejection.to_string())
    }
}

impl From<Undecided> for Refusal {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Rejected(rejection) => rejection.into(),
            Undecided::Failed(error) => error.into(),
        }
    }
}

impl From<Untrusted> for Refusal {
    fn from(untrusted: Untrusted) -> Self {
        let code = match &untrusted {
            Untrusted::Decode(_)
            | Untrusted::NotCanonical
            | Untrusted::Malformed { .. }
            | Untrusted::Filter(_) => RefusalCode::Malformed,
            Untrusted::Unbound { .. } => RefusalCode::Mismatch,
            Untrusted::WrongType { .. }
            | Untrusted::UnknownKey { .. }
            | Untrusted::Signature
            | Untrusted::Elsewhere { .. }
            | Untrusted::RosterUnknown { .. }
            | Untrusted::NotAMember { .. }
            | Untrusted::NotTheOwner { .. }
            | Untrusted::Revoked { .. }
            | Untrusted::EventDiffers
            | Untrusted::Contradicted
            | Untrusted::History { .. } => RefusalCode::Untrusted,
        };
        Self::new(code, causes(&untrusted))
    }
}

impl From<RosterError> for Refusal {
    fn from(error: RosterError) -> Self {
        match error {
            RosterError::Untrusted(untrusted) => untrusted.into(),
            error @ (RosterError::OtherOwner { .. }
            | RosterError::Backwards { .. }
            | RosterError::Forked { .. }
            | RosterError::Missing
            | RosterError::Stale { .. }
            | RosterError::Ahead(_)) => Self::new(RefusalCode::Untrusted, error.to_string()),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        warn!(error = causes(&error), "the store does not answer");
        Self::new(RefusalCode::Unavailable, "the relay cannot reach its store; try again")
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(error) => error.into(),
            AppendError::Conflict { .. } => {
                Self::new(RefusalCode::Unavailable, "too many at once; try again")
            }
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Store(error) => error.into(),
            error @ PublishError::Taken { .. } => Self::new(RefusalCode::Taken, error.to_string()),
        }
    }
}
