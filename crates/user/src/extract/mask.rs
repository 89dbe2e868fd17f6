//! What in a text can be no code, however it is announced: addresses, cards, dates, amounts.

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::regex;

/// The parts of a text that are something else than a code.
pub(super) struct Masks {
    /// Never part of a code: addresses, card and account numbers, hashes.
    pub(super) hard: Vec<(usize, usize)>,
    /// Hardly ever a code: dates, times, telephone numbers, amounts.
    pub(super) soft: Vec<(usize, usize)>,
}

impl Masks {
    /// Finds them in a normalised text.
    pub(super) fn find(text: &str) -> Self {
        Self { hard: ranges(&HARD, text), soft: ranges(&SOFT, text) }
    }
}

/// Whether a normalised text names an amount of money.
pub(super) fn has_price(text: &str) -> bool {
    PRICES.iter().any(|regex| regex.is_match(text))
}

/// Whether one of the sorted `ranges` overlaps `start..end`.
pub(super) fn overlaps(ranges: &[(usize, usize)], start: usize, end: usize) -> bool {
    let next = ranges.partition_point(|range| range.1 <= start);
    ranges.get(next).is_some_and(|range| range.0 < end)
}

/// Whether one of the sorted `ranges` holds all of `start..end`.
pub(super) fn covers(ranges: &[(usize, usize)], start: usize, end: usize) -> bool {
    let next = ranges.partition_point(|range| range.1 < end);
    ranges.get(next).is_some_and(|range| range.0 <= start)
}

/// All matches of all patterns, sorted and joined where they overlap.
fn ranges(patterns: &[Regex], text: &str) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (start, block) in blocks(text) {
        let found = patterns.iter().flat_map(|regex| regex.find_iter(block));
        all.extend(found.map(|found| (start + found.start(), start + found.end())));
    }
    all.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::with_capacity(all.len());
    for (start, end) in all {
        match joined.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// The runs of lines in which a code may stand, and where each begins; most lines of a mail have no digit at all.
fn blocks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut lines = text.split_inclusive('\n').scan(0, |end, line| {
        let start = *end;
        *end += line.len();
        Some((start, *end, may_hold_a_code(line)))
    });
    std::iter::from_fn(move || {
        let (start, mut end, _) = lines.find(|(_, _, holds)| *holds)?;
        while let Some((_, next, true)) = lines.next() {
            end = next;
        }
        Some((start, text.get(start..end)?))
    })
}

fn may_hold_a_code(line: &str) -> bool {
    let mut capitals = 0;
    line.bytes().any(|byte| {
        capitals = if byte.is_ascii_uppercase() || byte == b'-' { capitals + 1 } else { 0 };
        byte.is_ascii_digit() || capitals >= 4
    })
}

/// An amount of money, its currency first.
const PRICE_BEFORE: &str = r"(?i)(?:[$€£¥₹₽₩₺₴฿₫₪]|\b(?:eur|usd|gbp|inr|rs|r\$|nt\$|chf|jpy|cny|rmb|aed|egp|sar|pln|sek|nok|dkk|czk|huf|try|rub|uah|vnd|idr|rp|thb|myr|rm|php|brl|mxn|ngn|kes|ksh|fcfa|xof|gel|amd|azn|kzt|byn|bgn|ron|ils|mad|twd|zar|cad|aud|nzd|sgd|hkd|btc)\b\.?|\bs/\.?)\s?\d[\d.,' ]*\d";
/// An amount of money, its currency written to it: `NGN25,000.00`.
const PRICE_GLUED: &str = r"\b(?:EUR|USD|GBP|INR|CHF|JPY|CNY|RMB|AED|EGP|SAR|PLN|SEK|NOK|DKK|CZK|HUF|TRY|RUB|UAH|VND|IDR|THB|MYR|RM|PHP|BRL|MXN|NGN|KES|KSH|GHS|TZS|UGX|RWF|ETB|PKR|BDT|LKR|NPR|XOF|XAF|GEL|AMD|AZN|KZT|BYN|BGN|RON|ILS|MAD|TND|DZD|TWD|ZAR|CAD|AUD|NZD|SGD|HKD|COP|CLP|PEN|ARS|Rs|Rp)\d[\d' ]*[.,][\d.,' ]*\d";
/// An amount of money, its currency last.
const PRICE_AFTER: &str = r#"(?i)\b\d(?:[\d.,]*\d)?(?:[.,]-)?\s?(?:[$€£¥₹₽₩₺₴฿₫₪]|(?:eur|euros?|usd|gbp|inr|chf|pln|zl|kr|kc|czk|tl|pyb|rub|uah|byn|kzt|gel|amd|azn|bgn|ron|lei|huf|ft|sek|nok|dkk|vnd|idr|thb|myr|sgd|php|ngn|kes|ksh|zar|fcfa|xof|mad|egp|sar|aed|ils|brl|mxn|aud|nzd|cad|hkd|twd)\b|[元円원万]|บาท|บ\.|टका|টাকা|ریال|تومان|ریالا|جنیه|درهم|ש"ח|so'm)"#;

