//! Takes the one sign-in link out of a message.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use agent_otp_domain::{Code, Purpose, registrable_domain};
use regex::Regex;
use zeroize::Zeroizing;

use super::pattern::regex;
use super::purpose::{gravest, purpose};
use super::{Confidence, Extraction, Text};

/// Takes the one link out of a message that leads to the registrable domain of `domain` and signs in.
///
/// A link signs in if its address or its text says so and it carries a secret: `/login` alone does not.
/// A link that shows another domain than it leads to makes the whole message [`Extraction::Conflicting`].
pub fn link(text: &Text, domain: &str) -> Extraction {
    let Some(asked) = registrable_domain(domain) else { return Extraction::None };
    if text.links().iter().any(|link| deceives(&link.href, &link.shown, &asked)) {
        return Extraction::Conflicting;
    }
    let anchors = text.links().iter().map(|link| (link.href.as_str(), link.shown.as_str()));
    let written =
        text.readings().flat_map(|reading| URL.find_iter(reading)).map(|found| (found.as_str(), ""));
    let fitting: BTreeSet<&str> = anchors
        .chain(written)
        .map(|(href, shown)| {
            (href.trim().trim_end_matches(['.', ',', ')', ']', '>', '"', '\'', '!', ';']), shown)
        })
        .filter(|(href, shown)| leads_to(href, &asked) && signs_in(href, shown))
        .map(|(href, _)| href)
        .collect();
    let mut fitting = fitting.into_iter();
    match (fitting.next(), fitting.next()) {
        (Some(_), Some(_)) => Extraction::Ambiguous,
        (Some(href), None) => {
            Code::link(href).map_or(Extraction::None, |link| Extraction::Code(link, Confidence::High))
        }
        (None, _) => Extraction::None,
    }
}

/// What the link of a message is for: what the message says of it, what is shown of it, and what its address is called,
/// the gravest of these; `None` if nothing of this says so.
///
/// An address such as `…/auth/reset-password?token=…` signs in too.
#[must_use]
pub fn link_purpose(text: &Text) -> Option<Purpose> {
    let signing_in = || text.links().iter().filter(|link| signs_in(&link.href, &link.shown));
    let shown = signing_in().filter_map(|link| purpose(&Text::plain(&link.shown)));
    let written = text.readings().flat_map(|reading| URL.find_iter(reading)).map(|found| found.as_str());
    let written = written.filter(|href| signs_in(href, ""));
    let addresses = signing_in().map(|link| link.href.as_str()).chain(written).filter_map(|href| {
        let named = Zeroizing::new(CAMPAIGN.replace_all(href, "").into_owned());
        match (RESETS.is_match(&named), CHANGES.is_match(&named)) {
            (true, _) => Some(Purpose::Reset),
            (false, true) => Some(Purpose::Change),
            (false, false) => None,
        }
    });
    gravest(purpose(text).into_iter().chain(shown).chain(addresses))
}

/// Takes a text as the link itself: an address on the registrable domain of `domain`. Whether it signs in, the user says.
pub(crate) fn link_alone(text: &str, domain: &str) -> Option<Code> {
    let asked = registrable_domain(domain)?;
    if leads_to(text, &asked) { Code::link(text).ok() } else { None }
}

/// Whether a link shows one domain and leads to another, and one of them is the one asked for.
fn deceives(href: &str, shown: &str, asked: &str) -> bool {
    let led = host(href).and_then(registrable_domain);
    DOMAIN
        .captures_iter(shown)
        .filter_map(|found| registrable_domain(found.get(1)?.as_str()))
        .any(|shown| led.as_ref().is_some_and(|led| *led != shown && (led == asked || shown == asked)))
}

fn leads_to(href: &str, asked: &str) -> bool {
    href.starts_with("https://") && host(href).and_then(registrable_domain).is_some_and(|led| led == asked)
}

/// Whether a link carries a secret, and a word that says what for.
fn signs_in(href: &str, shown: &str) -> bool {
    let Some(address) = href
        .strip_prefix("https://")
        .and_then(|rest| rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)))
    else {
        return false;
    };
    let purpose = PURPOSE.is_match(address) || PURPOSE.is_match(shown);
    purpose && SECRET.is_match(address) && !ELSEWHERE.is_match(address) && !ELSEWHERE.is_match(shown)
}

