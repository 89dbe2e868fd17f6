//! The words by which a code is known. They are data: `phrases.txt`, a section for each meaning, a line for
//! each language.
//!
//! A phrase matches whole words, whatever their case and accents. `*` at an end lets the word go on there
//! (`*kod*` is in `Verifizierungskode` and in `kodunuz`); `=` before it asks for exactly these capitals.
//! `ä` in a phrase also matches `ae`, as in a text message without it.
//! All of them are one automaton of less than 2 MiB, which reads a text once.

use std::cmp::Reverse;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use unicode_normalization::char::is_combining_mark;
use zeroize::Zeroizing;

use super::mask::overlaps;
use super::normalise::normalise;

const TABLES: &str = include_str!("phrases.txt");

/// What a phrase means for the numbers around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Names nothing but a one-time code.
    Strong,
    /// May name a one-time code: code, password, PIN.
    Word,
    /// What a one-time code is for, of every kind: verification.
    Purpose,
    /// Signs in to an account.
    Login,
    /// Makes an account.
    SignUp,
    /// Sets a new password.
    Reset,
    /// Pays, or moves money.
    Payment,
    /// Changes the data of an account.
    Change,
    /// Ties a device or an application to the account.
    Pairing,
    /// Begins advice for the case that the code was not asked for.
    Aside,
    /// Tells the reader to type it: enter, use.
    Enter,
    /// Stands directly before it, where a sentence says what to confirm: with.
    With,
    /// Stands between the word and the code: is.
    Is,
    /// Follows a code that comes first: is your.
    IsYour,
    /// Says that the code is spent, or wrong: was used.
    Spent,
    /// Says that there are several codes: codes.
    Plural,
    /// Names another number: order, reference, card, telephone.
    Other,
    /// A code that is none of ours: postcode, voucher code, error code.
    OtherCode,
    /// Advertises: discount, offer.
    Promo,
    /// What a person writes who wants a code that is not theirs.
    Lure,
    /// Codes that last: backup, recovery.
    Backup,
    /// What a number opens that is no account: a network, a meeting, a gift card.
    Elsewhere,
    /// What is booked: a hotel, a flight, a table.
    Booking,
    /// A name that has a word for a code in it: OTP Bank.
    Name,
}

/// The section of `phrases.txt` for each meaning, in the order of [`Meaning`].
const SECTIONS: [(&str, Meaning); 24] = [
    ("strong", Meaning::Strong),
    ("word", Meaning::Word),
    ("purpose", Meaning::Purpose),
    ("login", Meaning::Login),
    ("sign_up", Meaning::SignUp),
    ("reset", Meaning::Reset),
    ("payment", Meaning::Payment),
    ("change", Meaning::Change),
    ("pairing", Meaning::Pairing),
    ("aside", Meaning::Aside),
    ("enter", Meaning::Enter),
    ("with", Meaning::With),
    ("is", Meaning::Is),
    ("is_your", Meaning::IsYour),
    ("spent", Meaning::Spent),
    ("plural", Meaning::Plural),
    ("other", Meaning::Other),
    ("other_code", Meaning::OtherCode),
    ("promo", Meaning::Promo),
    ("lure", Meaning::Lure),
    ("backup", Meaning::Backup),
    ("elsewhere", Meaning::Elsewhere),
    ("booking", Meaning::Booking),
    ("name", Meaning::Name),
];

/// Every place where a phrase of one meaning occurs, in order.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(usize, usize)>);

impl Places {
    const NONE: &Self = &Self(Vec::new());

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

    /// All within `start..end`.
    pub(super) fn all_within(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, usize)> {
        let from = self.0.partition_point(|place| place.0 < start);
        let rest = self.0.get(from..).unwrap_or_default().iter().copied();
        rest.take_while(move |place| place.0 < end).filter(move |place| place.1 <= end)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.0.iter().copied()
    }

    /// Whether there is one at all.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether one begins at `at`.
    pub(super) fn begins_at(&self, at: usize) -> bool {
        self.0.binary_search_by_key(&at, |place| place.0).is_ok()
    }

    /// Whether one ends at `at`.
    pub(super) fn ends_at(&self, at: usize) -> bool {
        let until = self.0.partition_point(|place| place.0 < at);
        let near = self.0.get(..until).unwrap_or_default().iter().rev();
        near.take_while(|place| place.0 + PHRASE_REACH >= at).any(|place| place.1 == at)
    }

    /// Orders the places and drops each that overlaps one before it, the longest first.
    fn part(&mut self) {
        self.0.sort_unstable_by_key(|(start, end)| (*start, Reverse(*end)));
        let mut reached = 0;
        self.0.retain(|(start, end)| {
            let is_free = *start >= reached;
            reached = if is_free { *end } else { reached };
            is_free
        });
    }
}

/// The longest phrase, in bytes.
const PHRASE_REACH: usize = 96;

