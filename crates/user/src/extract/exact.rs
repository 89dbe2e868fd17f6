//! Codes in a form that was made for programs: they need no guess.

use std::sync::LazyLock;

use agent_otp_domain::CodeShape;
use regex::Regex;

use super::{Confidence, Extraction, release};

/// An origin-bound one-time code: a last line `@acme.example #482913` (WICG, "Origin-bound one-time codes
/// delivered via SMS").
///
/// The host must be `domain` or a subdomain of it; a message that is bound elsewhere is
/// [`Extraction::Conflicting`]. Without `domain` the host binds nothing, and the code alone counts.
pub(super) fn origin_bound(
    body: &str,
    shape: Option<&CodeShape>,
    domain: Option<&str>,
) -> Option<Extraction> {
    let line = body.trim_end().lines().next_back()?;
    let found = ORIGIN_BOUND.captures(line.trim())?;
    let (host, code) = (found.get(1)?.as_str(), found.get(2)?.as_str());
    if domain.is_some_and(|domain| !is_within(host, domain)) {
        return Some(Extraction::Conflicting);
    }
    Some(fitting(code, shape))
}

/// Google's and Facebook's `G-482913`, of which the digits are the code.
pub(super) fn prefixed(text: &str, shape: Option<&CodeShape>) -> Option<Extraction> {
    let mut codes = PREFIXED.captures_iter(text).filter_map(|found| found.get(1)).map(|code| code.as_str());
    let code = codes.next()?;
    if codes.any(|other| other != code) {
        return Some(Extraction::Ambiguous);
    }
    Some(fitting(code, shape))
}

/// The digits of a text that is nothing but such a code.
pub(super) fn prefixed_alone(text: &str) -> Option<&str> {
    let found = PREFIXED.captures(text)?;
    if found.get(0)?.as_str() == text { Some(found.get(1)?.as_str()) } else { None }
}

/// Whether `host` is `domain` or a subdomain of it.
pub(super) fn is_within(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_lowercase(), domain.to_lowercase());
    host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
}

fn fitting(code: &str, shape: Option<&CodeShape>) -> Extraction {
    if shape.is_none_or(|shape| shape.fits(code)) {
        release(code, Confidence::High)
    } else {
        Extraction::None
    }
}

static ORIGIN_BOUND: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+) #([A-Za-z0-9-]{4,10})(?: %\S+)?$"));
static PREFIXED: LazyLock<Regex> = LazyLock::new(|| regex(r"(?-u:\b)(?:G|FB|IG)-([0-9]{4,8})(?-u:\b)"));

#[expect(clippy::expect_used, reason = "a constant expression, which every test compiles")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a regular expression")
}
