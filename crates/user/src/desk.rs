//! Which message answers which request: pure, so that every case can be written down as a test.
//!
//! A message satisfies at most one request, and so do its copies. Where two requests or two codes fit equally, nothing
//! is released.

mod doubt;
mod fit;
mod index;
mod released;
mod shelf;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use agent_otp_domain::{CLOCK_SKEW_MAX, Channel, Code, Digest, EventType, KeyId, RequestKey, Timestamp};
use agent_otp_trust::{Evidence, VerifiedRequest};

use crate::intake::Rejected;
use crate::message::Message;
use crate::{extract, obstacle};

pub use doubt::{Doubt, Question};
use fit::Fit;
use index::Index;
use released::Released;
pub use shelf::{KEPT_BYTES_MAX, KEPT_FOR, KEPT_MAX};
use shelf::{Kept, Number, Shelf};

/// How many refused mails are kept in mind.
const REJECTED_MAX: usize = 64;
/// How often messages past their time are looked for while there is much to do.
const TIDIED_EVERY: Duration = Duration::from_secs(1);
/// How often requests past their time are: of those there may be many, and none of them is acted on meanwhile.
const SWEPT_EVERY: Duration = Duration::from_secs(10);

/// The requests and the recent messages, in memory only.
#[derive(Debug)]
pub struct Desk {
    capturer: KeyId,
    requests: BTreeMap<RequestKey, VerifiedRequest>,
    /// The requests that a message could be released for, each with the messages that lay claim to it.
    awaiting: BTreeMap<RequestKey, Vec<Number>>,
    awaiting_by_sender: Index,
    /// The requests that were answered, each with the code's digest: a newer code may come.
    answered: BTreeMap<RequestKey, Digest>,
    answered_by_sender: Index,
    messages: Shelf,
    /// The requests that a message could answer, now or once they are approved: what they may wait for goes last.
    open_by_sender: Index,
    /// The mails that were refused lately, for the user to be told of.
    rejected: VecDeque<Rejected>,
    /// Until when a message could answer a request, at the longest.
    open_until: Option<Timestamp>,
    /// What came since it was last worked out what fits what.
    new_requests: BTreeSet<RequestKey>,
    new_messages: Vec<Number>,
    new_rejected: Vec<Rejected>,
    /// The requests about which something has changed since it was last chosen for them.
    touched: BTreeSet<RequestKey>,
    /// The decisions that were acted on: none is acted on twice.
    spent: BTreeSet<Digest>,
    /// What was released lately, and when: a copy of such a message may come late.
    released: Released,
    tidied_at: Option<Timestamp>,
    swept_at: Option<Timestamp>,
    /// What the user was asked, so that it is asked once.
    asked: BTreeSet<(RequestKey, Doubt)>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Outcome {
    /// This code is for this request.
    Release(Box<Release>),
    /// The user has to decide, or to know.
    Ask(Question),
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
    /// What names the message that it stood in, if anything does.
    pub message: Option<Digest>,
}

impl Desk {
    /// An empty desk for the capturer with this key; `spent` are the decisions that it acted on before.
    #[must_use]
    pub fn new(capturer: KeyId, spent: BTreeSet<Digest>) -> Self {
        Self {
            capturer,
            requests: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            awaiting_by_sender: Index::default(),
            answered: BTreeMap::new(),
            answered_by_sender: Index::default(),
            messages: Shelf::default(),
            open_by_sender: Index::default(),
            rejected: VecDeque::new(),
            open_until: None,
            new_requests: BTreeSet::new(),
            new_messages: Vec::new(),
            new_rejected: Vec::new(),
            touched: BTreeSet::new(),
            spent,
            released: Released::default(),
            tidied_at: None,
            swept_at: None,
            asked: BTreeSet::new(),
        }
    }

    /// Takes a message.
    pub fn receive(&mut self, message: Message) {
        let number = self.messages.put(message, |sender| self.open_by_sender.names(sender));
        self.new_messages.push(number);
    }

