//! What speaks against a candidate: it is another number, somebody else's, or none that is asked for.

use super::candidates::{Candidate, Form};
use super::capitals::pronounceable;
use super::phrases::Meaning;
use super::place::{Place, line};
use super::score::{Context, Named, OTHER_REACH};

/// What strong words have in common that name a code for access, to whatever it may be.
const ACCESS: [&str; 10] =
    ["pass", "acc", "acess", "aces", "zugang", "toegang", "adgang", "åtkomst", "доступ", "アクセス"];

/// How far words like `Wi-Fi` and `meeting ID` reach to what opens it, in bytes.
const ELSEWHERE_REACH: usize = 120;

/// How long a word is at most that ends in a full stop within a sentence, in letters.
const ABBREVIATION_MAX: usize = 6;

impl Context<'_> {
    /// What speaks against the candidate, in points.
    pub(super) fn objections(
        &self,
        place: &Place<'_>,
        candidate: &Candidate,
        named: Named,
        is_your: bool,
    ) -> f32 {
        let said = self.said_against(place, candidate, is_your);
        let seen = self.seen_against(place, candidate, named, is_your);
        said.into_iter().chain(seen).filter(|(holds, _)| *holds).map(|(_, points)| points).sum()
    }

    /// What the message says: that the candidate is another number, or that there is no code for the reader in it.
    fn said_against(&self, place: &Place<'_>, candidate: &Candidate, is_your: bool) -> [(bool, f32); 13] {
        let says = |meaning: Meaning| self.phrases.of(meaning).any();
        let is_backup = self.phrases.of(Meaning::Backup).within(place.start, candidate.start);
        let is_spent = self.phrases.of(Meaning::Spent).within(candidate.end, place.end);
        let advertises = self.advertises(place, candidate);
        let is_digits = candidate.form == Form::Digits;
        [
            (!is_your && !candidate.spelled && self.names_another(place, candidate), 5.0),
            (self.names_another_code(place, candidate), 8.0),
            (advertises, 7.0),
            (advertises && !is_digits && says(Meaning::OtherCode), 3.0),
            (self.only_advertises(), 7.0),
            (self.is_cited(candidate), 8.0),
            (self.is_in_a_list(candidate), 6.0),
            (self.is_labelled_aside(candidate), 5.0),
            (self.opens_another(place, candidate), 8.0),
            (!is_digits && self.is_about_a_booking(), 8.0),
            (is_spent, 8.0),
            (is_backup, 20.0),
            (says(Meaning::Lure), 8.0),
        ]
    }

    /// What the candidate looks like, by itself and by the signs around it.
    fn seen_against(
        &self,
        place: &Place<'_>,
        candidate: &Candidate,
        named: Named,
        is_your: bool,
    ) -> [(bool, f32); 10] {
        // `Your code is 20451123` announces a code, whatever day that might be.
        let is_named =
            matches!(named, Named::Anchored | Named::Adjacent) && self.is_last_named(place, candidate);
        let is_announced = candidate.lookalike && (is_your || is_named);
        let (is_mixed, is_digits) = (candidate.form == Form::Mixed, candidate.form == Form::Digits);
        // `#482913`, `#D-482913`
        let number = place.before.trim_end_matches(|c: char| c == '-' || c.is_ascii_uppercase());
        let is_glued = place.before.ends_with(['/', '@', '_', '.']);
        [
            (candidate.soft && !is_announced, 8.0),
            (is_mixed && is_name(place, candidate, named, is_your), 4.0),
            (is_mixed && (is_slogan(&candidate.value) || is_chat_word(&candidate.value)), 4.0),
            (is_mixed && is_part_of_a_secret(place), 8.0),
            // `SM-A546E: 482913`
            (is_mixed && place.after.starts_with(':'), 4.0),
            // As one types it into a telephone.
            (is_digits && place.after.starts_with('#'), 4.0),
            (number.ends_with('#') && named == Named::Not, 3.0),
            (number.ends_with("[#") && place.after.starts_with(']'), 8.0),
            (is_glued && named != Named::Anchored, 3.0),
            (place.in_tag, 5.0),
        ]
    }

    /// Whether what is around the candidate advertises.
    fn advertises(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let promotions = self.phrases.of(Meaning::Promo);
        // A voucher is a word with a number, and may be called a one-time code too: the whole message says whether it is one,
        // unless that speaks of an account.
        let any = |meaning: &Meaning| self.phrases.of(*meaning).any();
        let is_for_account = self.phrases.of(Meaning::Strong).within(place.start, candidate.start)
            && [Meaning::Login, Meaning::SignUp].iter().any(any);
        let may_be_a_voucher = candidate.form != Form::Digits && !is_for_account;
        promotions.within(place.start, place.end) || (may_be_a_voucher && promotions.any())
    }

    /// Whether the message advertises more than once, and speaks of no account and no one-time code.
    fn only_advertises(&self) -> bool {
        let speaks_of = |meaning: &Meaning| self.phrases.of(*meaning).any();
        let of_account = [Meaning::Strong, Meaning::Login, Meaning::Purpose, Meaning::SignUp, Meaning::Reset];
        self.phrases.of(Meaning::Promo).iter().nth(1).is_some() && !of_account.iter().any(speaks_of)
    }

    /// Whether the message tells of what was booked, which letters and digits name, and of no account.
    fn is_about_a_booking(&self) -> bool {
        let speaks_of = |meaning: &Meaning| self.phrases.of(*meaning).any();
        let of_account = [Meaning::Strong, Meaning::Login, Meaning::SignUp, Meaning::Reset, Meaning::Enter];
        speaks_of(&Meaning::Booking) && !of_account.iter().any(speaks_of)
    }

    /// Whether somebody tells of a code in the words of its message: `it looks routine: "Your code is 482913."`
    pub(super) fn is_cited(&self, candidate: &Candidate) -> bool {
        let (head, tail) = line(self.text, candidate);
        let Some((told, cited)) =
            head.rfind(['"', '“', '„', '«', '`']).and_then(|at| head.split_at_checked(at))
        else {
            return false;
        };
        let as_code = |text: &str| text.matches('`').count() % 2 == 1;
        if cited.starts_with('`') {
            return as_code(head) && words(cited) > 1 && tail.contains('`');
        }
        // In `„Acme“` and `»Acme«` what opens elsewhere closes.
        let closes = |close: char, open: char| {
            cited.starts_with(close) && told.matches(open).count() > told.matches(close).count()
        };
        let is_closed = cited.contains(['”', '»'])
            || (cited.starts_with('"') && told.matches('"').count() % 2 == 1)
            || closes('“', '„')
            || closes('«', '»');
        let above = self.text.get(..candidate.start - head.len()).unwrap_or_default().trim_end();
        let above = above.rsplit('\n').next().unwrap_or_default();
        let told = if words(told) == 0 && above.ends_with(':') { above } else { told };
        let Some((cited_on, _)) = tail.split_once(['"', '”', '“', '»']) else { return false };
        !is_closed && words(told) > 1 && words(cited) + words(cited_on) > 1
    }

    /// Whether brackets hold it and its own name, which is none of a code: `(student 22104418)`.
    fn is_labelled_aside(&self, candidate: &Candidate) -> bool {
        let (head, tail) = line(self.text, candidate);
        let Some(label) = head.rfind('(').and_then(|at| head.get(at..)) else { return false };
        let start = candidate.start - label.len();
        let speaks_of = |meaning: Meaning| self.phrases.of(meaning).within(start, candidate.start);
        !label.contains(')')
            && tail.contains(')')
            && label.contains(char::is_alphabetic)
            && ![Meaning::Strong, Meaning::Word, Meaning::Enter, Meaning::With].into_iter().any(speaks_of)
    }

    /// Whether it is one of several facts in a list, each with its name before it, and the name above is that of another
    /// number: `Booking number: 4829.130.277`, and below `PIN: 7712`.
    fn is_in_a_list(&self, candidate: &Candidate) -> bool {
        let (head, _) = line(self.text, candidate);
        let start = candidate.start - head.len();
        let is_labelled = head.trim_end().ends_with(':') && head.len() <= OTHER_REACH;
        if !is_labelled || self.is_strong(start, candidate.start) {
            return false;
        }
        let above = self.text.get(..start).unwrap_or_default().trim_end();
        let from = above.rfind('\n').map_or(0, |at| at + 1);
        let Some((label, value)) = above.get(from..).and_then(|line| line.split_once(':')) else {
            return false;
        };
        // What is shorter may be an amount.
        value.bytes().filter(u8::is_ascii_digit).count() >= 6
            && self.phrases.of(Meaning::Other).within(from, from + label.len())
    }

    /// Whether the words before the candidate speak of a network, a meeting or a gift card, and none of an account.
    fn opens_another(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let from = candidate.start.saturating_sub(ELSEWHERE_REACH);
        let Some((start, _)) = self.phrases.of(Meaning::Elsewhere).last_within(from, candidate.start) else {
            return false;
        };
        let (start, end) = (start.min(place.start), place.end);
        // A passcode, or a code for access, opens a meeting as well.
        let beyond_access = |meaning: &Meaning| {
            let within = self.phrases.of(*meaning).all_within(start, end);
            let mut words = within.filter_map(|(start, end)| Some(self.text.get(start..end)?.to_lowercase()));
            words.any(|word| !ACCESS.iter().any(|access| word.contains(access)))
        };
        let of_account =
            [Meaning::Strong, Meaning::Login, Meaning::Purpose, Meaning::SignUp, Meaning::Payment];
        !of_account.iter().any(beyond_access)
    }

    /// Whether the nearest code before the candidate is a postcode, a voucher code or the like.
    fn names_another_code(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let Some((_, end)) = self.phrases.of(Meaning::OtherCode).last_within(place.start, candidate.start)
        else {
            return false;
        };
        // `(reference code: QKTM)` has said its own, and a line below begins another.
        let gap = self.text.get(end..candidate.start).unwrap_or_default();
        if place.alone && gap.split_once('\n').is_some_and(|(own, _)| own.contains(char::is_alphanumeric)) {
            return false;
        }
        // In `coupon code SAVE20` the word belongs to the voucher.
        let beyond =
            |word: usize| self.text.get(end..word).is_some_and(|gap| gap.split_whitespace().nth(1).is_some());
        !self.last_word(end, candidate.start).is_some_and(beyond)
    }

    /// Whether the nearest name before the candidate is that of another number, as in `order 482913`.
    ///
    /// In `code for your order: 482913` the number is the code's; in `code for order 482913` it is the order's.
    pub(super) fn names_another(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let Some((start, end)) = self.phrases.of(Meaning::Other).last_within(place.start, candidate.start)
        else {
            return false;
        };
        if self.last_word(place.start, candidate.start).is_some_and(|word| word >= end) {
            return false;
        }
        // Below `enter this code to add the card to your account:` the number is the code's.
        // In `to change your account enter 482913` too.
        // And in `confirm your phone with the number 482913`.
        let with = self.phrases.of(Meaning::With).last_within(place.start, candidate.start);
        let is_confirmed = with.is_some_and(|with| with.0 >= end || (with.0 <= start && with.1 >= end))
            && self.confirms_with(place, candidate);
        if is_confirmed || self.phrases.of(Meaning::Enter).within(end, candidate.start) {
            return false;
        }
        let told = |meaning| self.phrases.of(meaning).within(place.start, start);
        if place.alone && told(Meaning::Enter) && self.last_word(place.start, start).is_some() {
            return false;
        }
        let gap = self.text.get(end..candidate.start).unwrap_or_default();
        // In `call your bank by telephone. 482913 confirms …` a sentence has ended; in `Ref. 482913` it has not.
        if gap.starts_with(". ") && !self.text.get(start..end).is_some_and(abbreviates) {
            return false;
        }
        if gap.len() > OTHER_REACH || gap.contains(|c: char| c.is_ascii_digit() || c == ',') {
            return false;
        }
        // In `the code for a transaction on JUMIA is 044916` the number is the code's.
        let is_told = self.phrases.of(Meaning::Is).ends_at(place.start + place.before.trim_end().len());
        if is_told
            && !gap.contains(')')
            && gap.split_whitespace().nth(1).is_some()
            && self.last_word(place.start, start).is_some()
        {
            return false;
        }
        let bare = gap.chars().all(|c| !c.is_alphabetic() && c != ':');
        let code_before = self
            .last_word(place.start, start)
            .and_then(|word| self.text.get(word..start))
            .is_some_and(|between| !between.contains(|c: char| c.is_ascii_digit()));
        bare || !code_before
    }

    /// Whether no other number stands between the candidate and the word that names it.
    fn is_last_named(&self, place: &Place<'_>, candidate: &Candidate) -> bool {
        let word = self.last_word(place.start, candidate.start);
        let gap = word.and_then(|word| self.text.get(word..candidate.start));
        gap.is_some_and(|gap| !gap.contains(|c: char| c.is_ascii_digit()))
    }
}

