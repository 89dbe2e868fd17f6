//! The pieces of a text that have the form of a code.

use zeroize::Zeroizing;

use super::mask::{Masks, covers, overlaps};

/// How many pieces are looked at; a text with more is no message about one code.
const CANDIDATES_MAX: usize = 500;

/// What is written to a code and is none of it: `OTP-482913`; where others say `is`, isiZulu and isiXhosa have
/// `Ikhowudi yakho ngu-4829`.
const COPULAS: [&str; 9] = ["otp", "code", "pin", "ngu", "yi", "ngo", "ku", "oyi", "ye"];

/// What a candidate is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Digits alone; a grouping is already gone.
    Digits,
    /// Letters and at least one digit.
    Mixed,
    /// Capitals alone: a word may look like that, so the text must announce it.
    Capitals,
}

/// A piece of a text that may be the code.
pub(super) struct Candidate {
    /// What would leave.
    pub(super) value: Zeroizing<String>,
    /// Where it begins, in bytes.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// What it is made of.
    pub(super) form: Form,
    /// Whether it lies in a date, an amount or the like.
    pub(super) soft: bool,
    /// Whether it alone is all of that: digits that might be a date, written without a mark between them.
    pub(super) lookalike: bool,
    /// Whether it is spelled out, digit by digit: `4 8 2 9 1 3`.
    pub(super) spelled: bool,
}

/// A run of ASCII letters and digits.
#[derive(Clone, Copy)]
struct Token {
    start: usize,
    end: usize,
}

/// Finds the candidates of a normalised text. What a template holds, with places to be filled in, is a sample.
pub(super) fn find(text: &str, masks: &Masks) -> Vec<Candidate> {
    // Octet by octet: a search by blocks of them leaves the last block on the stack.
    if text.as_bytes().windows(2).any(|octets| octets == b"{{") {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some(first) = rest.first() {
        let run = run_length(text, rest);
        let (run, after) = rest.split_at(run);
        match grouped(text, run) {
            Some(value) => found.push(candidate(
                value,
                first.start,
                run.last().map_or(first.end, |token| token.end),
                masks,
            )),
            None if unclear(text, run) => {}
            None => found.extend(run.iter().filter_map(|token| {
                let value = piece(text, *token);
                looks_like_code(value).then(|| candidate(value.to_owned(), token.start, token.end, masks))
            })),
        }
        rest = after;
        if found.len() > CANDIDATES_MAX {
            return Vec::new();
        }
    }
    found.retain(|candidate| !overlaps(&masks.hard, candidate.start, candidate.end));
    found
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = None;
    for (at, byte) in text.bytes().enumerate().chain([(text.len(), b' ')]) {
        match (byte.is_ascii_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                tokens.push(Token { start: from, end: at });
                start = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    tokens
}

/// How many of the leading tokens are joined: all by single hyphens, or digits, or halves, by single spaces.
fn run_length(text: &str, tokens: &[Token]) -> usize {
    let mut joint = None;
    let mut length = 1;
    for pair in tokens.windows(2) {
        let [left, right] = pair else { break };
        let between = text.get(left.end..right.start).unwrap_or_default();
        let is_joint = match between {
            "-" => true,
            "  " | "   " => left.end - left.start == 1 && right.end - right.start == 1,
            " " | "·" | "‧" | "・" => {
                let (left, right) = (piece(text, *left), piece(text, *right));
                (digits(left) && digits(right))
                    || (is_half(left) && is_half(right) && left.len() == right.len())
            }
            _ => false,
        };
        if !is_joint || joint.is_some_and(|joint| joint != between) {
            break;
        }
        joint = Some(between);
        length += 1;
    }
    length
}

/// The value of a run whose tokens are the groups of one code.
fn grouped(text: &str, run: &[Token]) -> Option<String> {
    let [first, second, ..] = run else { return None };
    let groups: Vec<&str> = run.iter().map(|token| piece(text, *token)).collect();
    let total: usize = groups.iter().map(|group| group.len()).sum();
    let hyphens = text.get(first.end..second.start) != Some(" ");
    let even = groups.iter().all(|group| group.len() == second.end - second.start);
    if groups.iter().all(|group| digits(group)) {
        // Digits of two cells, one to a line, belong together however they are shared out.
        let in_cells = groups.len() == 2 && (4..=8).contains(&total) && is_line(text, run);
        let fits = (4..=10).contains(&total)
            && (even
                || hyphens
                || in_cells
                || is_customary(&groups)
                || is_all_that_is_said(text, run, &groups));
        return fits.then(|| groups.concat());
    }
    if hyphens && let Some(code) = behind_its_name(&groups) {
        return Some(code.to_owned());
    }
    if !hyphens {
        return (groups.len() == 2).then(|| groups.concat());
    }
    // Where there are three, of other lengths, each has a digit, or is one letter: `K4-7719-P`, and not `EM-OTP-00417`.
    let fits = match groups.len() {
        2 => groups.iter().all(|group| group.len() >= 2),
        3 if even => groups.iter().all(|group| group.len() >= 2),
        3 => groups.iter().all(|group| group.len() == 1 || has_digit(group)),
        _ => false,
    };
    // What would be too long with its hyphens leaves without them: `j7wdr-b2vq9`. And before digits, letters alone are the
    // name that the bank shows beside them: `XKQP-804172`.
    let value = match groups.as_slice() {
        _ if total + groups.len() <= 11 => groups.join("-"),
        [name, code] if !has_digit(name) && digits(code) => (*code).to_owned(),
        groups => groups.concat(),
    };
    (fits && looks_like_code(&value)).then_some(value)
}

/// The digits of a code with its name before it: `OTP-482913`, or as Google writes it, `G-482913`.
fn behind_its_name<'a>(groups: &[&'a str]) -> Option<&'a str> {
    let [name, code] = groups else { return None };
    let is_copula = COPULAS.iter().any(|known| known.eq_ignore_ascii_case(name));
    let is_letter = name.len() == 1 && name.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_code = digits(code)
        && ((is_copula && (4..=10).contains(&code.len())) || (is_letter && (5..=8).contains(&code.len())));
    is_code.then_some(*code)
}

