//! What one message is to one request.

use agent_otp_domain::{CLOCK_SKEW_MAX, Code, ContentPattern, Filter, Purpose, Wanted};
use agent_otp_trust::{Verdict, VerifiedRequest};

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
        let message = &kept.message;
        let opened_at = request.request.heading.made_at.before(CLOCK_SKEW_MAX);
        let is_late = message.received_at < opened_at;
        let came_after = kept.came_at.is_some_and(|came_at| came_at >= request.request.heading.made_at);
        if (is_late && !came_after) || message.received_at >= decision.expires_at {
            return Self::No;
        }
        let narrowing = match &decision.verdict {
            Verdict::Approve { narrowing, .. } => narrowing.as_ref(),
            Verdict::Deny {} => return Self::No,
        };
        let asked = &request.request.filter;
        let filters: Vec<&Filter> = std::iter::once(asked).chain(narrowing).collect();
        if !filters.iter().all(|filter| is_admitted(message, filter)) {
            return Self::No;
        }
        let shape = filters.iter().rev().find_map(|filter| filter.shape.as_ref());
        let domains = asked.sender.domains();
        let found = match asked.wanted {
            Wanted::Code => kept.findings().code_for(shape, domains),
            Wanted::Link => extract::link_for(&message.text, domains),
        };
        if let Extraction::None = found {
            return Self::No;
        }
        let purpose = kept.purpose(asked.wanted);
        match (found, purpose) {
            (Extraction::None, _) => Self::No,
            (Extraction::Ambiguous | Extraction::Conflicting, _) if is_late => Self::No,
            (_, Some(purpose)) if !filters.iter().all(|filter| filter.allows(Some(purpose))) => {
                Self::OtherPurpose(purpose)
            }
            (Extraction::Ambiguous | Extraction::Conflicting, _) => Self::Unclear(match asked.wanted {
                Wanted::Code => kept.findings().choices(shape),
                Wanted::Link => Vec::new(),
            }),
            (Extraction::Code(code, _), _) => {
                let mut shapes = filters.iter().filter_map(|filter| filter.shape);
                match shapes.all(|shape| shape.fits(code.expose())) {
                    true if is_late => Self::Late,
                    true => Self::Code(code),
                    false => Self::No,
                }
            }
        }
    }
}

fn is_admitted(message: &Message, filter: &Filter) -> bool {
    let has_content = |pattern: &ContentPattern| {
        pattern.is_in(message.text.subject()) || message.text.readings().any(|reading| pattern.is_in(reading))
    };
    filter.admits(message.channel, &message.sender) && filter.content.as_ref().is_none_or(has_content)
}