/// Whether it is a word with a number behind it, as users, shops and slang have: `amiller42`, `Studio54`, `any1`.
fn is_name(place: &Place<'_>, candidate: &Candidate, named: Named, is_your: bool) -> bool {
    let word = candidate.value.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = candidate.value.len() - word.len();
    let is_named_so = place.alone || (digits > 1 && (named == Named::Anchored || is_your));
    let is_word = word.len() > 1 && word.bytes().skip(1).all(|byte| byte.is_ascii_lowercase());
    digits > 0 && is_word && !is_named_so
}

/// Whether a value is a word and a number, as vouchers are: `SUMMER20`, `BLACK2026`.
fn is_slogan(value: &str) -> bool {
    let word = value.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = value.get(word.len()..).unwrap_or_default();
    let is_year = number.len() == 4 && number.starts_with("20");
    (2..=4).contains(&number.len())
        && word.len() >= if is_year { 3 } else { 4 }
        && word.bytes().all(|byte| byte.is_ascii_uppercase())
        && pronounceable(word)
}

/// Whether a sign joins it to what is before or after it, as in a password: `Tq7#48xM`.
fn is_part_of_a_secret(place: &Place<'_>) -> bool {
    let is_sign = |c: char| "!#$%&+@^_~".contains(c);
    let joins = |sign: Option<char>, beyond: Option<char>| {
        sign.is_some_and(is_sign) && beyond.is_some_and(|c| c.is_ascii_alphanumeric())
    };
    let (mut before, mut after) = (place.before.chars().rev(), place.after.chars());
    joins(before.next(), before.next()) || joins(after.next(), after.next())
}

/// Whether it is a word of a language that writes some of its letters as digits: `beta3ak`, `wa7ed`.
fn is_chat_word(value: &str) -> bool {
    let small = value.bytes().skip(1).all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_one_digit = value.bytes().filter(u8::is_ascii_digit).count() == 1;
    small && is_one_digit && value.ends_with(|c: char| c.is_ascii_alphabetic())
}

/// Whether a word may have a full stop within a sentence: `Ref. 482913`, `Rechnungsnr. 482913`.
fn abbreviates(word: &str) -> bool {
    let word = word.to_lowercase();
    word.chars().count() <= ABBREVIATION_MAX
        || ["nr", "no", "num", "tlf"].iter().any(|end| word.ends_with(end))
}

/// How many words a text has.
fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.contains(char::is_alphabetic)).count()
}
