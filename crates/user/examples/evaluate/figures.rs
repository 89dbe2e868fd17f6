//! The sums over many messages.

use std::fmt;

use crate::judge::{Outcome, Verdict};

/// How many messages came out how.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures {
    positives: u32,
    found: u32,
    wrong: u32,
    negatives: u32,
    false_positives: u32,
    unjudged: u32,
}

impl Figures {
    /// The sum of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            positives: self.positives + other.positives,
            found: self.found + other.found,
            wrong: self.wrong + other.wrong,
            negatives: self.negatives + other.negatives,
            false_positives: self.false_positives + other.false_positives,
            unjudged: self.unjudged + other.unjudged,
        }
    }

    /// The figures for programs.
    pub(crate) fn json(&self) -> String {
        let Self { positives, found, wrong, negatives, false_positives, .. } = self;
        format!(
            r#"{{"positives":{positives},"found":{found},"wrong":{wrong},"negatives":{negatives},"false_positives":{false_positives}}}"#
        )
    }

    fn one(verdict: &Verdict) -> Self {
        let (positive, negative) = if verdict.is_positive() { (1, 0) } else { (0, 1) };
        let counted = Self { positives: positive, negatives: negative, ..Self::default() };
        match verdict.outcome {
            Outcome::Right => Self { found: positive, ..counted },
            Outcome::Missed => counted,
            Outcome::Wrong => Self { wrong: 1, ..counted },
            Outcome::False => Self { false_positives: 1, ..counted },
            Outcome::Unjudged => Self { unjudged: 1, ..Self::default() },
        }
    }
}

impl<'a> FromIterator<&'a Verdict> for Figures {
    fn from_iter<I: IntoIterator<Item = &'a Verdict>>(verdicts: I) -> Self {
        verdicts.into_iter().map(Self::one).fold(Self::default(), Self::plus)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { positives, found, wrong, negatives, false_positives, unjudged } = self;
        if *positives > 0 {
            write!(f, "recall {:.3} ({found} of {positives}), ", f64::from(*found) / f64::from(*positives))?;
        }
        write!(f, "{wrong} wrong, {false_positives} false positives of {negatives}")?;
        if *unjudged > 0 {
            write!(f, ", {unjudged} not judged")?;
        }
        Ok(())
    }
}