/// Whether digits are grouped as many group them: `48 291`, `482 9134`.
fn is_customary(groups: &[&str]) -> bool {
    matches!(groups.iter().map(|group| group.len()).collect::<Vec<_>>()[..], [2 | 4, 3] | [3, 2 | 4])
}

/// Whether digits are grouped in some other way, right behind a colon or on a line of their own, and end their sentence:
/// `code: 4829 13.` Anywhere else they may be a telephone number, or the code and a number of something.
fn is_all_that_is_said(text: &str, run: &[Token], groups: &[&str]) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return false };
    let before = text.get(..first.start).unwrap_or_default();
    let after = text.get(last.end..).unwrap_or_default();
    let ends = after.is_empty()
        || after.starts_with('\n')
        || after
            .strip_prefix(['.', '!', ',', ';'])
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
    let is_announced = before.trim_end_matches([' ', '*']).ends_with([':', '=']) || is_line(text, run);
    let total: usize = groups.iter().map(|group| group.len()).sum();
    let is_even_enough = groups.iter().all(|group| (2..=4).contains(&group.len()));
    is_announced
        && ends
        && is_even_enough
        && (2..=3).contains(&groups.len())
        && (6..=8).contains(&total)
        && !is_day(groups)
}

/// Whether groups are a day: `24 11 2026`.
fn is_day(groups: &[&str]) -> bool {
    let [day, month, year] = groups else { return false };
    let up_to = |number: &str, most: u32| number.parse().is_ok_and(|number: u32| number <= most);
    year.len() == 4 && matches!(year.get(..2), Some("19" | "20")) && up_to(day, 31) && up_to(month, 31)
}

/// Whether a token looks like half a code, as in `F4R9 T2LB`: a word does not.
fn is_half(token: &str) -> bool {
    let is_mixed =
        token.contains(|c: char| c.is_ascii_digit()) && token.contains(|c: char| c.is_ascii_uppercase());
    let is_plain = token.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    (3..=5).contains(&token.len()) && is_mixed && is_plain
}

