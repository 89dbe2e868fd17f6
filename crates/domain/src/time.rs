//! Moments, in whole milliseconds, and how people write them and their distances.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that many milliseconds after the epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_unix_ms(self) -> i64 {
        self.0
    }

    /// That much later; the end of time if there is no such moment.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_ms(duration)))
    }

    /// That much earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_ms(duration)))
    }

    /// How much later this is than `earlier`; nothing if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }

    /// How far the two are apart, whichever is first.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

fn whole_ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms after 1970", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no moment or no duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is no {expected}")]
pub struct TimeError {
    text: String,
    expected: &'static str,
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>().map(|timestamp| Self(timestamp.as_millisecond())).map_err(|_| {
            TimeError { text: text.to_owned(), expected: "time; write it as in 2026-01-31T12:00:00Z" }
        })
    }
}

/// How long a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(Duration);

impl Ttl {
    /// The shortest that may be asked for.
    pub const MIN: Duration = Duration::from_secs(1);
    /// The longest that may be asked for.
    pub const MAX: Duration = Duration::from_hours(1);

    /// The time itself.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        self.0
    }
}

impl Default for Ttl {
    /// Five minutes.
    fn default() -> Self {
        Self(Duration::from_mins(5))
    }
}

impl FromStr for Ttl {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .filter(|duration| (Self::MIN..=Self::MAX).contains(duration))
            .map(Self)
            .ok_or_else(|| TimeError {
                text: text.to_owned(),
                expected: "time to live; write 90s or 5m, from 1s to 1h",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_what_it_shows() {
        let moment = Timestamp::from_unix_ms(1_700_000_000_120);
        assert_eq!(moment.to_string(), "2023-11-14T22:13:20.120Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }

    #[test]
    fn a_time_to_live_is_between_a_second_and_an_hour() {
        for (text, seconds) in [("1s", 1), ("90s", 90), ("5m", 300), ("1h", 3_600), ("1m 30s", 90)] {
            assert_eq!(text.parse(), Ok(Ttl(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "5", "0s", "999ms", "61m", "-5m", "5 parsecs"] {
            assert!(text.parse::<Ttl>().is_err(), "{text}");
        }
    }

    #[test]
    fn moments_at_the_ends_of_time_do_not_overflow() {
        let last = Timestamp::from_unix_ms(i64::MAX);
        assert_eq!(last.after(Duration::MAX), last);
        assert_eq!(Timestamp::from_unix_ms(5).since(last), Duration::ZERO);
    }
}
