//! How sure it is that a candidate is the code: what speaks for it, in points. What speaks against it is in
//! [`objections`](super::objections).

use super::candidates::{Candidate, Form};
use super::phrases::{Meaning, Phrases};
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

/// What it is worth, in points, that no other number comes into question beside one near a word for a code.
pub(super) const ALONE: f32 = 1.0;

/// How far a word like `order` reaches to its number, in bytes.
pub(super) const OTHER_REACH: usize = 40;

/// How long the name of a sender is at most, in bytes.
const SENDER_REACH: usize = 30;

/// How far what tells the reader to enter it reaches, in bytes, to one that has a line of its own.
const ALONE_REACH: usize = 120;

/// What ties a candidate to a word for a code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tie {
    None,
    /// The word stands near it, and no other number between them.
    Near,
    /// The text announces it: `code: …`, `… is your code`.
    Anchored,
}

/// What a candidate is worth.
#[derive(Clone, Copy)]
pub(super) struct Score {
    pub(super) points: f32,
    pub(super) tie: Tie,
    /// Whether the text announces several codes: `codes: …`.
    pub(super) several: bool,
    /// How often it stands in the text.
    pub(super) times: u32,
    /// How often the text calls it another number, or one in a message that it cites: `invoice 482913`.
    pub(super) another: u32,
    /// Whether nothing speaks against it.
    pub(super) unopposed: bool,
    /// Where its clause begins.
    pub(super) clause: usize,
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
pub(super) enum Named {
    /// `code: 482913`, `code is 482913`
    Anchored,
    /// `code 482913`
    Adjacent,
    /// `code for Acme 482913`
    Near,
    Not,
}

/// Whether the reader is told to enter a candidate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entered {
    /// `enter 482913`
    Directly,
    /// `enter in the app 482913`
    Near,
    Not,
}

/// Whether the clause of a candidate speaks of a code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoken {
    /// Of one that is used once.
    Strongly,
    Plainly,
    Not,
}

/// What the words around a candidate say of it.
pub(super) struct Signs {
    spoken: Spoken,
    pub(super) named: Named,
    /// `482913 is your code`
    pub(super) is_your: bool,
    entered: Entered,
}

impl Signs {
    /// Whether the text announces it as a code.
    pub(super) fn is_anchored(&self) -> bool {
        self.spoken != Spoken::Not
            && (self.is_your || matches!(self.named, Named::Anchored | Named::Adjacent))
    }
}

impl Score {
    pub(super) fn is_anchored(&self) -> bool {
        self.tie == Tie::Anchored
    }
}

