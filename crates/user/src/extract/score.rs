//! How sure it is that a candidate is the code: what stands around it, in points.

use super::candidates::{Candidate, Form};
use super::phrases::{self, Phrases};
use super::place::{Place, is_wrapping};

/// The points from which a candidate may be released.
pub(super) const RELEASE: f32 = 5.5;
/// The points from which an announced candidate is certain.
pub(super) const CERTAIN: f32 = 8.0;
/// The points from which a candidate may be taken if it alone has the shape that was asked for.
pub(super) const SHAPED: f32 = 3.0;
/// By how much the best candidate must lead.
pub(super) const MARGIN: f32 = 1.2;
/// By how much it must lead one that is announced as well.
pub(super) const MARGIN_ANCHORED: f32 = 2.5;

/// How far a word like `order` reaches to its number, in bytes.
const OTHER_REACH: usize = 40;

/// What a candidate is worth.
#[derive(Clone, Copy)]
pub(super) struct Score {
    pub(super) points: f32,
    /// Whether the text announces it: `code: …`, `… is your code`.
    pub(super) anchored: bool,
}

/// A text with all that is known about it.
pub(super) struct Context<'a> {
    pub(super) text: &'a str,
    /// How many bytes of the text are the subject.
    pub(super) subject: usize,
    pub(super) phrases: Phrases,
}

/// How the nearest word before a candidate names it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// `code: 482913`, `code is 482913`
    Anchored,
    /// `code 482913`
    Adjacent,
    /// `code for Acme 482913`
    Near,
    Not,
}

impl Context<'_> {
    /// Weighs one candidate.
    pub(super) fn score(&self, candidate: &Candidate) -> Score {
        let place = Place::of(candidate, self.text, self.subject);
        let named = self.named(&place, candidate);
        let strong = self.is_strong(place.start, place.end);
        let word = strong || self.phrases.word.within(place.start, place.end);
        let is_your = word && phrases::begins_with_is_your(place.after.trim_start_matches(is_wrapping));
        let anchored = word && (named == Named::Anchored || named == Named::Adjacent || is_your);

        let mut points = prior(candidate, anchored);
        points += match (strong, word) {
            (true, _) => 5.0,
            (false, true) => 2.5,
            (false, false) => 0.0,
        };
        if !strong && self.strong_anywhere() {
            points += 3.0;
        }
        points += match named {
            Named::Anchored => 3.5,
            Named::Adjacent => 3.0,
            Named::Near => 1.5,
            Named::Not => 0.0,
        };
        points += if is_your { 2.5 } else { 0.0 };
        points += if place.alone { 3.0 } else { 0.0 };
        points += if self.told_to_enter(&place, candidate) { 2.5 } else { 0.0 };
        points -= self.objections(&place, candidate, named, is_your);
        if candidate.form == Form::Capitals && !allows_capitals(&place, &candidate.value, named, anchored) {
            points = 0.0;
        }
        Score { points, anchored }
    }

    /// Whether a clause names a one-time code, or a code and what it is for.
    fn is_strong(&self, start: usize, end: usize) -> bool {
        let phrases = &self.phrases;
        phrases.strong.within(start, end)
            || (phrases.word.within(start, end) && phrases.purpose.within(start, end))
    }

    /// Whether the message speaks of one-time codes, or of what they are for, at all.
    fn strong_anywhere(&self) -> bool {
        let phrases = &self.phrases;
        phrases.strong.any() || phrases.purpose.any()
    }

    /// The end of the last code word within `start..end`.
    fn last_word(&self, start: usize, end: usize) -> Option<usize> {
        let strong = self.phrases.strong.last_within(start, end);
        let word = self.phrases.word.last_within(start, end);
        strong.into_iter().chain(word).map(|(_, end)| end).max()
    }

    /// How the words before the candidate name it.
    fn named(&self, place: &Place<'_>, candidate: &Candidate) -> Named {
        let head = place.before.trim_end_matches(is_wrapping);
        let announced = head.ends_with([':', '=']) || phrases::ends_in_is(head);
        let Some(word) = self.last_word(place.start, candidate.start) else {
            return if announced { Named::Near } else { Named::Not };
        };
        let gap = self.text.get(word..candidate.start).unwrap_or_default();
        if announced {
            Named::Anchored
        } else if gap.chars().all(|c| is_wrapping(c) || matches!(c, '#' | '-' | '\n' | ',' | '.')) {
            Named::Adjacent
        } else if gap.len() <= OTHER_REACH && !gap.contains(|c: char| c.is_ascii_digit()) {
            Named::Near
        } else {
            Named::Not
        }
    }

    /// Whether the reader is told to enter it.
    fn told_to_enter(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        self.phrases
            .enter
            .last_within(place.start, candidate.start)
            .and_then(|(_, end)| self.text.get(end..candidate.start))
            .is_some_and(|gap| gap.len() <= OTHER_REACH && !gap.contains(|c: char| c.is_ascii_digit()))
    }

    /// What speaks against the candidate, in points.
    fn objections(&self, place: &Place<'_>, candidate: &Candidate, named: Named, is_your: bool) -> f32 {
        let phrases = &self.phrases;
        let mut points = 0.0;
        points += if candidate.soft { 8.0 } else { 0.0 };
        points += if !is_your && self.names_another(place, candidate) { 5.0 } else { 0.0 };
        points += if self.names_another_code(place, candidate) { 8.0 } else { 0.0 };
        points += if phrases.promo.within(place.start, place.end) { 5.0 } else { 0.0 };
        points += if phrases.lure.any() { 8.0 } else { 0.0 };
        points += if phrases.backup.within(place.start, candidate.start) { 20.0 } else { 0.0 };
        points += if place.before.ends_with('#') && named == Named::Not { 3.0 } else { 0.0 };
        points +=
            if place.before.ends_with(['/', '@', '_', '.']) && named != Named::Anchored { 3.0 } else { 0.0 };
        points += if place.in_tag { 5.0 } else { 0.0 };
        points
    }

    /// Whether the nearest code before the candidate is a postcode, a voucher code or the like.
    fn names_another_code(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let Some((_, end)) = self.phrases.other_code.last_within(place.start, candidate.start) else {
            return false;
        };
        self.last_word(end, candidate.start).is_none()
    }

    /// Whether the nearest name before the candidate is that of another number, as in `order 482913`.
    ///
    /// In `code for your order: 482913` the number is the code's; in `code for order 482913` it is the order's.
    fn names_another(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let Some((start, end)) = self.phrases.other.last_within(place.start, candidate.start) else {
            return false;
        };
        if self.last_word(place.start, candidate.start).is_some_and(|word| word >= end) {
            return false;
        }
        let gap = self.text.get(end..candidate.start).unwrap_or_default();
        if gap.len() > OTHER_REACH || gap.contains(|c: char| c.is_ascii_digit() || c == ',') {
            return false;
        }
        let bare = gap.chars().all(|c| !c.is_alphabetic() && c != ':');
        let code_before = self
            .last_word(place.start, start)
            .and_then(|word| self.text.get(word..start))
            .is_some_and(|between| !between.contains(|c: char| c.is_ascii_digit()));
        bare || !code_before
    }
}

