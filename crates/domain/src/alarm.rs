//! Something that a party found wrong, kept until somebody has looked at it.

use std::error::Error;

use serde::{Deserialize, Serialize};

use crate::{Actor, RequestId, Timestamp, causes, excerpt};

/// Something that is wrong with the log, a roster, a request, or whoever serves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Who noticed: `auditor`, `agent:shopper` …
    pub noticed_by: String,
    /// Which event of the log, or how far the log had been read; an auditor alone knows.
    pub position: Option<u64>,
    /// Which request; none where it concerns all of them.
    pub request: Option<RequestId>,
    /// What is wrong.
    pub what: String,
    /// When it was noticed, as RFC 3339; none for an event that is not believed, because another roster may bring it
    /// belief.
    pub noticed_at: Option<String>,
}

impl Alarm {
    /// What a member noticed now: the error with its causes, as an [`excerpt`], because it may quote what was received.
    #[must_use]
    pub fn new(
        noticed_by: &Actor,
        request: Option<RequestId>,
        wrong: &(dyn Error + 'static),
        now: Timestamp,
    ) -> Self {
        Self {
            noticed_by: noticed_by.to_string(),
            position: None,
            request,
            what: excerpt(&causes(wrong)),
            noticed_at: Some(now.to_string()),
        }
    }

    /// Whether the other one tells of the same, whenever it was noticed.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.noticed_by, self.position, self.request, &self.what)
            == (&other.noticed_by, other.position, other.request, &other.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("what the relay serves is not believed")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Inner(String);

    #[test]
    fn an_alarm_tells_every_cause_in_one_line_that_has_an_end() {
        let noticed_by = Actor { role: crate::Role::Agent, member: "shopper".parse().unwrap() };
        let alarm = |said: String| {
            Alarm::new(&noticed_by, None, &Outer(Inner(said)), Timestamp::from_unix_ms(0)).what
        };
        assert_eq!(
            alarm("a\n\u{202e}b".to_owned()),
            "what the relay serves is not believed: a<U+000A><U+202E>b"
        );
        assert_eq!(alarm("x".repeat(70_000)).chars().count(), 300);
    }
}
