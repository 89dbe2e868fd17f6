//! Which message answers which request: pure, so that every case can be written down as a test.
//!
//! A message satisfies at most one request, and so do its copies. Where two requests or two codes fit equally, nothing
//! is released.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use agent_otp_domain::{
    CLOCK_SKEW_MAX, Channel, Code, Digest, EventType, Filter, KeyId, RequestKey, Timestamp, Wanted,
};
use agent_otp_trust::{Evidence, Verdict, VerifiedRequest};

use crate::extract::{self, Extraction};
use crate::intake::Rejected;
use crate::mail::authentication::NotAuthentic;
use crate::message::Message;
use crate::obstacle;

/// How long a message is kept for an approval that comes after it.
pub const KEPT_FOR: Duration = Duration::from_mins(10);
/// How many messages are kept; the oldest goes first.
pub const KEPT_MAX: usize = 256;
/// How many refused mails are kept in mind.
const REJECTED_MAX: usize = 64;
/// How often what is past use is looked for while there is much to do.
const TIDIED_EVERY: Duration = Duration::from_secs(1);

/// The number of a message, in the order in which they came.
type Number = u64;

/// The requests and the recent messages, in memory only.
#[derive(Debug)]
pub struct Desk {
    capturer: KeyId,
    requests: BTreeMap<RequestKey, VerifiedRequest>,
    /// The requests that a message could be released for, each with the messages that lay claim to it.
    awaiting: BTreeMap<RequestKey, Vec<Number>>,
    messages: BTreeMap<Number, Kept>,
    received: Number,
    /// The mails that were refused lately, for the user to be told of.
    rejected: VecDeque<Rejected>,
    /// What came since it was last worked out what fits what.
    new_requests: BTreeSet<RequestKey>,
    new_messages: Vec<Number>,
    new_rejected: Vec<Rejected>,
    /// The decisions that were acted on: none is acted on twice.
    spent: BTreeSet<Digest>,
    /// What was released lately, and when: a copy of such a message may come late.
    released: Released,
    tidied_at: Option<Timestamp>,
    /// What the user was asked, so that it is asked once.
    asked: BTreeSet<(RequestKey, Doubt)>,
}

#[derive(Debug)]
struct Kept {
    message: Message,
    /// What it is to each request that it lays claim to, worked out once.
    fits: BTreeMap<RequestKey, Fit>,
    /// The requests that it fitted at the same time as another.
    contested: BTreeSet<RequestKey>,
}

