//! Whether a capturer may act on a request: one rule, for the messages that come and for what the user pastes.

use agent_otp_domain::{CLOCK_SKEW_MAX, ClockSkew, Digest, EventType, KeyId, RequestId, Role, Timestamp};
use agent_otp_trust::VerifiedRequest;

/// Why a request gets no code from this capturer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Nothing follows an end.
    #[error("the request has ended ({0}); have the agent ask again")]
    Ended(EventType),
    /// One code is all that a request gets.
    #[error("a code was captured for this request before; the agent has only to take it")]
    Captured,
    /// It is past its time, by this machine's clock.
    #[error("the request has lapsed at {at}, by this machine's clock; have the agent ask again")]
    Lapsed {
        /// When the request, or its approval, ended.
        at: Timestamp,
    },
    /// Nobody has approved it.
    #[error("the request is not approved; approve it first: agent-otp approve {id}")]
    NotApproved {
        /// Which request.
        id: RequestId,
    },
    /// The approval names other capturers.
    #[error(
        "the approval does not name this machine's capturer; deny it, and have the agent ask again: agent-otp deny {id}"
    )]
    NotAppointed {
        /// Which request.
        id: RequestId,
    },
    /// It was acted on before, although the relay does not say so.
    #[error(
        "a code was sealed for this approval before; `agent-otp up` hands it to the relay until the relay has it"
    )]
    Spent,
}

/// The decision that the capturer may act on now.
pub(crate) fn decision(
    request: &VerifiedRequest,
    capturer: &KeyId,
    is_spent: impl FnOnce(&Digest) -> bool,
    now: Timestamp,
) -> Result<Digest, Obstacle> {
    if let Some(end) = request.end {
        return Err(Obstacle::Ended(end));
    }
    if request.capture.is_some() {
        return Err(Obstacle::Captured);
    }
    let id = request.key.request;
    let lapses_at = |at: Timestamp| if now < at { Ok(()) } else { Err(Obstacle::Lapsed { at }) };
    lapses_at(request.request.expires_at)?;
    let (digest, decision, capturers) = request.approval().ok_or(Obstacle::NotApproved { id })?;
    lapses_at(decision.expires_at)?;
    if !capturers.contains(capturer) {
        return Err(Obstacle::NotAppointed { id });
    }
    if is_spent(&digest) { Err(Obstacle::Spent) } else { Ok(digest) }
}

/// When a request was stored, by this machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stored {
    /// As the relay says, if it does.
    pub(crate) at: Option<Timestamp>,
    /// Until when the relay had not shown it, although it was asked for all that were open: it was stored later.
    pub(crate) after: Option<Timestamp>,
}

impl Stored {
    /// When that was, as far as is known: a relay may help an agent to date its request back, but not by more than this.
    fn known(self) -> Option<Timestamp> {
        self.at.map(|at| self.after.map_or(at, |after| after.max(at)))
    }
}

/// Whether the request's time cannot be right: a clock is off, or the relay hands out an old request as a new one. It
/// may be learnt of late, so what counts is when it was stored, if that is known.
pub(crate) fn skew(request: &VerifiedRequest, stored: Stored, now: Timestamp) -> Option<ClockSkew> {
    let made_at = request.request.heading.made_at;
    // Whatever the relay says, it was not stored later than now.
    let stored_at = stored.known().unwrap_or(now);
    let earliest = stored.known().or(stored.after).map(|earliest| earliest.before(CLOCK_SKEW_MAX));
    let is_off =
        made_at > stored_at.after(CLOCK_SKEW_MAX) || earliest.is_some_and(|earliest| made_at < earliest);
    is_off.then(|| ClockSkew::with_this_machine(Role::Agent, made_at, stored_at))
}
