//! Codes in a form that was made for programs: they need no guess.

use std::sync::LazyLock;

use agent_otp_domain::CodeShape;
use regex::Regex;
use zeroize::Zeroizing;

use super::candidates::Candidate;
use super::choice::release;
use super::pattern::regex;
use super::score::Score;
use super::{Confidence, Extraction};

/// An origin-bound one-time code: a last line `@acme.example #482913` (WICG, "Origin-bound one-time codes
/// delivered via SMS").
pub(super) struct Bound {
    host: String,
    code: Zeroizing<String>,
}

impl Bound {
    pub(super) fn find(body: &str) -> Option<Self> {
        let line = body.trim_end().lines().next_back()?;
        let found = ORIGIN_BOUND.captures(line.trim())?;
        let (host, code) = (found.get(1)?.as_str(), found.get(2)?.as_str());
        Some(Self { host: host.to_owned(), code: Zeroizing::new(code.to_owned()) })
    }

    /// The host must be `domain` or a subdomain of it; a message that is bound elsewhere is
    /// [`Extraction::Conflicting`]. Without `domain` the host binds nothing, and the code alone counts.
    pub(super) fn to(&self, shape: Option<&CodeShape>, domain: Option<&str>) -> Extraction {
        if domain.is_some_and(|domain| !is_within(&self.host, domain)) {
            return Extraction::Conflicting;
        }
        fitting(&self.code, shape)
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }
}

/// Google's and Facebook's `G-482913`, of which the digits are the code: each once, in the order in which they stand.
pub(super) struct Prefixed(Vec<Zeroizing<String>>);

impl Prefixed {
    pub(super) fn find(text: &str) -> Option<Self> {
        let mut codes: Vec<Zeroizing<String>> = Vec::new();
        for code in PREFIXED.captures_iter(text).filter_map(|found| found.get(1)).map(|code| code.as_str()) {
            if codes.iter().all(|known| known.as_str() != code) {
                codes.push(Zeroizing::new(code.to_owned()));
            }
        }
        (!codes.is_empty()).then_some(Self(codes))
    }

    /// Those of them that the rest of the message does not call something else.
    pub(super) fn among(mut self, weighed: &[(Candidate, Score)]) -> Option<Self> {
        let is_unopposed =
            |code: &str| weighed.iter().any(|(found, score)| found.value.ends_with(code) && score.unopposed);
        self.0.retain(|code| is_unopposed(code));
        (!self.0.is_empty()).then_some(self)
    }

    pub(super) fn of(&self, shape: Option<&CodeShape>) -> Extraction {
        match self.0.as_slice() {
            [code] => fitting(code, shape),
            _ => Extraction::Ambiguous,
        }
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|code| code.as_str())
    }
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
