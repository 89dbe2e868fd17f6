//! Capitals alone: a word that is shouted, a name, or a code.

use super::candidates::Candidate;
use super::phrases::Meaning;
use super::place::{Place, line};
use super::score::{Context, Named, Signs};

impl Context<'_> {
    /// Capitals alone are a code only where they are announced, or where no one could pronounce them.
    pub(super) fn allows_capitals(&self, place: &Place<'_>, candidate: &Candidate, signs: &Signs) -> bool {
        let value = candidate.value.as_str();
        let part = |c: char| !c.is_alphanumeric();
        let after = place.after.trim_start_matches([' ', '"', '\'']);
        let next = after.split(part).next().unwrap_or_default();
        let last = place.before.trim_end().rsplit(part).next().unwrap_or_default();
        // In `your OTP, CNIC or PIN` it is one of several things.
        let is_listed = place.before.trim_end().ends_with(',');
        let shouted = is_listed || shouts(next) || (signs.named != Named::Adjacent && shouts(last));
        // In `your PASSWORD is 4829` the word announces, and is not announced; in `JRKQWXTV is your code` it is.
        let is_named = signs.is_your && value.len() >= 6 && !pronounceable(value);
        let announces =
            after.starts_with(':') || (!is_named && self.follows(Meaning::Is, after, place, candidate));
        let (before, behind) = line(self.text, candidate);
        let is_shouted_line = !before.chars().chain(behind.chars()).any(char::is_lowercase);
        let fits = signs.is_anchored() && !(is_shouted_line && pronounceable(value));
        let fits = if place.alone { !pronounceable(value) } else { fits };
        fits && !shouted && !announces && WORDS_IN_CAPITALS.split(' ').all(|word| word != value)
    }
}

/// Words that warnings and buttons shout.
const WORDS_IN_CAPITALS: &str = "BELOW HERE NONE NEVER PLEASE CLICK YOUR THIS VALID SHARE VERIFY CONFIRM LOGIN SIGN \
    CONTINUE WELCOME HELLO NOTE WARNING IMPORTANT SECURITY ONLY STOP HELP CODE ACCESS SENT EXPIRED INVALID SECRET \
    CONFIDENTIAL PRIVATE PERSONAL";

fn shouts(word: &str) -> bool {
    word.len() > 1 && word.chars().all(char::is_uppercase)
}

/// Whether capitals read like a word: no four consonants in a row, and a vowel.
pub(super) fn pronounceable(value: &str) -> bool {
    let vowel = |byte: u8| matches!(byte, b'A' | b'E' | b'I' | b'O' | b'U' | b'Y');
    let longest = value.as_bytes().split(|byte| vowel(*byte)).map(<[u8]>::len).max().unwrap_or(0);
    longest < 4 && value.bytes().any(vowel)
}