/// An amount of money of a currency whose code is a word of some language, unless it stands in capitals (ISO 4217).
const PRICE_IN_CAPITALS: &str = r"\b(?:TZS|UGX|RWF|ETB|PKR|BDT|LKR|NPR|MMK|LAK|KHR|KGS|UZS|TJS|AFN|IQD|JOD|KWD|BHD|OMR|QAR|LBP|MGA|MWK|ZMW|BWP|NAD|MZN|AOA|XAF|CDF|GHS|GMD|GNF|LYD|TND|DZD|RSD|MKD|BAM|MDL|ISK|GTQ|HNL|NIO|CRC|DOP|PYG|UYU|BOB|ARS|CLP|COP|PEN|RUR|USDT|BTC|ETH)\s?\d[\d.,' ]*\d|\b\d[\d.,' ]*\d\s?(?:TZS|UGX|RWF|ETB|PKR|BDT|LKR|NPR|MMK|KGS|UZS|GHS|RSD|MKD|BAM|MDL|ISK|RUR|USDT|BTC|ETH|ARS|CLP|COP|PEN)\b";
/// An amount of money as it is written beside a script of its own, in the letters of a normalised text.
const PRICE_IN_SCRIPT: &str = r"(?i)\bR\d[\d ]*[.,]\d\d\b|(?:^|[^.\w])(?:kz|kr|tk|lv)\.?\s?\d[\d.,' ]*\d|(?:টাকা|ரூ|రూ|रु|रू|રૂ|ರೂ|രൂ|රු|৳|ብር)\.?\s?\d[\d.,।' ]*\d|\d[\d.,]*\s?(?:[₴₼₾֏៛₭]|дeн|дин|PCД|гpн|pyб|лв|кип|ກີບ|روپے|روپیہ|រៀល|ကျပ်|₮|төг)";

static PRICES: LazyLock<Vec<Regex>> =
    LazyLock::new(|| compile(&[PRICE_BEFORE, PRICE_GLUED, PRICE_AFTER, PRICE_IN_CAPITALS, PRICE_IN_SCRIPT]));

