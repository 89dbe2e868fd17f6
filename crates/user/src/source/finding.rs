//! What a check of a source has found: for a person who has to mend it, or for a program.

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Serialize;

/// What is being found out.
pub type Check = BoxFuture<'static, Vec<Finding>>;

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: `connect`, `login`, `folder INBOX`.
    pub what: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was seen, and of what does not work, what to do.
    pub text: String,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It works.
    Works,
    /// It works, but not as well as it might.
    Slow,
    /// It does not work.
    Fails,
}

impl Finding {
    /// Something that works.
    #[must_use]
    pub fn works(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Works, text: text.into() }
    }

    /// Something that works, but slowly.
    #[must_use]
    pub fn slow(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Slow, text: text.into() }
    }

    /// That no mail lies there.
    #[must_use]
    pub fn no_mail() -> Self {
        Self::slow("mail", "there is none that could be judged; send one to yourself")
    }

    /// Something that does not work, and what to do.
    #[must_use]
    pub fn fails(what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Outcome::Fails, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.outcome {
            Outcome::Works => "ok",
            Outcome::Slow => "slow",
            Outcome::Fails => "FAILS",
        };
        write!(f, "{mark:<6} {:<14} {}", self.what, self.text)
    }
}
