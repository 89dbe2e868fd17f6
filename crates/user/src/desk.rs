//! Which message answers which request: pure, so that every case can be written down as a test.
//!
//! A message satisfies at most one request, and so do its copies. Where two requests or two codes fit equally, nothing
//! is released.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{
    CLOCK_SKEW_MAX, Code, Digest, EventType, Filter, KeyId, RequestKey, Timestamp, Wanted,
};
use agent_otp_trust::{Evidence, Verdict, VerifiedRequest};

use crate::extract::{self, Extraction};
use crate::message::Message;
use crate::obstacle;

/// How long a message is kept for an approval that comes after it.
pub const KEPT_FOR: Duration = Duration::from_mins(10);
/// How many messages are kept; the oldest goes first.
pub const KEPT_MAX: usize = 256;

/// The requests and the recent messages, in memory only.
#[derive(Debug)]
pub struct Desk {
    capturer: KeyId,
    requests: BTreeMap<RequestKey, VerifiedRequest>,
    messages: VecDeque<Kept>,
    /// The decisions that were acted on: none is acted on twice.
    spent: BTreeSet<Digest>,
    /// What was released lately: a copy of such a message may come late.
    released: VecDeque<Released>,
    /// What the user was asked, so that it is asked once.
    asked: BTreeSet<(RequestKey, Doubt)>,
}

#[derive(Debug)]
struct Kept {
    message: Message,
    /// What it is to each request that it was held against, worked out once.
    fits: BTreeMap<RequestKey, Fit>,
    /// The requests that it fitted at the same time as another.
    contested: BTreeSet<RequestKey>,
}

/// A code that has left, and the message that it stood in.
#[derive(Debug)]
struct Released {
    at: Timestamp,
    code: Arc<Code>,
    message: Option<Digest>,
}

/// What a message is to a request.
#[derive(Debug)]
enum Fit {
    /// Not an answer.
    No,
    /// An answer, if it were clear which code.
    Unclear,
    /// The answer.
    Code(Code),
}

/// Why nothing is released although something fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// One message fits several approved requests.
    Requests,
    /// Several codes fit the request.
    Codes,
    /// The code that fits was released to another request.
    Copy,
}

impl Doubt {
    /// What the user is told, and what to do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Requests => {
                "a message fits this request and another one, so neither gets it; deny the other, and this one gets it"
            }
            Self::Codes => {
                "more than one code fits this request, so none is released; deny it, and have the agent ask again"
            }
            Self::Copy => {
                "the code that fits this request was released before, so it is not released again; have the agent ask the service for a new one"
            }
        }
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Outcome {
    /// This code is for this request.
    Release(Box<Release>),
    /// The user has to decide.
    Ask(RequestKey, Doubt),
}

/// A code for a request.
#[derive(Debug)]
#[must_use = "a code that is released and dropped never reaches the agent"]
pub struct Release {
    /// The request, with its approval.
    pub request: VerifiedRequest,
    /// The decision's digest.
    pub decision: Digest,
    /// The code.
    pub code: Arc<Code>,
    /// What it rests on.
    pub evidence: Evidence,
}

impl Desk {
    /// An empty desk for the capturer with this key; `spent` are the decisions that it acted on before.
    #[must_use]
    pub fn new(capturer: KeyId, spent: BTreeSet<Digest>) -> Self {
        Self {
            capturer,
            requests: BTreeMap::new(),
            messages: VecDeque::new(),
            spent,
            released: VecDeque::new(),
            asked: BTreeSet::new(),
        }
    }

    /// Takes a message.
    pub fn receive(&mut self, message: Message) {
        if self.messages.len() >= KEPT_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(Kept { message, fits: BTreeMap::new(), contested: BTreeSet::new() });
    }

    /// Takes what is known of a request. What is older than what is known already changes nothing, save a denial: it
    /// wins wherever it is learnt of.
    pub fn learn(&mut self, request: VerifiedRequest) {
        let is_news = self.requests.get(&request.key).is_none_or(|known| {
            known.end != Some(EventType::Denied)
                && (request.version > known.version || request.end == Some(EventType::Denied))
        });
        if is_news {
            self.requests.insert(request.key.clone(), request);
        }
    }

    /// Takes it that these decisions were acted on elsewhere.
    pub fn spend(&mut self, decisions: impl IntoIterator<Item = Digest>) {
        self.spent.extend(decisions);
    }

