//! What one message is to one request.

use agent_otp_domain::{CLOCK_SKEW_MAX, Code, ContentPattern, Filter, Purpose, Wanted};
use agent_otp_trust::{Decision, Verdict, VerifiedRequest};

use super::shelf::Kept;
use crate::extract::{self, Extraction};
use crate::message::Message;

/// What a message is to a request.
#[derive(Debug)]
pub(super) enum Fit {
    /// Not an answer.
    No,
    /// An answer, if it were not from before the request by the clock of whoever sent or kept it, although it came after.
    Late,
    /// An answer, if the request asked for what its code is for.
    OtherPurpose(Purpose),
    /// An answer, if it were clear which of these codes, each masked.
    Unclear(Vec<String>),
    /// The answer.
    Code(Code),
}

impl Fit {
    /// Holds one message against one request: window, sender and content of the request's filter, and of the user's
    /// narrowing, each on its own; then its code, and what that is for.
    pub(super) fn of(kept: &Kept, request: &VerifiedRequest) -> Self {
        let Some((_, decision, _)) = request.approval() else { return Self::No };
        let Some(is_late) = is_late(kept, request, decision) else { return Self::No };
        let Verdict::Approve { narrowing, .. } = &decision.verdict else { return Self::No };
        let asked = &request.request.filter;
        let filters: Vec<&Filter> = std::iter::once(asked).chain(narrowing).collect();
        if !filters.iter().all(|filter| is_admitted(&kept.message, filter)) {
            return Self::No;
        }
        let shape = filters.iter().rev().find_map(|filter| filter.shape.as_ref());
        let domains = asked.sender.domains();
        let found = match asked.wanted {
            Wanted::Code => kept.findings().code_for(shape, domains),
            Wanted::Link => extract::link_for(&kept.message.text, domains),
        };
        let code = match found {
            Extraction::Code(code, _) => Some(code),
            Extraction::Ambiguous | Extraction::Conflicting if !is_late => None,
            Extraction::Ambiguous | Extraction::Conflicting | Extraction::None => return Self::No,
        };
        let is_allowed = |purpose| filters.iter().all(|filter| filter.allows(Some(purpose)));
        if let Some(other) = kept.purpose(asked.wanted).filter(|purpose| !is_allowed(*purpose)) {
            return Self::OtherPurpose(other);
        }
        let mut shapes = filters.iter().filter_map(|filter| filter.shape);
        match code {
            Some(code) if !shapes.all(|shape| shape.fits(code.expose())) => Self::No,
            Some(_) if is_late => Self::Late,
            Some(code) => Self::Code(code),
            None => Self::Unclear(match asked.wanted {
                Wanted::Code => kept.findings().choices(shape),
                Wanted::Link => Vec::new(),
            }),
        }
    }
}

/// Whether the message is from before the request by its own clock, and came after it; none if it is outside the window.
fn is_late(kept: &Kept, request: &VerifiedRequest, decision: &Decision) -> Option<bool> {
    let (received_at, asked_at) = (kept.message.received_at, request.request.heading.made_at);
    let is_late = received_at < asked_at.before(CLOCK_SKEW_MAX);
    let came_after = kept.came_at.is_some_and(|came_at| came_at >= asked_at);
    ((!is_late || came_after) && received_at < decision.expires_at).then_some(is_late)
}

fn is_admitted(message: &Message, filter: &Filter) -> bool {
    let has_content = |pattern: &ContentPattern| {
        pattern.is_in(message.text.subject()) || message.text.readings().any(|reading| pattern.is_in(reading))
    };
    filter.admits(message.channel, &message.sender) && filter.content.as_ref().is_none_or(has_content)
}