    /// Until when a message could answer a request, approved or not, at the longest.
    #[must_use]
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Takes it that these messages were released before this desk was there: a source may bring them again.
    pub fn remember(&mut self, messages: impl IntoIterator<Item = Digest>, now: Timestamp) {
        self.released.remember(messages, now);
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
            if request.end == Some(EventType::Denied) {
                let contests = self.messages.all().map(|kept| &kept.contested);
                self.touched.extend(contests.filter(|keys| keys.contains(&request.key)).flatten().cloned());
            }
            self.touched.insert(request.key.clone());
            self.new_requests.insert(request.key.clone());
            let (expires_at, is_open) = (request.request.expires_at, is_open(&request));
            self.messages.others_are_named();
            if let Some(known) = self.requests.get(&request.key) {
                self.open_by_sender.remove(&known.request.filter.sender, &request.key);
            }
            if is_open {
                self.open_by_sender.insert(&request.request.filter.sender, &request.key);
            }
            self.requests.insert(request.key.clone(), request);
            if is_open {
                self.open_until = self.open_until.max(Some(expires_at));
            } else if self.open_until == Some(expires_at) {
                let open = self.requests.values().filter(|request| self::is_open(request));
                self.open_until = open.map(|request| request.request.expires_at).max();
            }
        }
    }

    /// What is known of a request.
    #[must_use]
    pub fn request(&self, key: &RequestKey) -> Option<&VerifiedRequest> {
        self.requests.get(key)
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

    /// How many messages had to go before their time, because too many came.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.messages.dropped()
    }

