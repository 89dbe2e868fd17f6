//! Exit codes, and how an error is told: the chain once, and the next step.

use std::process::ExitCode;

use agent_otp_agent::{AgentError, WaitError};
use agent_otp_domain::{FilterError, SoughtError, causes, visible};
use agent_otp_jetstream::message::RefusalCode;
use agent_otp_jetstream::{CallError, ConnectError, VerifyError};
use agent_otp_trust::RosterError;
use agent_otp_user::{ApproverError, CapturerError, PasteError};

use crate::asked::NoId;
use crate::audit::only::NothingBetween;
use crate::place::NotRunning;
use crate::print;

pub(crate) const DENIED: u8 = 10;
pub(crate) const EXPIRED: u8 = 11;
pub(crate) const CANCELLED: u8 = 12;
pub(crate) const REFUSED: u8 = 13;
pub(crate) const UNAVAILABLE: u8 = 14;
pub(crate) const NOT_BELIEVED: u8 = 15;
/// There is an alarm.
pub(crate) const ALARM: u8 = 16;
/// A source does not work.
pub(crate) const SOURCE_FAILS: u8 = 17;
/// After the code another one came.
pub(crate) const NEWER: u8 = 18;
/// As of whatever else cannot be typed.
const USAGE: u8 = 2;
const OTHER: u8 = 1;

/// Prints the chain of causes and gives the exit code that belongs to it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // It may quote what was typed, or what a relay said: nothing of that acts on the screen.
    let lines: Vec<String> = chain(error).lines().map(visible).collect();
    print::say(&format!("agent-otp: {}", lines.join("\n")));
    ExitCode::from(code(error))
}

/// The causes in one line, each once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    causes(error.as_ref())
}

/// The exit code of the first cause that has one.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(of_cause).unwrap_or(OTHER)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if is_away(cause) {
        return Some(UNAVAILABLE);
    }
    if matches!(cause.downcast_ref(), Some(PasteError::Clock(_))) {
        return Some(REFUSED);
    }
    if is_usage(cause) {
        return Some(USAGE);
    }
    if let Some(error) = cause.downcast_ref::<WaitError>() {
        return Some(of_wait(error));
    }
    let call = cause
        .downcast_ref::<CallError>()
        .or_else(|| match cause.downcast_ref::<AgentError>() {
            Some(AgentError::Call(call)) => Some(call),
            _ => None,
        })
        .or_else(|| match cause.downcast_ref::<ApproverError>() {
            Some(ApproverError::Call(call)) => Some(call),
            _ => None,
        });
    match (call, cause.downcast_ref::<VerifyError>()) {
        (Some(call), _) | (None, Some(VerifyError::Call(call))) => Some(of_call(call)),
        (None, Some(VerifyError::Roster(RosterError::Ahead(_)))) => Some(REFUSED),
        (None, Some(error)) if error.is_alarm() => Some(NOT_BELIEVED),
        (None, Some(VerifyError::Roster(_))) => Some(UNAVAILABLE),
        (None, Some(VerifyError::Untrusted(_))) => Some(NOT_BELIEVED),
        (None, None) => None,
    }
}

/// Whether something else has to be typed. What is wrong with one option alone ends the same way before.
fn is_usage(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<NoId>()
        || cause.is::<SoughtError>()
        || cause.is::<FilterError>()
        || cause.is::<NothingBetween>()
}

/// Whether there is nothing to connect to. An error that only passes another one on hides it from the chain.
fn is_away(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<NotRunning>()
        || cause.is::<ConnectError>()
        || matches!(cause.downcast_ref(), Some(AgentError::Connect(_)))
        || matches!(cause.downcast_ref(), Some(ApproverError::Connect(_)))
        || matches!(cause.downcast_ref(), Some(CapturerError::Connect(_)))
}

fn of_wait(error: &WaitError) -> u8 {
    match error {
        WaitError::Denied => DENIED,
        WaitError::Expired { .. } => EXPIRED,
        WaitError::Cancelled => CANCELLED,
        WaitError::Refused { .. } => REFUSED,
        WaitError::Unavailable => UNAVAILABLE,
        WaitError::ClaimedElsewhere | WaitError::Untrusted(_) | WaitError::Open(_) | WaitError::Shape => {
            NOT_BELIEVED
        }
    }
}

fn of_call(error: &CallError) -> u8 {
    match error {
        CallError::Refused { code: RefusalCode::Unavailable, .. } | CallError::Unreachable(_) => UNAVAILABLE,
        CallError::Refused { code: RefusalCode::Expired, .. } => EXPIRED,
        CallError::Refused { .. } => REFUSED,
        CallError::Unreadable(_) => NOT_BELIEVED,
    }
}

#[cfg(test)]
mod tests {
    use agent_otp_domain::{ClockSkew, Role, Timestamp};
    use agent_otp_trust::{IdentityKey, Untrusted};

    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_is_not_believed() {
        let [pinned, found] = [7, 8].map(|seed| IdentityKey::from_seed(&[seed; 32].into()).id());
        let (now, later) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(90_000));
        let skew = ClockSkew::with_this_machine(Role::Owner, later, now);
        for (error, expected) in [
            (RosterError::Missing, UNAVAILABLE),
            (RosterError::Stale { since: now }, UNAVAILABLE),
            (RosterError::Ahead(skew), REFUSED),
            (RosterError::Backwards { offered: 1, seen: 2 }, NOT_BELIEVED),
            (RosterError::Forked { number: 2 }, NOT_BELIEVED),
            (RosterError::OtherOwner { found, pinned }, NOT_BELIEVED),
            (RosterError::Untrusted(Untrusted::Signature), NOT_BELIEVED),
        ] {
            let error = anyhow::Error::from(AgentError::Roster(VerifyError::Roster(error)));
            assert_eq!(code(&error), expected, "{error:?}");
        }
        let forged = AgentError::Roster(VerifyError::Untrusted(Untrusted::Signature));
        assert_eq!(code(&forged.into()), NOT_BELIEVED);
    }
}