/// Where the phrases of each meaning occur in one normalised text.
pub(super) struct Phrases([Places; SECTIONS.len()]);

impl Phrases {
    /// Finds the phrases in a normalised text, in one pass.
    pub(super) fn find(text: &str) -> Self {
        let folded = Folded::of(text);
        let mut all: [Places; SECTIONS.len()] = Default::default();
        for found in TABLE.automaton.find_overlapping_iter(folded.text.as_str()) {
            let Some(phrase) = TABLE.phrases.get(found.pattern().as_usize()) else { continue };
            let place = phrase.place(text, folded.origin(found.start()), folded.origin(found.end()));
            if let (Some(place), Some(places)) = (place, all.get_mut(phrase.meaning as usize)) {
                places.0.push(place);
            }
        }
        let mut names = all.get_mut(Meaning::Name as usize).map(std::mem::take).unwrap_or_default();
        names.part();
        for (places, (_, meaning)) in all.iter_mut().zip(SECTIONS) {
            places.0.retain(|(start, end)| !overlaps(&names.0, *start, *end));
            // Of a verb it counts where it begins or ends, whatever it overlaps.
            if matches!(meaning, Meaning::With | Meaning::Is | Meaning::IsYour) {
                places.0.sort_unstable();
            } else {
                places.part();
            }
        }
        Self(all)
    }

    /// Where the phrases of one meaning are.
    pub(super) fn of(&self, meaning: Meaning) -> &Places {
        self.0.get(meaning as usize).unwrap_or(Places::NONE)
    }
}

/// A text in small letters, in which one space stands for every run of spaces, and for a hyphen within a word.
struct Folded {
    text: Zeroizing<String>,
    /// For each byte of it, and for its end, where the original of its character begins.
    origins: Vec<u32>,
}

impl Folded {
    fn of(text: &str) -> Self {
        let mut folded = Zeroizing::new(String::with_capacity(text.len() + 8));
        let mut origins = Vec::with_capacity(text.len() + 8);
        let mut last = None;
        for (at, c) in text.char_indices() {
            let origin = u32::try_from(at).unwrap_or(u32::MAX);
            if c.is_ascii_alphanumeric() {
                folded.push(c.to_ascii_lowercase());
                origins.push(origin);
                last = Some(c);
                continue;
            }
            let is_hyphen = c == '-' && last.is_some_and(char::is_alphanumeric) && begins_word(text, at + 1);
            if is_hyphen || c.is_whitespace() {
                if !folded.ends_with(' ') {
                    folded.push(' ');
                }
            } else if matches!(c, '’' | '‘' | 'ʼ' | '`') {
                folded.push('\'');
            } else {
                folded.extend(c.to_lowercase());
            }
            last = Some(c);
            origins.resize(folded.len(), origin);
        }
        origins.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        Self { text: folded, origins }
    }

    fn origin(&self, at: usize) -> usize {
        self.origins.get(at).map_or(usize::MAX, |at| *at as usize)
    }
}

fn begins_word(text: &str, at: usize) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
}

/// One phrase: what it means, and what may stand beside it.
struct Phrase {
    meaning: Meaning,
    before: Edge,
    after: Edge,
    /// The phrase itself, if its capitals count.
    exactly: Option<String>,
}

/// What parts a phrase from its neighbours.
#[derive(Clone, Copy)]
enum Edge {
    /// The word may go on.
    Open,
    /// No ASCII letter, digit or `_` may follow. A Latin word may stand in a Japanese sentence without a space.
    Ascii,
    /// No letter or digit may follow.
    Letter,
    /// Nothing: the script has no spaces, or joins particles to its words.
    None,
}

impl Phrase {
    fn new(meaning: Meaning, written: &str) -> (Self, String) {
        let (written, is_exact) = written.strip_prefix('=').map_or((written, false), |rest| (rest, true));
        let text = normalise(written.trim_matches('*'));
        let edge = |is_open: bool, c: Option<char>| match c {
            _ if is_open => Edge::Open,
            Some(c) if c.is_ascii_alphanumeric() => Edge::Ascii,
            Some(c) if c.is_alphanumeric() && u32::from(c) < 0x530 => Edge::Letter,
            _ => Edge::None,
        };
        let before = edge(written.starts_with('*'), text.chars().next());
        let after = edge(written.ends_with('*'), text.chars().next_back());
        let folded = Folded::of(&text).text.to_string();
        (Self { meaning, before, after, exactly: is_exact.then(|| text.to_string()) }, folded)
    }

    /// Where the phrase with the rest of its words is, if `start..end` is one.
    fn place(&self, text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
        let (head, tail) = (text.get(..start)?, text.get(end..)?);
        if self.exactly.as_ref().is_some_and(|exactly| text.get(start..end) != Some(exactly)) {
            return None;
        }
        let start = start - self.before.reach(head.chars().rev())?;
        Some((start, end + self.after.reach(tail.chars())?))
    }
}