/// Capitals alone are a code only where they are announced, or where no one could pronounce them.
fn allows_capitals(place: &Place<'_>, value: &str, named: Named, anchored: bool) -> bool {
    let part = |c: char| !c.is_alphanumeric();
    let after = place.after.trim_start_matches([' ', '"', '\'']);
    let next = after.split(part).next().unwrap_or_default();
    let last = place.before.trim_end().rsplit(part).next().unwrap_or_default();
    let shouted = shouts(next) || (named != Named::Adjacent && shouts(last));
    // In `your PASSWORD is 4829` the word announces, and is not announced.
    let announces = after.starts_with(':') || phrases::begins_with_is(after);
    let fits = if place.alone { !pronounceable(value) } else { anchored };
    fits && !shouted && !announces && WORDS_IN_CAPITALS.split(' ').all(|word| word != value)
}

/// What the form alone says.
fn prior(candidate: &Candidate, anchored: bool) -> f32 {
    let length = candidate.value.len();
    let is_year = matches!(candidate.value.get(..2), Some("19" | "20"));
    let has_small_letters = candidate.value.bytes().any(|byte| byte.is_ascii_lowercase());
    match candidate.form {
        Form::Digits if length == 4 && !anchored && is_year => -2.0,
        Form::Digits if length == 6 => 1.0,
        Form::Digits if length <= 8 => 0.5,
        Form::Digits if length == 9 => -0.5,
        Form::Digits => -1.5,
        Form::Mixed if (5..=8).contains(&length) && !has_small_letters => 0.5,
        Form::Mixed => -0.5,
        Form::Capitals => -0.5,
    }
}

/// Words that warnings and buttons shout.
const WORDS_IN_CAPITALS: &str = "BELOW HERE NONE NEVER PLEASE CLICK YOUR THIS VALID SHARE VERIFY CONFIRM LOGIN SIGN \
    CONTINUE WELCOME HELLO NOTE WARNING IMPORTANT SECURITY ONLY STOP HELP CODE ACCESS SENT EXPIRED INVALID";

fn shouts(word: &str) -> bool {
    word.len() > 1 && word.chars().all(char::is_uppercase)
}

/// Whether capitals read like a word: no four consonants in a row, and a vowel.
fn pronounceable(value: &str) -> bool {
    let vowel = |byte: u8| matches!(byte, b'A' | b'E' | b'I' | b'O' | b'U' | b'Y');
    let longest = value.as_bytes().split(|byte| vowel(*byte)).map(<[u8]>::len).max().unwrap_or(0);
    longest < 4 && value.bytes().any(vowel)
}
