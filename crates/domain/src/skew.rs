//! How far two clocks may be apart, and what a person is told when they are further.

use std::time::Duration;

use crate::{Role, Timestamp};

/// How far a member's clock may be from the relay's, and an agent's from the capturer's.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_mins(1);

/// Two clocks that are more than [`CLOCK_SKEW_MAX`] apart. Neither side can tell which of them is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {whose}'s clock is {} {} {against} ({theirs} against {ours}), and 1m is allowed; neither side can tell which \
     of the two is wrong: type `date -u` on both machines, set the clock that is off, and try again",
    amount(*theirs, *ours),
    if theirs > ours { "ahead of" } else { "behind" },
)]
pub struct ClockSkew {
    whose: Role,
    theirs: Timestamp,
    against: &'static str,
    ours: Timestamp,
}

impl ClockSkew {
    /// What the relay tells a member, by whose clock it was `theirs` when it was `now` by the relay's.
    #[must_use]
    pub fn with_relay(whose: Role, theirs: Timestamp, now: Timestamp) -> Self {
        Self { whose, theirs, against: "the relay's", ours: now }
    }

    /// What a member finds out for itself, by whose own clock it was `now`.
    #[must_use]
    pub fn with_this_machine(whose: Role, theirs: Timestamp, now: Timestamp) -> Self {
        Self { whose, theirs, against: "this machine's", ours: now }
    }
}

/// In whole seconds: `1m 30s`.
fn amount(theirs: Timestamp, ours: Timestamp) -> String {
    let seconds = theirs.distance(ours).saturating_add(Duration::from_millis(500)).as_secs();
    format!("{:#}", jiff::SignedDuration::from_secs(seconds.try_into().unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_whose_clock_is_off_by_how_much_and_where_to_look() {
        let at = Timestamp::from_unix_ms;
        let ahead = ClockSkew::with_relay(Role::Agent, at(89_996), at(0));
        insta::assert_snapshot!(ahead, @"the agent's clock is 1m 30s ahead of the relay's (1970-01-01T00:01:29.996Z against 1970-01-01T00:00:00.000Z), and 1m is allowed; neither side can tell which of the two is wrong: type `date -u` on both machines, set the clock that is off, and try again");
        let behind = ClockSkew::with_this_machine(Role::Owner, at(0), at(7_200_000));
        insta::assert_snapshot!(behind, @"the owner's clock is 2h behind this machine's (1970-01-01T00:00:00.000Z against 1970-01-01T02:00:00.000Z), and 1m is allowed; neither side can tell which of the two is wrong: type `date -u` on both machines, set the clock that is off, and try again");
    }

    #[test]
    fn clocks_at_the_ends_of_time_can_be_told() {
        let ends = (Timestamp::from_unix_ms(i64::MIN), Timestamp::from_unix_ms(i64::MAX));
        assert!(ClockSkew::with_relay(Role::Agent, ends.0, ends.1).to_string().contains("behind"));
    }
}
