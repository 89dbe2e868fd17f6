//! Brings what looks alike into one form, so that the tables and patterns need to know one form only.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::pattern::regex;

/// The longest text that is looked at, in bytes; the rest is not read.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The zero of every decimal system that NFKC leaves as it is.
const ZEROS: &[u32] = &[
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0,
    0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x1D7CE, 0x1D7D8,
    0x1D7E2, 0x1D7EC, 0x1D7F6,
];

/// A text without invisible characters and accents, its digits ASCII, its dashes and full stops plain.
///
/// Case stays, because a code may have one. What is written with letters of two scripts that look the
/// same becomes one word: Cyrillic `код` and the same with a Latin `o` are equal afterwards.
pub(super) fn normalise(text: &str) -> Zeroizing<String> {
    let text = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default();
    let mut plain_text = Zeroizing::new(String::with_capacity(text.len()));
    // No character composes with a line end, so that lines are normalised apart; most of a mail are ASCII.
    for line in text.split_inclusive('\n') {
        if line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
            plain_text.push_str(line);
        } else {
            let digits = in_order(line).filter(|c| !invisible(*c)).map(digit);
            plain_text.extend(digits.nfkd().filter(|c| !accent(*c)).map(plain).nfc());
        }
    }
    // One character may stand for a sentence (`ﷺ`), so what comes out is bounded as well.
    let end = plain_text.floor_char_boundary(TEXT_BYTES_MAX);
    plain_text.truncate(end);
    plain_text
}

/// Parts what a message glued together (`is482913`, `482913Expires`) and takes emphasis (`*482913*`) off.
pub(super) fn part(text: &str) -> Zeroizing<String> {
    let mut parted = Zeroizing::new(String::with_capacity(text.len() + 64));
    // Nothing is glued over a line end, and most lines of a mail hold neither a digit nor an asterisk.
    for line in text.split_inclusive('\n') {
        if line.bytes().any(|byte| byte == b'*' || byte.is_ascii_digit()) {
            let line = Zeroizing::new(EMPHASIS.replace_all(line, " $1 ").into_owned());
            let line = Zeroizing::new(GLUED_BEFORE.replace_all(&line, "$1 $2").into_owned());
            parted.push_str(&Zeroizing::new(GLUED_AFTER.replace_all(&line, "$1 $2").into_owned()));
        } else {
            parted.push_str(line);
        }
    }
    parted
}

static EMPHASIS: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\*{1,3}([A-Za-z0-9](?:[A-Za-z0-9 -]{0,14}[A-Za-z0-9])?)\*{1,3}"));
static GLUED_BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)((?:^|[^0-9a-z&?/_.-])(?:[a-z]*code|otp|pin|tan|password|is|are|to)[:=-]?)-?([0-9]{4,10}(?:[^0-9]|$))",
    )
});
static GLUED_AFTER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?-u:\b)([0-9]{4,10})((?:is|as|expires?|valid|your|from|will|do|please|never|use|for|the|this|ist|est|es)[^0-9a-z]|expires|valid)",
    )
});

/// The characters of a line that are shown in the order in which they are written: what a right-to-left override (UAX #9)
/// turns round reads otherwise than its bytes, and a sign that is part of nothing stands for the rest of its line.
fn in_order(line: &str) -> impl Iterator<Item = char> {
    const OVERRIDE: char = '\u{202E}';
    const TURNED: char = '\u{FFFC}';
    let mut is_turned = false;
    line.chars().filter_map(move |c| {
        let was_turned = is_turned;
        is_turned = match c {
            OVERRIDE => true,
            '\n' | '\r' => false,
            _ => is_turned,
        };
        match (was_turned, is_turned) {
            (false, true) => Some(TURNED),
            (true, true) => None,
            (_, false) => Some(c),
        }
    })
}

fn invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E
        | 0x2060..=0x206F | 0x20E3 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF9..=0xFFFB | 0xE0000..=0xE0FFF)
}

