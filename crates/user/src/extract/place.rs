//! Where in a text a candidate stands: its clause, its line, and what is around it.

use super::candidates::Candidate;

/// How far before and after a candidate is looked, in bytes.
const REACH: usize = 240;

/// Where a candidate stands.
pub(super) struct Place<'a> {
    /// Where its clause, and the line before where it begins its own, starts.
    pub(super) start: usize,
    /// Where its clause ends.
    pub(super) end: usize,
    /// What stands before it in its clause.
    pub(super) before: &'a str,
    /// What stands after it, beyond its clause too.
    pub(super) after: &'a str,
    /// Whether nothing else is on its line.
    pub(super) alone: bool,
    /// Whether nothing else is in its sentence.
    pub(super) alone_in_clause: bool,
    /// Whether it is part of a name in brackets, as in `【Rail 12306】`.
    pub(super) in_tag: bool,
}

impl<'a> Place<'a> {
    /// Looks around a candidate in a text whose first `subject` bytes are its subject.
    pub(super) fn of(candidate: &Candidate, text: &'a str, subject: usize) -> Self {
        let floor = if candidate.start < subject { 0 } else { subject };
        let from = text.ceil_char_boundary(floor.max(candidate.start.saturating_sub(REACH)));
        let to = text.floor_char_boundary(text.len().min(candidate.end + REACH));
        let before = text.get(from..candidate.start).unwrap_or_default();
        let after = text.get(candidate.end..to).unwrap_or_default();
        let clause_start = from + clause_start(before);
        let end = candidate.end + clause_end(after);
        let head = text.get(clause_start..candidate.start).unwrap_or_default();
        let line_after = after.split('\n').next().unwrap_or_default();
        let begins_line = !head.contains(char::is_alphanumeric)
            && before.rfind('\n').is_none_or(|line| from + line < clause_start);
        let alone = begins_line && !line_after.contains(char::is_alphanumeric);
        let start = if begins_line { from + previous_line(before) } else { clause_start };
        let tail = text.get(candidate.end..end).unwrap_or_default();
        let alone_in_clause = !head.contains(char::is_alphanumeric) && !tail.contains(char::is_alphanumeric);
        Self { start, end, before: head, after, alone, alone_in_clause, in_tag: in_tag(head, line_after) }
    }
}

/// What stands before and after a candidate on its line.
pub(super) fn line<'a>(text: &'a str, candidate: &Candidate) -> (&'a str, &'a str) {
    let from = text.ceil_char_boundary(candidate.start.saturating_sub(REACH));
    let to = text.floor_char_boundary(text.len().min(candidate.end + REACH));
    let before = text.get(from..candidate.start).unwrap_or_default();
    let after = text.get(candidate.end..to).unwrap_or_default();
    (before.rsplit('\n').next().unwrap_or_default(), after.split('\n').next().unwrap_or_default())
}

/// Quotes, brackets and spaces that wrap a code.
pub(super) fn is_wrapping(c: char) -> bool {
    " 
\"'“”„«»‘’()[]{}<>【】「」『』*_`|"
        .contains(c)
}

/// Whether `before` and `after` are inside brackets that hold letters too.
fn in_tag(before: &str, after: &str) -> bool {
    let inside = |brackets: [char; 2]| {
        let [open, close] = brackets;
        let (Some(from), Some(to)) = (before.rfind(open), after.find(close)) else { return false };
        let (head, tail) = (before.get(from..).unwrap_or_default(), after.get(..to).unwrap_or_default());
        !head.contains(close)
            && !tail.contains(open)
            && (head.contains(char::is_alphabetic) || tail.contains(char::is_alphabetic))
    };
    inside(['【', '】']) || inside(['[', ']'])
}

/// Where the last clause of `before` begins.
fn clause_start(before: &str) -> usize {
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let tail = before.get(line..).unwrap_or_default();
    let mut start = line;
    let mut chars = tail.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let stops = match c {
            '.' | '!' | '?' => {
                chars.peek().is_none_or(|(_, next)| next.is_whitespace())
                    && !abbreviates(tail.get(..at).unwrap_or_default())
            }
            ';' | '।' | '؛' | '؟' | '۔' => true,
            _ => false,
        };
        // A full stop in a script without spaces ends a sentence wherever it stands.
        let stops = stops
            || (c == '.'
                && tail
                    .get(..at)
                    .and_then(|head| head.chars().next_back())
                    .is_some_and(|c| u32::from(c) > 0x2E80));
        if stops && tail.get(at + c.len_utf8()..).is_some_and(|rest| !rest.trim().is_empty()) {
            start = line + at + c.len_utf8();
        }
    }
    start
}

/// Words that end in a full stop within a sentence.
const ABBREVIATIONS: &str =
    "no nr n ref tel num ihr rs acct dn dd ul str godz poz vol approx ca bzw tlf cis tc br cod im pyб гpн cт";

fn abbreviates(head: &str) -> bool {
    let word = head.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let word = word.to_lowercase();
    ABBREVIATIONS.split(' ').any(|known| known == word) || is_day(head)
}

/// Whether it ends in a day without its year: `am 11.06`.
fn is_day(head: &str) -> bool {
    let day = head.rsplit(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let is_number =
        |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    day.split_once('.').is_some_and(|(day, month)| is_number(day) && is_number(month))
}

/// Where the clause that goes on in `after` ends.
pub(super) fn clause_end(after: &str) -> usize {
    let mut chars = after.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let stops = match c {
            '\n' | ';' | '।' | '؛' | '؟' | '۔' => true,
            '.' | '!' | '?' => chars.peek().is_none_or(|(_, next)| !next.is_ascii_alphanumeric()),
            _ => false,
        };
        if stops {
            return at;
        }
    }
    after.len()
}

/// Where the last line of `before` that says anything begins, the line of the candidate not counted.
fn previous_line(before: &str) -> usize {
    let Some(end) = before.rfind('\n') else { return clause_start(before) };
    let above = before.get(..end).unwrap_or_default();
    let said = above.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
    above.get(..said).and_then(|above| above.rfind('\n')).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::candidates;
    use crate::extract::mask::Masks;

    #[test]
    fn a_clause_ends_where_a_sentence_does() {
        for (text, clause) in [
            ("Hello. Your code is 4829. It expires.", " Your code is 4829"),
            ("【美团】您好。验证码4829。请勿泄露", "验证码4829"),
            ("Ref. no. 4829 today", "Ref. no. 4829 today"),
            ("Hallo. Code vom 11.06. um 8 Uhr: 4829", " Code vom 11.06. um 8 Uhr: 4829"),
            ("see acme.example: 4829!", "see acme.example: 4829"),
            ("Your code:\n\n4829\n\nbye", "Your code:\n\n4829"),
            ("Hi. Bye.\nCode 4829", "Code 4829"),
        ] {
            let text = &*crate::extract::normalise::normalise(text);
            let found = candidates::find(text, &Masks::find(""));
            let place = Place::of(&found[0], text, 0);
            let clause = &*crate::extract::normalise::normalise(clause);
            assert_eq!(text.get(place.start..place.end), Some(clause.as_str()), "{text}");
        }
    }

    #[test]
    fn a_number_in_the_name_of_a_sender_is_in_a_tag() {
        for (text, in_tag) in
            [("【Rail 12306】hello", true), ("[Acme24] hello", false), ("[4829] is it", false)]
        {
            let found = candidates::find(text, &Masks::find(""));
            assert_eq!(Place::of(&found[0], text, 0).in_tag, in_tag, "{text}");
        }
    }
}