impl Edge {
    /// How many bytes of the neighbouring text belong to the word; `None` if it may not stand there.
    fn reach(self, mut beside: impl Iterator<Item = char>) -> Option<usize> {
        let is_free = match self {
            Self::Open => {
                let word = beside.take_while(|c| c.is_alphabetic() || is_combining_mark(*c));
                return Some(word.take(WORD_CHARS_MAX).map(char::len_utf8).sum());
            }
            Self::Ascii => !beside.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_'),
            Self::Letter => !beside.next().is_some_and(|c| c.is_alphanumeric() || c == '_'),
            Self::None => true,
        };
        is_free.then_some(0)
    }
}

/// How far a word goes on, in characters.
const WORD_CHARS_MAX: usize = 32;

/// All phrases, and the automaton that finds them.
struct Table {
    automaton: AhoCorasick,
    phrases: Vec<Phrase>,
}

#[expect(clippy::expect_used, reason = "the tables are constant, and every test compiles them")]
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let (phrases, texts): (Vec<Phrase>, Vec<String>) = written()
        .flat_map(|(meaning, phrase)| spellings(phrase).map(move |phrase| Phrase::new(meaning, &phrase)))
        .unzip();
    let automaton = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(texts)
        .expect("the phrases make an automaton");
    Table { automaton, phrases }
});

/// A phrase as it is written, and without letters that a text message may lack.
fn spellings(phrase: &str) -> impl Iterator<Item = String> {
    const WITHOUT: [(char, &str); 7] =
        [('ä', "ae"), ('ö', "oe"), ('ü', "ue"), ('å', "aa"), ('æ', "ae"), ('ø', "oe"), ('ß', "ss")];
    let plain =
        WITHOUT.iter().fold(phrase.to_owned(), |plain, (letter, without)| plain.replace(*letter, without));
    let differs = plain != phrase;
    std::iter::once(phrase.to_owned()).chain(differs.then_some(plain))
}

/// Every phrase as it is written in the tables.
fn written() -> impl Iterator<Item = (Meaning, &'static str)> {
    let mut section = None;
    TABLES.lines().flat_map(move |line| {
        if let Some((title, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            section = SECTIONS.iter().find(|(known, _)| *known == title).map(|(_, meaning)| *meaning);
        }
        let phrases = line.split_once(": ").filter(|_| !line.starts_with(['[', '#']));
        section.zip(phrases).into_iter().flat_map(|(meaning, (_language, phrases))| {
            phrases.split(" | ").map(move |phrase| (meaning, phrase))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_phrases_and_stands_in_its_place() {
        for (index, (section, meaning)) in SECTIONS.into_iter().enumerate() {
            assert_eq!(meaning as usize, index, "{section}");
            assert!(written().filter(|(of, _)| *of == meaning).count() > 10, "{section}");
        }
        let titles = TABLES.lines().filter(|line| line.starts_with('[')).count();
        assert_eq!(titles, SECTIONS.len());
    }

    #[test]
    fn a_phrase_says_something_and_its_stars_are_at_its_ends() {
        for (meaning, phrase) in written() {
            let (_, folded) = Phrase::new(meaning, phrase);
            assert!(!folded.trim().is_empty() && folded.len() <= PHRASE_REACH, "{phrase:?}");
            assert!(!folded.contains('*') && phrase.trim() == phrase, "{phrase:?}");
        }
    }

    #[test]
    fn the_automaton_is_small() {
        assert!(TABLE.automaton.memory_usage() < 2 << 20, "{}", TABLE.automaton.memory_usage());
    }

    #[test]
    fn a_phrase_matches_whole_words_unless_it_says_otherwise() {
        for (phrase, text, found) in [
            ("code", "a CODE", Some("CODE")),
            ("code", "decode", None),
            ("*code", "Anmeldecode 1", Some("Anmeldecode")),
            ("kod*", "kodunuz", Some("kodunuz")),
            ("código", "codigo", Some("codigo")),
            ("one time code", "one-time  code", Some("one-time  code")),
            ("code d'accès", "code d’accès", Some("code d’acces")),
            ("=TAN", "TAN", Some("TAN")),
            ("=TAN", "tan", None),
            ("otp", "あなたのOTPトークン", Some("OTP")),
            ("验证码", "您的验证码是", Some("验证码")),
        ] {
            let text = normalise(text);
            let (phrase, folded) = Phrase::new(Meaning::Word, phrase);
            let haystack = Folded::of(&text);
            let place = haystack.text.match_indices(&folded).find_map(|(at, _)| {
                phrase.place(&text, haystack.origin(at), haystack.origin(at + folded.len()))
            });
            assert_eq!(place.and_then(|(start, end)| text.get(start..end)), found);
        }
    }
}
