//! What a code looks like: its alphabet and its length.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The characters that a code is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Alphabet {
    /// `0` to `9`.
    #[serde(rename = "digits")]
    Digits,
    /// `A` to `Z` and `a` to `z`.
    #[serde(rename = "letters")]
    Letters,
    /// Digits and letters, and hyphens between them.
    #[serde(rename = "alnum")]
    Alphanumeric,
}

impl Alphabet {
    const NAMES: [(&'static str, Self); 3] =
        [("digits", Self::Digits), ("letters", Self::Letters), ("alnum", Self::Alphanumeric)];

    fn holds(self, c: char) -> bool {
        match self {
            Self::Digits => c.is_ascii_digit(),
            Self::Letters => c.is_ascii_alphabetic(),
            Self::Alphanumeric => c.is_ascii_alphanumeric() || c == '-',
        }
    }
}

/// The shape of a code: `digits:6`, `alnum:4-10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeShape {
    /// The characters that it is made of.
    pub alphabet: Alphabet,
    /// The fewest characters, at least 4.
    pub min: u8,
    /// The most characters, at most 10.
    pub max: u8,
}

impl CodeShape {
    /// The bounds that any code keeps, whatever was asked for.
    pub const LENGTHS: std::ops::RangeInclusive<u8> = 4..=10;

    /// Whether `code` has this shape.
    #[must_use]
    pub fn fits(&self, code: &str) -> bool {
        let length = code.chars().count();
        (usize::from(self.min)..=usize::from(self.max)).contains(&length)
            && code.chars().all(|c| self.alphabet.holds(c))
            && !code.starts_with('-')
            && !code.ends_with('-')
    }

    /// Whether no code has both shapes.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        let lengths = self.max < other.min || other.max < self.min;
        let alphabets = matches!(
            (self.alphabet, other.alphabet),
            (Alphabet::Digits, Alphabet::Letters) | (Alphabet::Letters, Alphabet::Digits)
        );
        lengths || alphabets
    }

    /// Whether the bounds make sense: `4 <= min <= max <= 10`.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.min <= self.max && Self::LENGTHS.contains(&self.min) && Self::LENGTHS.contains(&self.max)
    }
}

/// Why a text is no code shape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no code shape; write digits:6, letters:5 or alnum:4-10 (lengths from 4 to 10)")]
pub struct ShapeError(String);

impl FromStr for CodeShape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        let refused = || ShapeError(text.to_owned());
        let (name, lengths) = text.split_once(':').ok_or_else(refused)?;
        let (min, max) = lengths.split_once('-').unwrap_or((lengths, lengths));
        let (_, alphabet) =
            Alphabet::NAMES.into_iter().find(|(known, _)| *known == name).ok_or_else(refused)?;
        let shape = Self {
            alphabet,
            min: min.parse().map_err(|_| refused())?,
            max: max.parse().map_err(|_| refused())?,
        };
        if shape.is_valid() { Ok(shape) } else { Err(refused()) }
    }
}

impl fmt::Display for CodeShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            Alphabet::NAMES.iter().find(|(_, known)| *known == self.alphabet).map_or("", |(name, _)| name);
        if self.min == self.max {
            write!(f, "{name}:{}", self.min)
        } else {
            write!(f, "{name}:{}-{}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_reads_back_what_it_shows() {
        for text in ["digits:6", "digits:4-8", "letters:5", "alnum:4-10"] {
            assert_eq!(text.parse::<CodeShape>().map(|shape| shape.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_senseless_shape_is_refused() {
        for text in [
            "",
            "digits",
            "digits:",
            "digits:3",
            "digits:11",
            "digits:8-4",
            "words:6",
            "digits:-6",
            "digits:6-",
        ] {
            assert_eq!(text.parse::<CodeShape>(), Err(ShapeError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_code_fits_its_shape_alone() {
        let digits: CodeShape = "digits:6".parse().unwrap();
        assert!(digits.fits("482913"));
        for code in ["48291", "4829133", "48291a", "482-13", "４８２９１３"] {
            assert!(!digits.fits(code), "{code}");
        }
        let mixed: CodeShape = "alnum:4-10".parse().unwrap();
        assert!(mixed.fits("R7K-2M"));
        assert!(!mixed.fits("----") && !mixed.fits("-R7K2M"));
    }
}