/// The digests of the codes that have left, in memory alone, and the messages that they stood in.
#[derive(Debug, Default)]
struct Released {
    codes: BTreeMap<Digest, Timestamp>,
    messages: BTreeMap<Digest, Timestamp>,
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
    /// A mail that claims to be from the sender asked for was refused.
    Sender(NotAuthentic),
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
            Self::Sender(why) => why.advice(),
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
    pub code: Code,
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
            awaiting: BTreeMap::new(),
            messages: BTreeMap::new(),
            received: 0,
            rejected: VecDeque::new(),
            new_requests: BTreeSet::new(),
            new_messages: Vec::new(),
            new_rejected: Vec::new(),
            spent,
            released: Released::default(),
            tidied_at: None,
            asked: BTreeSet::new(),
        }
    }

    /// Takes a message.
    pub fn receive(&mut self, message: Message) {
        if self.messages.len() >= KEPT_MAX {
            self.messages.pop_first();
        }
        self.received = self.received.saturating_add(1);
        let kept = Kept { message, fits: BTreeMap::new(), contested: BTreeSet::new() };
        self.messages.insert(self.received, kept);
        self.new_messages.push(self.received);
    }

    /// Takes it that a mail was refused: whoever waits for one from its sender is told.
    pub fn reject(&mut self, rejected: Rejected) {
        if self.new_rejected.len() < REJECTED_MAX {
            self.new_rejected.push(rejected);
        }
    }

    /// Takes what is known of a request. What is older than what is known already changes nothing, save a denial: it
    /// wins wherever it is learnt of.
    pub fn learn(&mut self, request: VerifiedRequest) {
        let is_news = self.requests.get(&request.key).is_none_or(|known| {
            known.end != Some(EventType::Denied)
                && (request.version > known.version || request.end == Some(EventType::Denied))
        });
        if is_news {
            self.new_requests.insert(request.key.clone());
            self.requests.insert(request.key.clone(), request);
        }
    }

    /// Whether this is another history than the one that was learnt of the same request.
    #[must_use]
    pub fn is_contradicted_by(&self, request: &VerifiedRequest) -> bool {
        self.requests.get(&request.key).is_some_and(|known| request.contradicts(known))
    }

    /// Takes it that these decisions were acted on elsewhere.
    pub fn spend(&mut self, decisions: impl IntoIterator<Item = Digest>) {
        self.spent.extend(decisions);
    }

    /// Works out what is to be released, and what the user is to be asked.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Outcome> {
        if self.tidied_at.is_none_or(|tidied_at| now.since(tidied_at) >= TIDIED_EVERY) {
            self.forget(now);
        }
        let mut awaiting = std::mem::take(&mut self.awaiting);
        awaiting.retain(|key, _| self.requests.get(key).is_some_and(|request| self.awaits(request, now)));
        self.awaiting = awaiting;
        let mut outcomes: Vec<Outcome> =
            self.weigh(now).into_iter().map(|(key, doubt)| Outcome::Ask(key, doubt)).collect();
        let keys: Vec<RequestKey> = self
            .awaiting
            .iter()
            .filter(|(_, claims)| !claims.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            match self.choose(&key) {
                Choice::Nothing => {}
                Choice::Message(number) => outcomes.extend(
                    self.release(&key, number, now).map(|release| Outcome::Release(Box::new(release))),
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

    /// Drops what is past use; [`Desk::settle`] does so too, once a second. A request stays as long as a message may,
    /// because its end may decide about one.
    pub fn forget(&mut self, now: Timestamp) {
        self.tidied_at = Some(now);
        self.messages.retain(|_, kept| now.since(kept.message.received_at) < KEPT_FOR);
        self.rejected.retain(|rejected| now.since(rejected.received_at) < KEPT_FOR);
        self.requests.retain(|_, request| now < request.request.expires_at.after(KEPT_FOR));
        self.released.codes.retain(|_, at| now.since(*at) < KEPT_FOR);
        self.released.messages.retain(|_, at| now.since(*at) < KEPT_FOR);
        let requests = &self.requests;
        self.asked.retain(|(key, _)| requests.contains_key(key));
    }

    /// Whether a message could be released for the request now.
    fn awaits(&self, request: &VerifiedRequest, now: Timestamp) -> bool {
        obstacle::decision(request, &self.capturer, |decision| self.spent.contains(decision), now).is_ok()
    }

    /// Holds new messages against every request, new requests against every message, and keeps in mind which requests
    /// share a message. Returns what the user has not been asked about mails that were refused.
    fn weigh(&mut self, now: Timestamp) -> Vec<(RequestKey, Doubt)> {
        let new_requests: Vec<RequestKey> = std::mem::take(&mut self.new_requests)
            .into_iter()
            .filter(|key| !self.awaiting.contains_key(key))
            .filter(|key| self.requests.get(key).is_some_and(|request| self.awaits(request, now)))
            .collect();
        for number in std::mem::take(&mut self.new_messages) {
            let keys: Vec<RequestKey> = self.awaiting.keys().cloned().collect();
            for key in keys {
                self.hold(number, &key);
            }
        }
        let mut doubts: Vec<(RequestKey, Doubt)> = Vec::new();
        for rejected in std::mem::take(&mut self.new_rejected) {
            doubts.extend(self.awaiting.keys().filter_map(|key| self.doubt(&rejected, key)));
            self.rejected.truncate(REJECTED_MAX - 1);
            self.rejected.push_front(rejected);
        }
        for key in new_requests {
            doubts.extend(self.rejected.iter().filter_map(|rejected| self.doubt(rejected, &key)));
            self.awaiting.insert(key.clone(), Vec::new());
            let numbers: Vec<Number> = self.messages.keys().copied().collect();
            for number in numbers {
                self.hold(number, &key);
            }
        }
        doubts.retain(|doubt| self.asked.insert(doubt.clone()));
        doubts
    }

    /// What a mail that was refused is to a request: a doubt, if it claims to be what the request waits for.
    fn doubt(&self, rejected: &Rejected, key: &RequestKey) -> Option<(RequestKey, Doubt)> {
        let request = self.requests.get(key)?;
        let opened_at = request.request.heading.made_at.before(CLOCK_SKEW_MAX);
        let is_awaited = rejected.received_at >= opened_at
            && request.request.filter.admits(Channel::Email, &rejected.sender);
        is_awaited.then(|| (key.clone(), Doubt::Sender(rejected.why)))
    }

    /// Holds a message against a request that awaits one.
    fn hold(&mut self, number: Number, key: &RequestKey) {
        let (Some(kept), Some(request)) = (self.messages.get_mut(&number), self.requests.get(key)) else {
            return;
        };
        let fit = match kept.fits.remove(key) {
            Some(fit) => fit,
            None => fit(&kept.message, request),
        };
        if let Fit::No = fit {
            return;
        }
        let others: Vec<RequestKey> =
            kept.fits.keys().filter(|other| self.awaiting.contains_key(other)).cloned().collect();
        if !others.is_empty() {
            kept.contested.extend(others);
            kept.contested.insert(key.clone());
        }
        kept.fits.insert(key.clone(), fit);
        if let Some(claims) = self.awaiting.get_mut(key)
            && !claims.contains(&number)
        {
            claims.push(number);
        }
    }

    fn choose(&self, key: &RequestKey) -> Choice {
        let mut chosen: Option<(Number, &Code)> = None;
        let (mut is_free, mut is_unclear, mut is_copy) = (true, false, false);
        let claims = self.awaiting.get(key).into_iter().flatten();
        for (number, kept) in claims.filter_map(|number| Some((*number, self.messages.get(number)?))) {
            match kept.fits.get(key) {
                Some(Fit::Code(code)) if self.is_copy(&kept.message, code, key) => is_copy = true,
                Some(Fit::Code(code)) => {
                    let (_, first) = *chosen.get_or_insert((number, code));
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
            Some((number, _)) if is_free => Choice::Message(number),
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
        let is_same = message.id.is_some_and(|id| self.released.messages.contains_key(&id));
        is_same || (came_before && self.released.codes.contains_key(&digest(code)))
    }

    /// Whether no other request lays claim to the message. Only the user settles such a case, by denying the others:
    /// an agent that cancels or a deadline that passes must not hand the code to whoever is left.
    fn is_free_for(&self, kept: &Kept, key: &RequestKey) -> bool {
        kept.contested.iter().filter(|other| *other != key).all(|other| {
            self.requests.get(other).is_some_and(|request| request.end == Some(EventType::Denied))
        })
    }

    fn release(&mut self, key: &RequestKey, number: Number, now: Timestamp) -> Option<Release> {
        let request = self.requests.get(key)?.clone();
        let decision = request.approval().map(|(digest, _, _)| digest)?;
        let mut kept = self.messages.remove(&number)?;
        let Some(Fit::Code(code)) = kept.fits.remove(key) else { return None };
        self.released.codes.insert(digest(&code), now);
        self.released.messages.extend(kept.message.id.map(|id| (id, now)));
        self.spent.insert(decision);
        self.awaiting.remove(key);
        Some(Release { request, decision, code, evidence: kept.message.evidence() })
    }
}

/// What a code is remembered by once it has left.
fn digest(code: &Code) -> Digest {
    Digest::of(&[code.expose().as_bytes()])
}

/// What the messages say about one request.
enum Choice {
    Nothing,
    Message(Number),
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