static HARD: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    compile(&[
        // Addresses: URLs with and without a scheme, mail, IP.
        r"(?i)\b(?:[a-z][a-z0-9+.-]*://|www\.)[^\s<>]+",
        r"\b(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}/[^\s<>]*",
        r"\b(?:[a-z0-9-]*[a-z][a-z0-9-]*\.)+[a-z]{2,}\b",
        r"\b[A-Z][A-Z0-9-]{2,}\.(?:COM|NET|ORG|INFO|SHOP|STORE|APP|IO|EU|[A-Z]{2})(?:\.[A-Z]{2})?\b",
        r"[\w.+*-]+@[\w*-]+(?:\.[\w*-]+)+",
        r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
        r"(?i)\b(?:[0-9a-f]{1,4}:){3,7}:?[0-9a-f]{1,4}\b",
        // Card numbers, whole and masked; USSD and star numbers.
        r"\b\d{4}(?:[ -]\d{4}){2,4}\b",
        r"\b\d{2,6}[ -]?(?:[*xX•]{2,}[ -]?)+\d{0,6}\b",
        r"(?:[*•]+|\b[xX]{1,}|\.{2,}|…)[ -]?\d{2,6}\b",
        r"(?i)\b(?:ending|ends|endend|endet|terminad[ao]|terminée?|terminante|termina|eindigend)\s+(?:(?:in|with|on|by|auf|mit|par|en|con|em|com|op)\s+)?\d{2,6}\b",
        // `4417 ile biten kart`, `4417 päättyvä`, in the letters of a normalised text.
        r"(?i)\b\d{3,4}['’]?\s?(?:ile|la|le|로|से|で)?\s?(?:biten|sonlanan|paattyva|paattyvaan|vegu|vegzodo|끝나는|समाप्त|終わる)",
        // The name of an OpenPGP key.
        r"\b0x[0-9A-Fa-f]{4}(?: ?[0-9A-Fa-f]{4}){1,9}\b",
        r"[*#]\d+(?:\*\d+)*#|\b\d{3,6}\*\d",
        r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9*]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b",
        // Hashes, tracking numbers, UUIDs: eleven characters or more.
        r"[A-Za-z0-9+/=_]{11,}",
        r"\b[A-Za-z0-9]*\d[A-Za-z0-9]*(?:-[A-Za-z0-9]+)*-[A-Za-z0-9]{7,}\b",
        r"\b[A-Za-z0-9]{7,}(?:-[A-Za-z0-9]+)*-[A-Za-z0-9]*\d[A-Za-z0-9]*\b",
        r"\b\d{3,}(?:-\d{3,}){2,}\b",
        r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b",
    ])
});

static SOFT: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    compile(&[
        // Dates and times.
        r"\b(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b",
        r"\b(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|1[0-2])[-/.](?:(?:19|20)?\d\d)\b",
        r"\b(?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:(?:19|20)?\d\d)\b",
        r"\b20[2-4]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\b",
        r"(?:^|[^-\d])(?:0?[1-9]|[12]\d|3[01])-(?:0?[1-9]|[12]\d|3[01])\s+\p{L}",
        r"(?i)\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b)?",
        r"(?i)\b(?:at|um|kl\.?|by|until|till|before|from)\s+(?:[01]\d|2[0-3])[0-5]\d\b",
        r"\b(?:[01]\d|2[0-3])[0-5]\d\s?(?:Z|GMT|UTC|hrs?|h|Uhr)\b",
        r"(?i)\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|okt|dez)[a-z]*\.?\s+(?:\d{1,2}(?:st|nd|rd|th)?,?\s+)?(?:19|20)\d\d\b",
        r"\b20\d\d年|\d{1,2}月\d{1,2}日",
        r"(?i)(?:©|\(c\)|copyright)\s*(?:19|20)\d\d",
        // A flight and its time.
        r"\b[A-Z]{2}\d{2,4}\s?[\p{Han}\p{Hiragana}\p{Katakana}]{1,8}\d{1,2}:\d{2}",
        // A place of the United States and its ZIP code.
        r"\b(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]),? \d{5}(?:-\d{4})?\b",
        // Telephone numbers and the short numbers that one texts to.
        r"\+\d[\d ()-]{6,}\d",
        r"\(\d{2,4}\)[ -]?\d{3,4}[ -]\d{3,4}",
        r"\b(?:1[ -])?\d{3}[-. ]\d{3}[-. ]\d{4}\b",
        r"\b0\d{1,4}[ -]\d{2,4}[ -]\d{3,4}\b",
        r"\b[78][ -]\(?\d{3}\)?[ -]\d{3}[ -]\d\d[ -]\d\d\b",
        r"\b1[568]\d\d-\d{4}\b",
        r"\b0[1-9]\d{8,9}\b|\b1[389]00\d{6}\b|\b1[3-9]\d{9}\b",
        r"(?i)\b(?:text|txt|sms|send|reply)\b[^.\n]{0,40}?\bto:?\s*\d{4,6}\b",
        r"(?i)\b(?:ketik|balas|envia|envie|envoyez|sende|invia|wyslij|trimite)\b[^.\n]{0,40}?\b(?:kirim ke|ke|al|au|an|para|na|la)\s*\d{4,6}\b",
        // Money, and numbers with a unit.
        PRICE_BEFORE,
        PRICE_GLUED,
        PRICE_AFTER,
        PRICE_IN_CAPITALS,
        PRICE_IN_SCRIPT,
        r"(?i)\b\d(?:[\d.,]*\d)?\s?(?:[%°]|(?:mb|gb|kb|tb|km|kg|ml|mg|mm|cm|kwh|px|pts|ppm|bps|mins?|minutes?|minuten|hours?|days?|seconds?|sms|points?|steps?|calories|miles)\b|बाट)",
        r"\b\d[\d.,]*p\b",
        // So many cases, persons, items: no code is counted.
        r"\b\d{3,}(?:余|多)?[起名件例户戶]",
        // In `482913,10分钟` the comma ends a clause.
        r"\b(?:\d+\.\d{1,2}|\d{1,3}(?:[.,]\d{3})+(?:[.,]\d{1,2})?|\d+,\d{2})(?:\W|$)",
    ])
});