impl Context<'_> {
    /// Weighs one candidate.
    pub(super) fn score(&self, candidate: &Candidate) -> Score {
        let place = Place::of(candidate, self.text, self.subject);
        let signs = self.signs(&place, candidate);
        let objections = self.objections(&place, candidate, signs.named, signs.is_your);
        let mut points = self.speaks_for(&place, candidate, &signs) - objections;
        if candidate.form == Form::Capitals && !self.allows_capitals(&place, candidate, &signs) {
            points = 0.0;
        }
        let is_another = signs.named == Named::Not && self.names_another(&place, candidate);
        Score {
            points,
            tie: self.tie(&place, candidate, &signs),
            several: self.phrases.of(Meaning::Plural).within(place.start, candidate.start),
            another: u32::from(is_another || self.is_cited(candidate)),
            times: 1,
            unopposed: objections <= 0.0,
            clause: place.start,
        }
    }

    /// What the words around the candidate say of it.
    fn signs(&self, place: &Place<'_>, candidate: &Candidate) -> Signs {
        let spoken = if self.is_strong(place.start, place.end) {
            Spoken::Strongly
        } else if self.phrases.of(Meaning::Word).within(place.start, place.end) {
            Spoken::Plainly
        } else {
            Spoken::Not
        };
        let after = place.after.trim_start_matches(is_wrapping);
        let is_your = (spoken != Spoken::Not || self.is_for(place))
            && self.follows(Meaning::IsYour, after, place, candidate);
        let entered = self.told_to_enter(place, candidate);
        Signs { spoken, named: self.named(place, candidate), is_your, entered }
    }

    /// What speaks for the candidate, in points.
    fn speaks_for(&self, place: &Place<'_>, candidate: &Candidate, signs: &Signs) -> f32 {
        let Signs { spoken, named, is_your, entered } = *signs;
        let is_entered = entered != Entered::Not;
        let of_its_clause = match spoken {
            Spoken::Strongly => 5.0,
            Spoken::Plainly => 2.5,
            Spoken::Not => 0.0,
        };
        let elsewhere = spoken != Spoken::Strongly && self.strong_anywhere(is_entered);
        // `Sign-in: 482913`, where the code is called so elsewhere.
        let is_called_elsewhere = spoken == Spoken::Not
            && (self.is_for(place) || is_entered)
            && self.phrases.of(Meaning::Word).any();
        let of_its_name = match named {
            Named::Anchored => 3.5,
            Named::Adjacent => 3.0,
            Named::Near if is_called_elsewhere => 2.5,
            Named::Near => 1.5,
            Named::Not => 0.0,
        };
        let of_its_place = match (place.alone, place.alone_in_clause, self.opens_with(candidate)) {
            (true, _, _) => 3.0,
            (false, true, _) => 2.0,
            (false, false, true) => 1.5,
            (false, false, false) => 0.0,
        };
        let of_its_use = match entered {
            Entered::Directly if self.is_all_there_is(candidate, signs) => 5.0,
            Entered::Directly => 3.0,
            Entered::Near => 2.5,
            Entered::Not => 0.0,
        };
        let more = [(elsewhere, 3.0), (is_your, 2.5), (candidate.spelled, 2.5)];
        let more: f32 = more.into_iter().filter(|(holds, _)| *holds).map(|(_, points)| points).sum();
        prior(candidate, signs) + of_its_clause + of_its_name + of_its_place + of_its_use + more
    }

    /// Whether the message has no word for a code, says what one is for, and speaks of nothing else that one enters:
    /// `Enter 482913 to verify your phone.`
    fn is_all_there_is(&self, candidate: &Candidate, signs: &Signs) -> bool {
        const OTHERS: [Meaning; 4] =
            [Meaning::Promo, Meaning::Booking, Meaning::Elsewhere, Meaning::OtherCode];
        let written = self.text.get(candidate.start..candidate.end).unwrap_or_default();
        let mut groups = written.split(|c: char| !c.is_ascii_digit()).map(str::len);
        let first = groups.next();
        candidate.form == Form::Digits
            // The place of a parcel is grouped in other ways: `3-2-4018`.
            && groups.all(|group| Some(group) == first)
            && (6..=8).contains(&candidate.value.len())
            && signs.spoken == Spoken::Not
            && self.strong_anywhere(true)
            && !self.text.get(candidate.end..).is_some_and(|after| after.starts_with(" as "))
            && !OTHERS.iter().any(|meaning| self.phrases.of(*meaning).any())
    }

    fn tie(&self, place: &Place<'_>, candidate: &Candidate, signs: &Signs) -> Tie {
        if signs.is_anchored() {
            Tie::Anchored
        } else if signs.spoken != Spoken::Not && !is_year(candidate) && self.is_near_word(place, candidate) {
            Tie::Near
        } else {
            Tie::None
        }
    }

    /// Whether the message speaks of a code, or of nothing else either: `G-482913 Google`.
    pub(super) fn may_be_about_a_code(&self) -> bool {
        let words = self.text.split_whitespace().filter(|word| word.contains(char::is_alphabetic));
        [Meaning::Strong, Meaning::Word].iter().any(|meaning| self.phrases.of(*meaning).any())
            || words.take(4).count() < 4
    }

    /// Whether a clause names a one-time code, or a code and what it is for.
    pub(super) fn is_strong(&self, start: usize, end: usize) -> bool {
        let says = |meaning: &Meaning| self.phrases.of(*meaning).within(start, end);
        says(&Meaning::Strong)
            || (says(&Meaning::Word) && (PURPOSES.iter().any(says) || ACTIONS.iter().any(says)))
    }

    /// Whether `rest`, the end of what stands after the candidate, begins with a phrase of this meaning.
    pub(super) fn follows(
        &self,
        meaning: Meaning,
        rest: &str,
        place: &Place<'_>,
        candidate: &Candidate,
    ) -> bool {
        self.phrases.of(meaning).begins_at(candidate.end + place.after.len() - rest.len())
    }

    /// Whether a clause says what only a one-time code is for.
    fn is_for(&self, place: &Place<'_>) -> bool {
        PURPOSES.iter().any(|meaning| self.phrases.of(*meaning).within(place.start, place.end))
    }

    /// Whether the message speaks of one-time codes, or of what they are for: of what others speak of as well only where
    /// the reader is told to enter one.
    fn strong_anywhere(&self, entered: bool) -> bool {
        let any = |meaning: &Meaning| self.phrases.of(*meaning).any();
        any(&Meaning::Strong) || PURPOSES.iter().any(any) || (entered && ACTIONS.iter().any(any))
    }

    /// The end of the last code word within `start..end`.
    pub(super) fn last_word(&self, start: usize, end: usize) -> Option<usize> {
        let strong = self.phrases.of(Meaning::Strong).last_within(start, end);
        let word = self.phrases.of(Meaning::Word).last_within(start, end);
        strong.into_iter().chain(word).map(|(_, end)| end).max()
    }

    /// Whether the message begins with it, or with who sends it: `<#> 482913`, `Acme: 482913`.
    fn opens_with(&self, candidate: &Candidate) -> bool {
        let head = self.text.get(..candidate.start).unwrap_or_default().trim();
        let is_name = candidate.form == Form::Digits
            && head.len() <= SENDER_REACH
            && !head.contains(|c: char| c.is_ascii_digit() || c == '\n');
        head.is_empty() || head == "<#>" || (is_name && head.ends_with([':', ']', '】', '>']))
    }

    /// Whether no other number stands between the candidate and a code word before or after it, and not much else.
    fn is_near_word(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let before = self.last_word(place.start, candidate.start).map(|end| (end, candidate.start));
        let first = |meaning: Meaning| self.phrases.of(meaning).first_within(candidate.end, place.end);
        let after =
            first(Meaning::Strong).into_iter().chain(first(Meaning::Word)).map(|(start, _)| start).min();
        let gaps = before.into_iter().chain(after.map(|start| (candidate.end, start)));
        gaps.filter_map(|(from, to)| self.text.get(from..to))
            .any(|gap| gap.len() <= OTHER_REACH && !has_number(gap))
    }

    /// How the words before the candidate name it.
    fn named(&self, place: &Place<'_>, candidate: &Candidate) -> Named {
        let head = self.text.get(place.start..candidate.start).unwrap_or_default();
        let head = head.trim_end_matches(|c| is_wrapping(c) || c == '\n');
        let announced =
            head.ends_with([':', '=']) || self.phrases.of(Meaning::Is).ends_at(place.start + head.len());
        let Some(word) = self.last_word(place.start, candidate.start) else {
            return if announced { Named::Near } else { Named::Not };
        };
        let gap = self.text.get(word..candidate.start).unwrap_or_default();
        if announced {
            Named::Anchored
        } else if gap.chars().all(|c| is_wrapping(c) || matches!(c, '#' | '-' | '\n' | ',' | '.')) {
            Named::Adjacent
        } else if gap.len() <= OTHER_REACH && !has_number(gap) {
            Named::Near
        } else {
            Named::Not
        }
    }

    /// Whether something is to be confirmed with it: `verify your phone with 482913`, `with 482913 you log in`.
    pub(super) fn confirms_with(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let head = place.before.trim_end_matches(|c| is_wrapping(c) || c == ':');
        let end = candidate.start - place.before.len() + head.len();
        self.phrases.of(Meaning::With).ends_at(end)
            && (self.phrases.of(Meaning::Purpose).within(place.start, candidate.start)
                || self.phrases.of(Meaning::Login).within(candidate.end, place.end))
    }

    /// Whether the reader is told to enter it: `enter 482913`, `482913を入力`.
    fn told_to_enter(&self, place: &Place<'_>, candidate: &Candidate) -> Entered {
        let enter = self.phrases.of(Meaning::Enter);
        let before = enter.last_within(place.start, candidate.start).map(|(_, end)| (end, candidate.start));
        let between = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default();
        if before.is_some_and(|(from, to)| between(from, to).chars().all(is_wrapping)) {
            return Entered::Directly;
        }
        // In `CF-200: enter 482913` the verb belongs to what follows it.
        let is_followed = |end: usize| {
            let rest = self.text.get(end..).unwrap_or_default().trim_start_matches(is_wrapping);
            let next = rest.split(char::is_whitespace).next().unwrap_or_default();
            next.starts_with(|c: char| c.is_ascii_alphanumeric())
                && next.contains(|c: char| c.is_ascii_digit())
        };
        let after = enter.first_within(candidate.end, place.end).filter(|(_, end)| !is_followed(*end));
        let after = after.map(|(start, _)| (candidate.end, start));
        // What has a line of its own is what the one above is about.
        let reach = if place.alone { ALONE_REACH } else { OTHER_REACH };
        let is_near = before.into_iter().chain(after).any(|(from, to)| {
            let gap = between(from, to);
            gap.len() <= reach && !has_number(gap)
        });
        if is_near || self.confirms_with(place, candidate) { Entered::Near } else { Entered::Not }
    }
}