/// The host of an `http` or `https` address. An address with a user name or a backslash has none.
fn host(href: &str) -> Option<&str> {
    let (scheme, rest) = href.trim().split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let plain =
        authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'));
    (known && plain).then(|| authority.split(':').next()).flatten()
}

/// As Supabase, Firebase, Auth0, Django and Rails call it, among others.
static RESETS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)[/?&#=_.-](?:reset|forgot|recover|lost-?_?pass|new-?_?pass|(?:set|change|edit|update)-?_?pass|passwords?/)",
    )
});
static CHANGES: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)[/?&#=_.-](?:(?:change|update|new)-?_?e?-?mail|e?-?mail-?_?(?:change|update)|change-?_?(?:phone|number)|(?:delete|close|deactivate|transfer)-?_?/?(?:my-?_?)?(?:account|user|profile)|account-?_?/?(?:delet|clos|transfer))",
    )
});
/// What tells the sender which of his mails was read.
static CAMPAIGN: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)utm_[a-z]+=[^&#]*"));
static URL: LazyLock<Regex> = LazyLock::new(|| regex(r#"https://[^\s<>"]+"#));
static DOMAIN: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)(?:https?://|\b)((?:[a-z0-9-]+\.)+[a-z]{2,})(?:[/:?#\s]|$)"));
static PURPOSE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)log-?_?\s?in|log-?_?\s?on|sign-?_?\s?in|sign-?_?\s?up|verif|confirm|\bauth|magic|activat|validat|passwordless|one-?time|otp|session|callback|anmeld|bestätig|connexion|connecter|vérif|acced|inici|acess|inlogg|entra[rn]?\b|inlog|aanmeld|accedi|ingres|zalogu|logowan|wejsc|přihl|prihl|potvr|belép|bejelentk|giri[sş]|do[gğ]rula|onayla|masuk|verifikasi|đăng nhập|xác (?:nhận|thực)|kirjaudu|vahvista|logga|bekr[äe]ft|σύνδεσ|επιβεβα|увійти|увайсці|пацвердз|prijav|autentific|conect|تسجيل|تأكيد|כניסה|התחבר|אימות|साइन|लॉग|войти|вход|подтверд|登录|登入|验证|驗證|ログイン|認証|로그인|인증",
    )
});
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"[?&#][^=&#]+=[A-Za-z0-9._~%+-]{6,}|#[A-Za-z0-9._~%:+-]*\d[A-Za-z0-9._~%:+-]{9,}|/[A-Za-z0-9_~.-]*\d[A-Za-z0-9_~.-]{9,}|/[A-Za-z0-9_~.-]{10,}\d[A-Za-z0-9_~.-]*|/[A-Za-z0-9_-]{24,}",
    )
});
static ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)unsubscri|preference|privacy|/terms|/help|/support|opt-?out|view-?in-?browser|abmelde|désabonn|\.(?:png|jpe?g|gif|svg|css|ico)(?:\?|$)|not-?me|report|cancel|revoke|deny|secure-?account|wasn.?t",
    )
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Link;

    #[test]
    fn the_one_sign_in_link_of_the_domain_is_taken() {
        let magic = "https://acme.example/magic?t=aa11bb22cc33dd44";
        for (links, found) in [
            (vec![(magic, "Sign in"), ("https://acme.example/u/551177", "Unsubscribe")], magic),
            (vec![(magic, "Sign in"), (magic, "https://acme.example/magic?t=aa11")], magic),
            (
                vec![("https://mail.acme.example/verify/4f9a8b7c6d5e4f3a2b1c", "Verify")],
                "https://mail.acme.example/verify/4f9a8b7c6d5e4f3a2b1c",
            ),
        ] {
            assert!(
                matches!(link(&text(&links), "acme.example"), Extraction::Code(code, _) if code.expose() == found),
                "{links:?}"
            );
        }
    }

    #[test]
    fn a_link_is_for_the_gravest_that_is_said_of_it() {
        for (href, shown, said) in [
            ("https://acme.example/magic?t=aa11bb22cc33dd44", "Sign in", Some(Purpose::Login)),
            ("https://acme.example/magic?t=aa11bb22cc33dd44", "Continue", None),
            ("https://acme.example/auth/reset-password?token=aa11bb22", "Continue", Some(Purpose::Reset)),
            (
                "https://acme.example/auth/v1/verify?token=aa11bb22&type=recovery",
                "Log in",
                Some(Purpose::Reset),
            ),
            (
                "https://acme.example/__/auth/action?mode=resetPassword&oobCode=aa11bb22",
                "Next",
                Some(Purpose::Reset),
            ),
            (
                "https://acme.example/auth/v1/verify?token=aa11bb22&type=email_change",
                "Next",
                Some(Purpose::Change),
            ),
            ("https://acme.example/auth/c?token=aa11bb22cc", "Reset your password", Some(Purpose::Reset)),
            (
                "https://acme.example/magic?t=aa11bb22cc33dd44&utm_campaign=email_updates&next=/presets/12",
                "Sign in",
                Some(Purpose::Login),
            ),
            // What does not sign in is not taken, and says nothing.
            ("https://acme.example/reset-password", "Reset", None),
        ] {
            assert_eq!(link_purpose(&text(&[(href, shown)])), said, "{href} {shown}");
        }
    }

    #[test]
    fn a_link_that_lies_about_its_domain_refuses_the_message() {
        for (href, shown) in [
            ("https://acme.example.evil.test/login?t=123456", "https://acme.example/login"),
            ("https://evil.test/login?t=1234567", "acme.example"),
        ] {
            assert!(
                matches!(link(&text(&[(href, shown)]), "acme.example"), Extraction::Conflicting),
                "{href}"
            );
        }
    }

    #[test]
    fn a_link_elsewhere_or_without_a_secret_is_none() {
        for href in [
            "https://evil.test/login?token=aa11bb22cc33",
            "http://acme.example/login?token=aa11bb22cc33",
            "https://acme.example/login",
            "https://acme.example@evil.test/login?token=aa11bb22cc33",
            "https://acme.example\\@evil.test/login?token=aa11bb22cc33",
            "https://acme.example/unsubscribe?token=aa11bb22cc33",
            "https://acme.example/",
            "",
        ] {
            assert!(matches!(link(&text(&[(href, "Sign in")]), "acme.example"), Extraction::None), "{href}");
        }
    }

    #[test]
    fn a_link_alone_needs_no_word_that_says_what_it_is_for() {
        for (text, is_taken) in [
            ("https://acme.example/x/1", true),
            ("https://mail.acme.example/x", true),
            ("http://acme.example/x/1", false),
            ("https://evil.test/acme.example", false),
            ("https://acme.example@evil.test/", false),
            ("see https://acme.example/x/1", false),
        ] {
            assert_eq!(link_alone(text, "acme.example").is_some(), is_taken, "{text}");
        }
    }

    #[test]
    fn two_sign_in_links_are_ambiguous() {
        let links = [
            ("https://acme.example/login?t=aa11bb22", "Sign in"),
            ("https://acme.example/login?t=cc33dd44", "Sign in"),
        ];
        assert!(matches!(link(&text(&links), "acme.example"), Extraction::Ambiguous));
    }

    #[test]
    fn a_link_in_plain_text_is_read_without_the_full_stop() {
        let message = Text::plain("Verify: https://acme.example/verify?code=771234&u=990011.");
        let found = link(&message, "acme.example");
        assert!(
            matches!(found, Extraction::Code(code, _) if code.expose() == "https://acme.example/verify?code=771234&u=990011")
        );
    }

    fn text(links: &[(&str, &str)]) -> Text {
        let own = |text: &str| Zeroizing::new(text.to_owned());
        let links = links.iter().map(|(href, shown)| Link { href: own(href), shown: own(shown) }).collect();
        Text::mail(Zeroizing::default(), Vec::new(), links)
    }
}