/// A decimal digit as ASCII. Other numerals (`²`, `①`, `½`) are footnotes and list numbers, never part of a code.
fn digit(c: char) -> char {
    let code = u32::from(c);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code));
    match zero {
        Some(zero) => char::from_digit(code - zero, 10).unwrap_or(c),
        None if c.is_numeric() && !c.is_ascii_digit() => ' ',
        None => c,
    }
}

/// Accents of Latin, Greek and Cyrillic, and the vowel points of Hebrew and Arabic.
fn accent(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36F | 0x591..=0x5C7 | 0x640 | 0x64B..=0x652 | 0x670)
}

fn plain(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => '-',
        '、' => ',',
        '。' | '｡' => '.',
        '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{B}' | '\u{C}' => '\n',
        '\0' | '\t' => ' ',
        c if c.is_whitespace() && c != '\n' => ' ',
        'ł' => 'l',
        'Ł' => 'L',
        'đ' | 'ð' => 'd',
        'Đ' => 'D',
        'ø' => 'o',
        'Ø' => 'O',
        'ı' => 'i',
        'ə' => 'e',
        'Ə' => 'E',
        'ς' => 'σ',
        'ي' | 'ى' => 'ی',
        'ك' => 'ک',
        'а' => 'a',
        'А' => 'A',
        'е' => 'e',
        'Е' => 'E',
        'і' => 'i',
        'І' => 'I',
        'о' | 'ο' => 'o',
        'О' | 'Ο' => 'O',
        'р' => 'p',
        'Р' => 'P',
        'с' => 'c',
        'С' => 'C',
        'у' => 'y',
        'У' => 'Y',
        'х' => 'x',
        'Х' => 'X',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_turned_round_is_not_read() {
        assert_eq!(*normalise("code \u{202E}317294\u{202C} 4829\nok 1"), *"code \u{FFFC}\nok 1");
    }

    #[test]
    fn what_looks_like_the_same_code_becomes_the_same_text() {
        for text in [
            "4\u{200b}8\u{200b}2913",
            "4829\u{ad}13",
            "٤٨٢٩١٣",
            "۴۸۲۹۱۳",
            "४८२९१३",
            "４８２９１３",
            "𝟒𝟖𝟐𝟗𝟏𝟑",
            "4\u{fe0f}\u{20e3}8\u{fe0f}\u{20e3}2913",
            "\u{200e}482913\u{202c}",
        ] {
            assert_eq!(*normalise(text), "482913", "{text}");
        }
        assert_eq!(*normalise("482\u{2011}913"), "482-913");
        assert_eq!(*normalise("482\u{a0}913"), "482 913");
    }

    #[test]
    fn a_footnote_is_no_digit() {
        assert_eq!(*normalise("482913²"), "482913 ");
        assert_eq!(*normalise("①482913"), " 482913");
    }

    #[test]
    fn a_word_in_mixed_scripts_is_the_word() {
        assert_eq!(normalise("Ваш кoд"), normalise("Ваш код"));
        assert_eq!(normalise("código"), normalise("codigo"));
    }

    #[test]
    fn what_is_glued_is_parted() {
        for (text, parted) in [
            ("Your code is482913", "Your code is 482913"),
            ("482913is your code", "482913 is your code"),
            ("CODE:482913EXPIRES:10MIN", "CODE: 482913 EXPIRES:10MIN"),
            ("Your code is **482913**.", "Your code is  482913 ."),
            ("OTP-482913", "OTP- 482913"),
            ("EM-OTP-00417", "EM-OTP-00417"),
            ("https://acme.example/v?id=1&code=482913&t=1", "https://acme.example/v?id=1&code=482913&t=1"),
        ] {
            assert_eq!(*part(text), parted);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for character in ["é", "ﷺ", "\u{1d160}"] {
            assert!(normalise(&character.repeat(TEXT_BYTES_MAX)).len() <= TEXT_BYTES_MAX, "{character}");
        }
    }
}