/// What only a one-time code is for.
const PURPOSES: [Meaning; 3] = [Meaning::Purpose, Meaning::Login, Meaning::Reset];
/// What a one-time code is for, and other messages speak of as well.
const ACTIONS: [Meaning; 4] = [Meaning::SignUp, Meaning::Payment, Meaning::Change, Meaning::Pairing];

/// What the form alone says.
fn prior(candidate: &Candidate, signs: &Signs) -> f32 {
    let is_pointed_at = signs.is_anchored() || signs.entered == Entered::Directly;
    let length = candidate.value.bytes().filter(|byte| *byte != b'-').count();
    let has_small_letters = candidate.value.bytes().any(|byte| byte.is_ascii_lowercase());
    match candidate.form {
        Form::Digits if !is_pointed_at && is_year(candidate) => -2.0,
        Form::Digits if length == 6 => 1.0,
        Form::Digits if length <= 8 => 0.5,
        Form::Digits if length == 9 => -0.5,
        Form::Digits => -1.5,
        Form::Mixed if (5..=8).contains(&length) && !has_small_letters => 0.5,
        Form::Mixed => -0.5,
        Form::Capitals => -0.5,
    }
}

/// Whether it looks like a year of these two centuries.
fn is_year(candidate: &Candidate) -> bool {
    candidate.form == Form::Digits
        && candidate.value.len() == 4
        && matches!(candidate.value.get(..2), Some("19" | "20"))
}

/// Whether a number stands there; in `beta3ak 3ala` the digits are letters.
fn has_number(text: &str) -> bool {
    let is_number = |word: &str| {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        digits > 1 || (digits == 1 && word.len() == 1)
    };
    text.split(|c: char| !c.is_alphanumeric()).any(is_number)
}