/// Whether these tokens are a whole line.
fn is_line(text: &str, run: &[Token]) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return false };
    let before = text.get(..first.start).unwrap_or_default().trim_end_matches([' ', '\t']);
    let after = text.get(last.end..).unwrap_or_default().trim_start_matches([' ', '\t']);
    (before.is_empty() || before.ends_with('\n')) && (after.is_empty() || after.starts_with('\n'))
}

/// Whether groups stand together in a way that no code is grouped in, so that where it begins and ends is not to be
/// known: short ones of digits, or several that might each be one.
fn unclear(text: &str, run: &[Token]) -> bool {
    let mut groups = run.iter().map(|token| piece(text, *token));
    let are_short = groups.clone().all(|group| group.len() <= 4 && digits(group));
    let is_glued = run.len() > 2 && groups.clone().filter(|group| !has_digit(group)).count() > 1;
    run.len() > 1 && (are_short || is_glued || groups.all(|group| has_digit(group) && !digits(group)))
}

fn candidate(value: String, start: usize, end: usize, masks: &Masks) -> Candidate {
    let form = if digits(&value) {
        Form::Digits
    } else if has_digit(&value) {
        Form::Mixed
    } else {
        Form::Capitals
    };
    let spelled = form == Form::Digits && end - start >= 2 * value.len() - 1;
    // In `JX4-9PT` there are no nine points: letters are in an amount only if they are so to the last. And `1-0-1-3` is no
    // time of three days.
    let soft = match form {
        Form::Digits if spelled => false,
        Form::Digits => overlaps(&masks.soft, start, end),
        Form::Mixed | Form::Capitals => covers(&masks.soft, start, end),
    };
    let lookalike =
        form == Form::Digits && value.len() == end - start && masks.soft.binary_search(&(start, end)).is_ok();
    Candidate { value: Zeroizing::new(value), start, end, form, soft, lookalike, spelled }
}

fn looks_like_code(value: &str) -> bool {
    let capitals = value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    (4..=10).contains(&value.len()) && (has_digit(value) || capitals)
}

fn has_digit(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
}

fn digits(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit())
}

fn piece(text: &str, token: Token) -> &str {
    text.get(token.start..token.end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grouping_is_taken_off() {
        for (text, value) in [
            ("482913", "482913"),
            ("483-201", "483201"),
            ("483 201", "483201"),
            ("4829 1344", "48291344"),
            ("48-29-13", "482913"),
            ("55 82 01", "558201"),
            ("4 8 2 9 1 3", "482913"),
            ("3-2-4471", "324471"),
            ("Kx7-92Qp", "Kx7-92Qp"),
            ("R8-T4-Z2", "R8-T4-Z2"),
            ("F4R9 T2LB", "F4R9T2LB"),
            ("581·204", "581204"),
            ("BDWP-HQPK", "BDWP-HQPK"),
            ("K4-7719-P", "K4-7719-P"),
            ("R7-K4M-9Q", "R7-K4M-9Q"),
            ("j7wdr-b2vq9", "j7wdrb2vq9"),
            ("XKQP-804172", "804172"),
        ] {
            let found = find(text, &Masks::find(""));
            assert_eq!(found.iter().map(|found| found.value.as_str()).collect::<Vec<_>>(), [value], "{text}");
        }
    }

    #[test]
    fn words_and_what_is_too_short_or_too_long_are_no_candidates() {
        for text in ["code", "Android", "548", "12345678901", "well-known", "EM-OTP-00417", "j7wdrq-b2vq9k"] {
            assert!(find(text, &Masks::find("")).is_empty(), "{text}");
        }
    }

    #[test]
    fn numbers_that_only_stand_side_by_side_stay_apart() {
        let found = find("482913 1984", &Masks::find(""));
        assert_eq!(found.iter().map(|found| found.value.as_str()).collect::<Vec<_>>(), ["482913", "1984"]);
    }
}