    /// Works out what is to be released, and what the user is to be asked.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Outcome> {
        self.forget(now);
        let awaiting: Vec<RequestKey> = self
            .requests
            .values()
            .filter(|request| self.awaits(request, now))
            .map(|request| request.key.clone())
            .collect();
        self.weigh(&awaiting);
        let mut outcomes: Vec<Outcome> = Vec::new();
        for key in awaiting {
            match self.choose(&key) {
                Choice::Nothing => {}
                Choice::Message(index) => outcomes.extend(
                    self.release(&key, index, now).map(|release| Outcome::Release(Box::new(release))),
                ),
                Choice::Doubt(doubt) => {
                    if self.asked.insert((key.clone(), doubt)) {
                        outcomes.push(Outcome::Ask(key, doubt));
                    }
                }
            }
        }
        outcomes
    }

    /// Drops what is past use; [`Desk::settle`] does so first. A request stays as long as a message may, because its
    /// end may decide about one.
    pub fn forget(&mut self, now: Timestamp) {
        self.messages.retain(|kept| now.since(kept.message.received_at) < KEPT_FOR);
        self.requests.retain(|_, request| now < request.request.expires_at.after(KEPT_FOR));
        self.released.retain(|released| now.since(released.at) < KEPT_FOR);
        let requests = &self.requests;
        self.asked.retain(|(key, _)| requests.contains_key(key));
    }

    /// Whether a message could be released for the request now.
    fn awaits(&self, request: &VerifiedRequest, now: Timestamp) -> bool {
        obstacle::decision(request, &self.capturer, |decision| self.spent.contains(decision), now).is_ok()
    }

    /// Holds every message against every request, and keeps in mind which requests share one.
    fn weigh(&mut self, awaiting: &[RequestKey]) {
        for kept in &mut self.messages {
            let mut claimants = Vec::new();
            for key in awaiting {
                let Some(request) = self.requests.get(key) else { continue };
                let fit = kept.fits.entry(key.clone()).or_insert_with(|| fit(&kept.message, request));
                if !matches!(fit, Fit::No) {
                    claimants.push(key.clone());
                }
            }
            if claimants.len() > 1 {
                kept.contested.extend(claimants);
            }
        }
    }

    fn choose(&self, key: &RequestKey) -> Choice {
        let mut chosen: Option<(usize, &Code)> = None;
        let (mut is_free, mut is_unclear, mut is_copy) = (true, false, false);
        for (index, kept) in self.messages.iter().enumerate() {
            match kept.fits.get(key) {
                Some(Fit::Code(code)) if self.is_copy(&kept.message, code, key) => is_copy = true,
                Some(Fit::Code(code)) => {
                    let (_, first) = *chosen.get_or_insert((index, code));
                    // The same code sent twice is one code.
                    if first.expose() != code.expose() {
                        return Choice::Doubt(Doubt::Codes);
                    }
                    is_free &= self.is_free_for(kept, key);
                }
                Some(Fit::Unclear) => is_unclear = true,
                Some(Fit::No) | None => {}
            }
        }
        match chosen {
            Some((index, _)) if is_free => Choice::Message(index),
            Some(_) => Choice::Doubt(Doubt::Requests),
            None if is_unclear => Choice::Doubt(Doubt::Codes),
            None if is_copy => Choice::Doubt(Doubt::Copy),
            None => Choice::Nothing,
        }
    }

    /// Whether the message is one that was answered with already, delivered once more. A service that sends the same
    /// code again, because it is asked again, sends another message after the new request was made.
    fn is_copy(&self, message: &Message, code: &Code, key: &RequestKey) -> bool {
        let came_before = self
            .requests
            .get(key)
            .is_none_or(|request| message.received_at < request.request.heading.made_at);
        self.released.iter().any(|released| {
            let is_same = message.id.is_some() && message.id == released.message;
            is_same || (came_before && released.code.expose() == code.expose())
        })
    }

    /// Whether no other request lays claim to the message. Only the user settles such a case, by denying the others:
    /// an agent that cancels or a deadline that passes must not hand the code to whoever is left.
    fn is_free_for(&self, kept: &Kept, key: &RequestKey) -> bool {
        kept.contested.iter().filter(|other| *other != key).all(|other| {
            self.requests.get(other).is_some_and(|request| request.end == Some(EventType::Denied))
        })
    }

    fn release(&mut self, key: &RequestKey, index: usize, now: Timestamp) -> Option<Release> {
        let request = self.requests.get(key)?.clone();
        let decision = request.approval().map(|(digest, _, _)| digest)?;
        let mut kept = self.messages.remove(index)?;
        let Some(Fit::Code(code)) = kept.fits.remove(key) else { return None };
        let code = Arc::new(code);
        self.released.push_back(Released { at: now, code: code.clone(), message: kept.message.id });
        self.spent.insert(decision);
        Some(Release { request, decision, code, evidence: kept.message.evidence() })
    }
}

/// What the messages say about one request.
enum Choice {
    Nothing,
    Message(usize),
    Doubt(Doubt),
}

/// Holds one message against one request: window, sender and content of the request's filter, and of the user's
/// narrowing, each on its own.
fn fit(message: &Message, request: &VerifiedRequest) -> Fit {
    let Some((_, decision, _)) = request.approval() else { return Fit::No };
    let opened_at = request.request.heading.made_at.before(CLOCK_SKEW_MAX);
    if message.received_at < opened_at || message.received_at >= decision.expires_at {
        return Fit::No;
    }
    let narrowing = match &decision.verdict {
        Verdict::Approve { narrowing, .. } => narrowing.as_ref(),
        Verdict::Deny {} => return Fit::No,
    };
    let filters: Vec<&Filter> = std::iter::once(&request.request.filter).chain(narrowing).collect();
    if !filters.iter().all(|filter| is_admitted(message, filter)) {
        return Fit::No;
    }
    let shape = filters.iter().rev().find_map(|filter| filter.shape.as_ref());
    let domain = request.request.filter.sender.domain();
    let found = match (request.request.filter.wanted, domain) {
        (Wanted::Code, domain) => extract::code(&message.text, shape, domain),
        (Wanted::Link, Some(domain)) => extract::link(&message.text, domain),
        // A link is only safe on the domain that was asked for.
        (Wanted::Link, None) => Extraction::None,
    };
    match found {
        Extraction::Code(code, _) => {
            let shapes = filters.iter().filter_map(|filter| filter.shape);
            if shapes.into_iter().all(|shape| shape.fits(code.expose())) { Fit::Code(code) } else { Fit::No }
        }
        Extraction::Ambiguous | Extraction::Conflicting => Fit::Unclear,
        Extraction::None => Fit::No,
    }
}

fn is_admitted(message: &Message, filter: &Filter) -> bool {
    let has_content = |pattern: &agent_otp_domain::ContentPattern| {
        pattern.is_in(message.text.subject()) || message.text.readings().any(|reading| pattern.is_in(reading))
    };
    filter.admits(message.channel, &message.sender) && filter.content.as_ref().is_none_or(has_content)
}