fn compile(patterns: &[&str]) -> Vec<Regex> {
    // A normalised text has ASCII digits alone, and boundaries of ASCII words cost no more in a text that has others.
    let plain = |pattern: &str| pattern.replace(r"\b", r"(?-u:\b)").replace(r"\d", "[0-9]");
    patterns.iter().map(|pattern| regex(&plain(pattern))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_something_else_is_masked_whole() {
        for (text, masked) in [
            ("v.whatsapp.com/314159", "v.whatsapp.com/314159"),
            ("mail ab1234@acme.example now", "ab1234@acme.example"),
            ("from 203.0.113.24 today", "203.0.113.24"),
            ("card 4829 **** **** 1133", "4829 **** **** 1133"),
            ("card XX4410", "XX4410"),
            ("your phone ending in 0118", "ending in 0118"),
            ("rach ...1332", "...1332"),
            ("parcel 4471-2290-1183", "4471-2290-1183"),
            ("order 114-3941689-8772232", "114-3941689-8772232"),
            ("hash FA+9qCX9VSu", "FA+9qCX9VSu"),
            ("LA EMAG.RO CU", "EMAG.RO"),
            ("IBAN GB29NWBK60161331926819", "GB29NWBK60161331926819"),
        ] {
            let masks = Masks::find(text);
            let found: Vec<&str> = masks.hard.iter().map(|(start, end)| &text[*start..*end]).collect();
            assert_eq!(found, [masked], "{text}");
        }
    }

    #[test]
    fn a_code_is_not_masked() {
        for text in [
            "code 482913.",
            "code is 482913.Do not share it",
            "483-201",
            "4829 1344",
            "48-29-13",
            "Kx7-92Qp",
            "55 82 01",
        ] {
            let masks = Masks::find(text);
            assert!(masks.hard.is_empty() && masks.soft.is_empty(), "{text}");
        }
    }

    #[test]
    fn an_amount_of_money_is_known_in_many_currencies() {
        for text in [
            "TZS 45,000",
            "ETB 2,000",
            "4 199,00 RUR",
            "1200 USDT",
            "3.490,00 РСД",
            "1.200 ден",
            "ரூ.1,150",
            "రూ.5,000.00",
            "रु.१,५००",
            "ብር 3,000.00",
            "100 грн",
            "100 руб.",
            "₴250",
            "S/ 80.00",
            "R1 250,00",
            "kr 2 499,-",
            "480,00 лв.",
            "500,000 ກີບ",
            "1500 روپے",
            "টাকা ১,২০০.০০",
        ] {
            assert!(has_price(&crate::extract::normalise::normalise(text)), "{text}");
        }
        assert!(!has_price("ETBs are bought with code 482913"));
        assert!(!has_price("code for egov.kz 482913"));
    }

    #[test]
    fn dates_times_phones_and_amounts_are_masked_softly() {
        for text in [
            "2026-11-23",
            "23-11-2026",
            "09:14",
            "at 0930",
            "(415) 555-0187",
            "800-531-8722",
            "8 800 000-00-42",
            "0120-00-0042",
            "11-15 Haziran",
            "EUR 245.10",
            "NGN25,000.00",
            "Redwood City, CA 94063",
            "1500p",
            "12.500원",
            "4820 MB",
            "1,249.99",
        ] {
            assert!(!Masks::find(text).soft.is_empty(), "{text}");
        }
    }
}
