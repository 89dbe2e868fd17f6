//! Which events and requests are asked for, as it is typed.

use agent_otp_audit::Filter;
use agent_otp_domain::{EventType, MemberId, Timestamp};
use agent_otp_jetstream::clock;
use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo};

#[derive(Debug, Args)]
pub(crate) struct Only {
    /// Only what concerns this agent; repeatable.
    #[arg(long = "agent", value_name = "NAME")]
    agents: Vec<MemberId>,
    /// Only events of this type, or requests in this state: requested, approved, captured, consumed, denied, expired,
    /// cancelled; repeatable.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<EventType>,
    /// Only what happened then or later: 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Only what happened before that; written like --since.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

/// What is asked for cannot have happened.
#[derive(Debug, thiserror::Error)]
#[error("--since {since} is not before --until {until}: nothing lies between")]
pub(crate) struct NothingBetween {
    since: Timestamp,
    until: Timestamp,
}

impl Only {
    pub(crate) fn filter(self) -> Result<Filter, NothingBetween> {
        let Self { agents, types, since, until } = self;
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(NothingBetween { since, until });
        }
        Ok(Filter { agents, types, since, until })
    }
}

/// A moment, or how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let ago = text.parse::<Span>().ok();
    let ago = ago.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    ago.and_then(|ago: SignedDuration| ago.try_into().ok()).map(|ago| clock::now().before(ago)).ok_or_else(
        || format!("`{text}` is no time; write 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_a_moment_or_how_long_ago() {
        let moment_of = |text: &str| moment(text).map(Timestamp::as_unix_ms);
        assert_eq!(moment_of("2026-01-31T12:00:00Z"), Ok(1_769_860_800_000));
        assert_eq!(moment_of("2026-01-31T13:00:00+01:00"), Ok(1_769_860_800_000));
        for (text, seconds) in
            [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("7d", 604_800), ("1h 30m", 5_400)]
        {
            let ago = clock::now().since(moment(text).unwrap());
            let off = ago.abs_diff(Duration::from_secs(seconds));
            assert!(off < Duration::from_secs(5), "{text}: {ago:?}");
        }
        for text in ["", "yesterday", "5", "2h ago", "2026-01-31", "12:00", "1mo"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
