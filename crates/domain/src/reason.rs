//! What an agent gives as its reason, shown so that it cannot pass for anything else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an agent wants the code, in its own words: 1 to 500 characters, untrusted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(String);

/// Why a text is no reason.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a reason has 1 to 500 characters, this one {0}; say in a sentence what the code is for")]
pub struct ReasonError(usize);

impl Reason {
    /// The most characters.
    pub const CHARS_MAX: usize = 500;
}

impl TryFrom<String> for Reason {
    type Error = ReasonError;

    fn try_from(text: String) -> Result<Self, ReasonError> {
        let length = text.chars().count();
        if text.trim().is_empty() || length > Self::CHARS_MAX {
            Err(ReasonError(length))
        } else {
            Ok(Self(text))
        }
    }
}

impl std::str::FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        text.to_owned().try_into()
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl fmt::Display for Reason {
    /// The reason with everything visible that would otherwise act on the reader's screen: see [`visible`]. Blanks are as
    /// they are; who lays it out on a screen takes what is [`compact`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&visible(&self.0))
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "“{self}”")
    }
}

/// The text with control, bidirectional, zero-width and other invisible characters written as `<U+202E>`.
///
/// The bidirectional ones are those of Unicode's UAX #9; they make a text read otherwise than it is stored.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if is_invisible(c) { format!("<U+{:04X}>", u32::from(c)) } else { c.to_string() })
        .collect()
}

/// Longer than what any of these programs says of a refusal or a failed check, in characters.
const EXCERPT_MAX: usize = 300;

/// The beginning of what somebody else wrote, to be told among other things: [`compact`], and no longer than 300 characters. An excerpt of an excerpt is the same.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let told: String = compact(text).chars().take(EXCERPT_MAX).collect();
    told.trim_end().to_owned()
}

/// Everything visible, and one blank where several follow one another: a row of them could push what follows to where a
/// line begins.
#[must_use]
pub fn compact(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_reason_acts_on_the_screen() {
        let reason: Reason = "log in\u{1b}[2J to \u{202e}moc.buhtig\n\u{200b}now".parse().unwrap();
        insta::assert_snapshot!(reason, @"log in<U+001B>[2J to <U+202E>moc.buhtig<U+000A><U+200B>now");
    }

    #[test]
    fn nothing_in_a_reason_pushes_the_rest_of_it_away() {
        let blanks = " \u{a0}\u{2003}\u{3000}".repeat(20);
        let reason: Reason = format!(" log in.{blanks}Nothing else{blanks}").parse().unwrap();
        assert_eq!(compact(&reason.to_string()), "log in. Nothing else");
        assert_eq!("\u{2800}".parse::<Reason>().unwrap().to_string(), "<U+2800>");
    }

    #[test]
    fn an_excerpt_acts_on_no_screen_has_an_end_and_is_its_own_excerpt() {
        let acting = format!("no{}\u{1b}[12A\u{202e}\n", " \u{a0}".repeat(200));
        assert_eq!(excerpt(&acting), "no <U+001B>[12A<U+202E><U+000A>");
        let cut_at_a_blank = format!("{} x", "x".repeat(EXCERPT_MAX - 1));
        for text in [acting, cut_at_a_blank, "\u{1b}[8m".repeat(70_000), "x".repeat(EXCERPT_MAX)] {
            let told = excerpt(&text);
            assert!(told.chars().count() <= EXCERPT_MAX, "{told}");
            assert_eq!(excerpt(&told), told);
        }
    }

    #[test]
    fn ordinary_text_is_shown_as_it_is() {
        for text in ["Sign in to GitHub", "Überweisung prüfen – 你好", "שלום"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn a_reason_is_neither_empty_nor_endless() {
        for text in ["", "  \n", &"x".repeat(501)] {
            assert!(text.parse::<Reason>().is_err());
        }
        assert!("ä".repeat(500).parse::<Reason>().is_ok());
    }
}