    /// Works out what is to be released, and what the user is to be asked.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Outcome> {
        if self.tidied_at.is_none_or(|tidied_at| now.since(tidied_at) >= TIDIED_EVERY) {
            self.forget(now);
        }
        let mut outcomes: Vec<Outcome> = self.weigh(now).into_iter().map(Outcome::Ask).collect();
        while let Some(key) = self.touched.pop_first() {
            if !self.awaits(&key, now) {
                self.await_no_more(&key);
                continue;
            }
            match self.choose(&key) {
                Choice::Nothing => {}
                Choice::Message(number) => outcomes.extend(
                    self.release(&key, number, now).map(|release| Outcome::Release(Box::new(release))),
                ),
                Choice::Doubt(doubt, choices) => {
                    outcomes.extend(self.ask(&key, doubt, choices).map(Outcome::Ask));
                }
            }
        }
        outcomes
    }

    /// Drops what is past use; [`Desk::settle`] does so too, once a second. A request stays as long as a message may,
    /// because its end may decide about one.
    pub fn forget(&mut self, now: Timestamp) {
        self.tidied_at = Some(now);
        self.messages.tidy(now);
        self.rejected.retain(|rejected| now.since(rejected.received_at) < KEPT_FOR);
        self.released.forget(now);
        if self.swept_at.is_none_or(|swept_at| now.since(swept_at) >= SWEPT_EVERY) {
            self.swept_at = Some(now);
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        let lapsed: Vec<RequestKey> =
            self.awaiting.keys().filter(|key| !self.awaits(key, now)).cloned().collect();
        for key in lapsed {
            self.await_no_more(&key);
        }
        let is_over =
            |key: &RequestKey| self.requests.get(key).is_none_or(|request| now >= request.request.expires_at);
        let over: Vec<RequestKey> = self.answered.keys().filter(|key| is_over(key)).cloned().collect();
        for key in over {
            self.answered.remove(&key);
            if let Some(request) = self.requests.get(&key) {
                self.answered_by_sender.remove(&request.request.filter.sender, &key);
            }
        }
        self.messages.others_are_named();
        for (key, request) in self.requests.iter().filter(|(key, _)| is_over(key)) {
            self.open_by_sender.remove(&request.request.filter.sender, key);
        }
        self.requests.retain(|_, request| now < request.request.expires_at.after(KEPT_FOR));
        let requests = &self.requests;
        self.asked.retain(|(key, _)| requests.contains_key(key));
    }

    /// Whether a message could be released for the request now.
    fn awaits(&self, key: &RequestKey, now: Timestamp) -> bool {
        let is_spent = |decision: &Digest| self.spent.contains(decision);
        self.requests
            .get(key)
            .is_some_and(|request| obstacle::decision(request, &self.capturer, is_spent, now).is_ok())
    }

    fn await_no_more(&mut self, key: &RequestKey) {
        if self.awaiting.remove(key).is_some()
            && let Some(request) = self.requests.get(key)
        {
            self.awaiting_by_sender.remove(&request.request.filter.sender, key);
        }
    }

    /// Holds new messages against the requests that name their sender, new requests against every message, and keeps in
    /// mind which requests share a message. Returns what the user has not been asked.
    fn weigh(&mut self, now: Timestamp) -> Vec<Question> {
        let mut questions = Vec::new();
        for key in std::mem::take(&mut self.new_requests) {
            if self.awaiting.contains_key(&key) || !self.awaits(&key, now) {
                continue;
            }
            let Some(request) = self.requests.get(&key) else { continue };
            self.awaiting_by_sender.insert(&request.request.filter.sender, &key);
            self.awaiting.insert(key.clone(), Vec::new());
            for rejected in self.rejected.clone() {
                questions.extend(self.doubt(&rejected, &key, now));
            }
            for number in self.messages.numbers() {
                questions.extend(self.hold(number, &key, now));
            }
        }
        for number in std::mem::take(&mut self.new_messages) {
            let Some(kept) = self.messages.get_mut(number) else { continue };
            kept.came_at = Some(now);
            let keys = self.awaiting_by_sender.of(&kept.message.sender);
            let answered = self.answered_by_sender.of(&kept.message.sender);
            for key in keys {
                questions.extend(self.hold(number, &key, now));
            }
            for key in answered {
                questions.extend(self.hold_again(number, &key));
            }
        }
        for rejected in std::mem::take(&mut self.new_rejected) {
            for key in self.awaiting_by_sender.of(&rejected.sender) {
                questions.extend(self.doubt(&rejected, &key, now));
            }
            self.rejected.truncate(REJECTED_MAX - 1);
            self.rejected.push_front(rejected);
        }
        questions
    }

    /// What the user is to be asked, unless it was asked before.
    fn ask(&mut self, key: &RequestKey, doubt: Doubt, choices: Vec<String>) -> Option<Question> {
        self.asked.insert((key.clone(), doubt)).then(|| Question { request: key.clone(), doubt, choices })
    }

    /// What a mail that was refused is to a request: a doubt, if it claims to be what the request waits for.
    fn doubt(&mut self, rejected: &Rejected, key: &RequestKey, now: Timestamp) -> Option<Question> {
        let request = self.requests.get(key)?;
        let opened_at = request.request.heading.made_at.before(CLOCK_SKEW_MAX);
        let is_awaited = rejected.received_at >= opened_at
            && request.request.filter.admits(Channel::Email, &rejected.sender)
            && self.awaits(key, now);
        if is_awaited { self.ask(key, Doubt::Sender(rejected.why), Vec::new()) } else { None }
    }

    /// Holds a message against a request that awaits one.
    fn hold(&mut self, number: Number, key: &RequestKey, now: Timestamp) -> Option<Question> {
        let (kept, request) = (self.messages.get(number)?, self.requests.get(key)?);
        if !self.awaits(key, now) {
            return None;
        }
        let fit = Fit::of(kept, request);
        match fit {
            Fit::No => return None,
            Fit::Late => return self.ask(key, Doubt::Late, Vec::new()),
            Fit::OtherPurpose(purpose) => return self.ask(key, Doubt::Purpose(purpose), Vec::new()),
            Fit::Unclear(_) | Fit::Code(_) => {}
        }
        // While another one awaits it, each that comes is contested: so at most one of those is not yet.
        let other = kept.fits.keys().find(|other| *other != key && self.awaits(other, now)).cloned();
        let kept = self.messages.get_mut(number)?;
        if let Some(other) = other {
            kept.contested.extend([other.clone(), key.clone()]);
            self.touched.insert(other);
        }
        kept.fits.insert(key.clone(), fit);
        self.touched.insert(key.clone());
        let claims = self.awaiting.get_mut(key)?;
        if !claims.contains(&number) {
            claims.push(number);
        }
        None
    }

    /// Holds a message against a request that was answered: another code than that is news to the user.
    fn hold_again(&mut self, number: Number, key: &RequestKey) -> Option<Question> {
        let (kept, request) = (self.messages.get(number)?, self.requests.get(key)?);
        let is_news = kept.fits.is_empty()
            && match Fit::of(kept, request) {
                Fit::Code(code) => self.answered.get(key).is_some_and(|answered| *answered != digest(&code)),
                Fit::No | Fit::Late | Fit::OtherPurpose(_) | Fit::Unclear(_) => false,
            };
        if is_news { self.ask(key, Doubt::Newer, Vec::new()) } else { None }
    }

    fn choose(&self, key: &RequestKey) -> Choice {
        let mut chosen: Option<(Number, &Code)> = None;
        let (mut is_free, mut is_copy) = (true, false);
        let mut unclear: Option<&Vec<String>> = None;
        let mut rivals: BTreeSet<&RequestKey> = BTreeSet::new();
        let asked_at = self.requests.get(key).map(|request| request.request.heading.made_at);
        let claims = self.awaiting.get(key).into_iter().flatten();
        for (number, kept) in claims.filter_map(|number| Some((*number, self.messages.get(*number)?))) {
            match kept.fits.get(key) {
                Some(Fit::Code(code)) if self.released.is_copy(&kept.message, code, asked_at) => {
                    is_copy = true;
                }
                Some(Fit::Code(code)) => {
                    let (_, first) = *chosen.get_or_insert((number, code));
                    // The same code sent twice is one code.
                    if first.expose() != code.expose() {
                        let choices = [first, code].map(|code| extract::masked(code.expose()));
                        return Choice::Doubt(Doubt::Codes, choices.into());
                    }
                    is_free &= self.is_free_for(kept, key);
                    rivals.extend(kept.contested.iter().filter(|other| *other != key).take(RIVALS_SHOWN));
                }
                Some(Fit::Unclear(choices)) => unclear = Some(choices),
                Some(Fit::No | Fit::Late | Fit::OtherPurpose(_)) | None => {}
            }
        }
        match (chosen, unclear) {
            (Some((number, _)), _) if is_free => Choice::Message(number),
            (Some(_), _) => {
                let agents: BTreeSet<String> = rivals.iter().map(|rival| rival.agent.to_string()).collect();
                Choice::Doubt(Doubt::Requests, agents.into_iter().take(RIVALS_SHOWN).collect())
            }
            (None, Some(choices)) => Choice::Doubt(Doubt::Codes, choices.clone()),
            (None, None) if is_copy => Choice::Doubt(Doubt::Copy, Vec::new()),
            (None, None) => Choice::Nothing,
        }
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
        let mut kept = self.messages.take(number)?;
        let Some(Fit::Code(code)) = kept.fits.remove(key) else { return None };
        let evidence = kept.message.evidence(kept.purpose(request.request.filter.wanted));
        self.released.note(&kept.message, &code, now);
        self.spent.insert(decision);
        self.await_no_more(key);
        self.answered_by_sender.insert(&request.request.filter.sender, key);
        self.answered.insert(key.clone(), digest(&code));
        // To whoever else waits for the same code, it is a copy from now on.
        let is_of_it = |fit: &Fit| matches!(fit, Fit::Code(other) if other.expose() == code.expose());
        let others = self.messages.all().flat_map(|kept| &kept.fits);
        self.touched.extend(others.filter(|(_, fit)| is_of_it(fit)).map(|(other, _)| other.clone()));
        Some(Release { request, decision, code, evidence, message: kept.message.id })
    }
}

/// How many other requests' agents are named to the user.
const RIVALS_SHOWN: usize = 5;

/// Whether a message could answer the request, now or once it is approved.
fn is_open(request: &VerifiedRequest) -> bool {
    request.end.is_none() && request.capture.is_none()
}

/// What a code is remembered by once it has left.
fn digest(code: &Code) -> Digest {
    Digest::of(&[code.expose().as_bytes()])
}

/// What the messages say about one request.
enum Choice {
    Nothing,
    Message(Number),
    Doubt(Doubt, Vec<String>),
}
