//! Names that are made to be taken for others: of mixed scripts, of letters that look like others, of none that people
//! write (UTS #39, "Unicode Security Mechanisms").

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{GeneralSecurityProfile as _, RestrictionLevel, RestrictionLevelDetection as _};

/// Why a domain in its ASCII form is made to be taken for another, or is none at all, as a clause.
///
/// Each label has to be of one script, or of those that are written together, such as Han and Kana; of characters that
/// people write; and none may consist of nothing but look-alikes of ASCII letters, unless the top-level domain is of
/// another script too, as in `хор.рф`.
pub(crate) fn of_domain(domain: &str) -> Option<String> {
    if !domain.split('.').any(|label| label.starts_with("xn--")) {
        return None;
    }
    let (unicode, valid) = idna::domain_to_unicode(domain);
    if valid.is_err() {
        return Some("it has a label that is no international name (RFC 5891)".to_owned());
    }
    let top_is_ascii = unicode.rsplit('.').next().is_some_and(str::is_ascii);
    unicode.split('.').filter(|label| !label.is_ascii()).find_map(|label| {
        let disguise =
            || (top_is_ascii && skeleton(label).is_ascii()).then(|| made_to_look_like(&skeleton(label)));
        of_text(label).or_else(disguise)
    })
}

/// Why a text that is shown as a name is made to be taken for another, as a clause.
pub(crate) fn of_text(text: &str) -> Option<String> {
    let odd = text.chars().find(|c| !c.is_ascii() && !c.identifier_allowed());
    if let Some(odd) = odd {
        return Some(format!("it holds U+{:04X}, which names are not written with", u32::from(odd)));
    }
    let is_of_one_script = text.check_restriction_level(RestrictionLevel::HighlyRestrictive);
    (!is_of_one_script).then(|| "it mixes letters of several scripts".to_owned())
}

/// What the text looks like, letter by letter.
pub(crate) fn skeleton(text: &str) -> String {
    unicode_security::confusable_detection::skeleton(text).collect()
}

fn made_to_look_like(ascii: &str) -> String {
    format!("it is made to look like `{ascii}`")
}

/// What a label of a domain is taken for at a glance: without accents, and with what looks alike written in one way.
pub(crate) fn glance(label: &str) -> String {
    let lower = label.to_lowercase();
    let bare: String = skeleton(&lower).nfd().filter(|c| !is_combining_mark(*c)).collect();
    // The skeleton writes `m` as `rn` and the like.
    let bare = bare.to_lowercase().replace("rn", "m").replace("vv", "w");
    bare.chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | 'i' | '|' => 'l',
            '5' => 's',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_write_are_no_disguise() {
        for text in [
            "github.com",
            "münchen.de",
            "bücher.example",
            "café.fr",
            "straße.de",
            "пример.рф",
            "хор.рф",
            "яндекс.com",
            "例え.jp",
            "日本語テスト.jp",
            "한국.kr",
            "中国移动.com",
            "παράδειγμα.gr",
            "उदाहरण.भारत",
            "ตัวอย่าง.ไทย",
            "مثال.إختبار",
        ] {
            let ascii = idna::domain_to_ascii(text).unwrap();
            assert_eq!(of_domain(&ascii), None, "{text} {ascii}");
        }
    }

    #[test]
    fn names_that_are_made_to_be_taken_for_others_are_told_why() {
        for (text, why) in [
            ("gіthub.com", "mixes letters"),
            ("gıthub.com", "look like `github`"),
            ("аррӏе.com", "look like `apple`"),
            ("раураl.com", "mixes letters"),
            ("ѕсоре.com", "look like `scope`"),
            ("mail.аррӏе.com", "look like `apple`"),
            ("ɢithub.com", "U+0262"),
            ("githubꓸx.com", "U+A4F8"),
            ("gοοgle.com", "mixes letters"),
            ("paypaⅼ.com", ""),
        ] {
            let ascii = idna::domain_to_ascii(text).unwrap();
            // IDNA itself folds it to ASCII.
            if text == "paypaⅼ.com" {
                assert_eq!(ascii, "paypal.com");
                continue;
            }
            assert!(
                of_domain(&ascii).is_some_and(|told| told.contains(why)),
                "{text}: {:?}",
                of_domain(&ascii)
            );
        }
        for ascii in ["xn--a.com", "xn--github-.com", "xn--.com", "xn--github-a-.com"] {
            assert!(of_domain(ascii).is_some(), "{ascii}");
        }
    }

    #[test]
    fn what_looks_alike_at_a_glance_is_written_in_one_way() {
        for (one, other) in [
            ("microsoft", "rnicrosoft"),
            ("paypal", "paypa1"),
            ("paypal", "paypai"),
            ("google", "g00gle"),
            ("twitter", "tvvitter"),
            ("github", "gıthub"),
            ("github", "gíthub"),
            ("apple", "аррӏе"),
            ("slack", "5lack"),
        ] {
            assert_eq!(glance(one), glance(other), "{one} {other}");
        }
        assert_ne!(glance("github"), glance("gitlab"));
    }
}
