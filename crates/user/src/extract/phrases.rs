//! The words by which a code is known. They are data: `phrases.txt`, a section for each meaning, a line for
//! each language.
//!
//! A phrase matches whole words, whatever their case and accents. `*` at an end lets the word go on there
//! (`*kod*` is in `Verifizierungskode` and in `kodunuz`); `=` before it asks for exactly these capitals.

use std::sync::LazyLock;

use regex::Regex;

use super::normalise::normalise;

const TABLES: &str = include_str!("phrases.txt");

/// Every place where a phrase of one meaning occurs, in order.
pub(super) struct Places(Vec<(usize, usize)>);

impl Places {
    /// Whether one lies within `start..end`.
    pub(super) fn within(&self, start: usize, end: usize) -> bool {
        self.first_within(start, end).is_some()
    }

    /// The first one within `start..end`.
    pub(super) fn first_within(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let from = self.0.partition_point(|place| place.0 < start);
        self.0.get(from).copied().filter(|place| place.1 <= end)
    }

    /// The last one within `start..end`.
    pub(super) fn last_within(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let until = self.0.partition_point(|place| place.1 <= end);
        let place = self.0.get(until.checked_sub(1)?).copied()?;
        (place.0 >= start).then_some(place)
    }

    /// Whether there is one at all.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

/// Where the phrases of each meaning occur in one normalised text.
pub(super) struct Phrases {
    /// What names nothing but a one-time code.
    pub(super) strong: Places,
    /// What may name a one-time code: code, password, PIN.
    pub(super) word: Places,
    /// What a one-time code is for: verification, sign-in.
    pub(super) purpose: Places,
    /// What tells the reader to type it: enter, use.
    pub(super) enter: Places,
    /// What names another number: order, reference, card, telephone.
    pub(super) other: Places,
    /// A code that is none of ours: postcode, voucher code, error code.
    pub(super) other_code: Places,
    /// What advertises: discount, offer.
    pub(super) promo: Places,
    /// What a person writes who wants a code that is not theirs.
    pub(super) lure: Places,
    /// Codes that last: backup, recovery.
    pub(super) backup: Places,
}

impl Phrases {
    /// Finds the phrases in a normalised text, in one pass for each meaning.
    pub(super) fn find(text: &str) -> Self {
        Self {
            strong: places(&STRONG, text),
            word: places(&WORD, text),
            purpose: places(&PURPOSE, text),
            enter: places(&ENTER, text),
            other: places(&OTHER, text),
            other_code: places(&OTHER_CODE, text),
            promo: places(&PROMO, text),
            lure: places(&LURE, text),
            backup: places(&BACKUP, text),
        }
    }
}

/// Whether `text`, which stands before a code, ends in a verb like `is`.
pub(super) fn ends_in_is(text: &str) -> bool {
    ENDS_IN_IS.is_match(text)
}

/// Whether `text`, which stands after a candidate, begins with a verb like `is`.
pub(super) fn begins_with_is(text: &str) -> bool {
    BEGINS_WITH_IS.is_match(text)
}

/// Whether `text`, which stands after a code, begins with a phrase like `is your`.
pub(super) fn begins_with_is_your(text: &str) -> bool {
    BEGINS_WITH_IS_YOUR.is_match(text)
}

fn places(regex: &Regex, text: &str) -> Places {
    Places(regex.find_iter(text).map(|found| (found.start(), found.end())).collect())
}

/// One phrase as a regular expression; a phrase in a script without spaces has no word boundaries.
fn pattern(phrase: &str) -> String {
    let (phrase, flag) = phrase.strip_prefix('=').map_or((phrase, "i"), |phrase| (phrase, "-i"));
    let text = normalise(phrase.trim_matches('*'));
    let before = if phrase.starts_with('*') { r"[\p{L}\p{M}]*" } else { boundary(text.chars().next()) };
    let after = if phrase.ends_with('*') { r"[\p{L}\p{M}]*" } else { boundary(text.chars().next_back()) };
    let text = regex::escape(&text).replace(' ', r"[\s-]+");
    format!("(?{flag}:{before}{text}{after})")
}

/// What parts a word that begins or ends with this character from its neighbours.
///
/// A Latin word may stand in a Japanese sentence without a space, so that its boundaries are ASCII.
fn boundary(edge: Option<char>) -> &'static str {
    match edge {
        Some(c) if c.is_ascii_alphanumeric() => r"(?-u:\b)",
        Some(c) if c.is_alphanumeric() && u32::from(c) < 0x530 => r"\b",
        _ => "",
    }
}

/// The phrases of one section, the longest first, because the first alternative wins.
fn phrases(section: &str) -> Vec<&'static str> {
    let title = format!("[{section}]");
    let lines = TABLES.lines().skip_while(|line| !line.starts_with(&title)).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(": "));
    let mut phrases: Vec<&str> = lines.flat_map(|(_language, phrases)| phrases.split(" | ")).collect();
    phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    phrases
}

#[expect(clippy::expect_used, reason = "the tables are constant, and every test compiles them")]
fn compile(section: &str, before: &str, after: &str) -> Regex {
    let patterns: Vec<String> = phrases(section).into_iter().map(pattern).collect();
    Regex::new(&format!("{before}(?:{}){after}", patterns.join("|")))
        .expect("phrases make a regular expression")
}

static STRONG: LazyLock<Regex> = LazyLock::new(|| compile("strong", "", ""));
static WORD: LazyLock<Regex> = LazyLock::new(|| compile("word", "", ""));
static PURPOSE: LazyLock<Regex> = LazyLock::new(|| compile("purpose", "", ""));
static ENTER: LazyLock<Regex> = LazyLock::new(|| compile("enter", "", ""));
static OTHER: LazyLock<Regex> = LazyLock::new(|| compile("other", "", ""));
static OTHER_CODE: LazyLock<Regex> = LazyLock::new(|| compile("other_code", "", ""));
static PROMO: LazyLock<Regex> = LazyLock::new(|| compile("promo", "", ""));
static LURE: LazyLock<Regex> = LazyLock::new(|| compile("lure", "", ""));
static BACKUP: LazyLock<Regex> = LazyLock::new(|| compile("backup", "", ""));
static ENDS_IN_IS: LazyLock<Regex> = LazyLock::new(|| compile("is", "", "$"));
static BEGINS_WITH_IS: LazyLock<Regex> = LazyLock::new(|| compile("is", "^", ""));
static BEGINS_WITH_IS_YOUR: LazyLock<Regex> = LazyLock::new(|| compile("is_your", "^", ""));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_phrases() {
        for section in [
            "strong",
            "word",
            "purpose",
            "enter",
            "is",
            "is_your",
            "other",
            "other_code",
            "promo",
            "lure",
            "backup",
        ] {
            assert!(phrases(section).len() > 10, "{section}");
        }
    }

    #[test]
    fn a_phrase_matches_whole_words_unless_it_says_otherwise() {
        for (phrase, text, matches) in [
            ("code", "CODE", true),
            ("code", "decode", false),
            ("*code", "Anmeldecode", true),
            ("kod*", "kodunuz", true),
            ("código", "codigo", true),
            ("one time code", "one-time code", true),
            ("=TAN", "TAN", true),
            ("=TAN", "tan", false),
            ("otp", "あなたのOTPトークン", true),
            ("验证码", "您的验证码是", true),
        ] {
            let found = Regex::new(&pattern(phrase)).unwrap().find(&normalise(text)).is_some();
            assert_eq!(found, matches, "{phrase} in {text}");
        }
    }
}
