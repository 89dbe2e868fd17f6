//! The capturer: decides for itself, from statements, what to capture; seals the one code, and sees it stored.

mod failure;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{Digest, MemberId, RequestKey, Timestamp};
use agent_otp_jetstream::message::RefusalCode;
use agent_otp_jetstream::{CallError, ConnectError, Login, Member, clock};
use agent_otp_keyring::{Home, KeyringError};
use agent_otp_trust::{RosterRef, Untrusted, VerifiedRequest};
use tokio::sync::{mpsc, watch as latest};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::desk::{Desk, Doubt, Outcome, Question, Release};
use crate::intake::Received;
use crate::notices::{Notice, Notices};
use crate::sealer::{CaptureError, Sealer};
use crate::spent::{Offer, SpendError};
use crate::watch::{self, Known, Update};
use crate::{extract, obstacle};

use self::failure::Failure;

/// How often what is past use is dropped, although nothing happens.
const TIDY_EVERY: Duration = Duration::from_secs(30);
/// How long an offer waits that the relay could not take.
const OFFER_AGAIN: Duration = Duration::from_millis(500);
/// How many requests may wait to be told to a person; whoever is flooded asks for the list.
const ASKED_WAITING_MAX: usize = 64;
/// How many updates may wait.
const UPDATES_WAITING_MAX: usize = 256;

/// Captures what the user approved.
#[derive(Debug)]
pub struct Capturer {
    sealer: Arc<Sealer>,
    desk: Desk,
    notices: Notices,
    /// The requests whose times this machine's clock does not agree with, until they lapse.
    mistimed: BTreeMap<RequestKey, Timestamp>,
    captures: JoinSet<Captured>,
    /// What nobody waits for.
    beside: JoinSet<()>,
    /// The decisions whose captures are on their way.
    capturing: BTreeSet<Digest>,
    /// Until when a request is open, for the sources.
    open_until: latest::Sender<Option<Timestamp>>,
    /// Whoever tells a person what is asked.
    asked: Option<mpsc::Sender<VerifiedRequest>>,
}

/// What came of a capture.
#[derive(Debug)]
struct Captured {
    key: RequestKey,
    decision: Digest,
    outcome: Result<(), Failure>,
}

/// Why a capturer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CapturerError {
    /// Its keys or records cannot be used.
    #[error("the capturer's files cannot be used")]
    Keyring(#[from] KeyringError),
    /// The broker is not there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl Capturer {
    /// Loads the capturer's key and records from its home, and connects.
    ///
    /// # Errors
    ///
    /// [`CapturerError`] says what is missing.
    pub async fn connect(
        login: &Login,
        home: Home,
        name: MemberId,
        notices: Notices,
    ) -> Result<Self, CapturerError> {
        let sealer = Sealer::connect(login, home, name).await?;
        let mut desk = Desk::new(sealer.key(), sealer.spent.decisions().into_iter().collect());
        desk.remember(sealer.spent.messages(), clock::now());
        Ok(Self {
            sealer: Arc::new(sealer),
            desk,
            notices,
            mistimed: BTreeMap::new(),
            captures: JoinSet::new(),
            beside: JoinSet::new(),
            capturing: BTreeSet::new(),
            open_until: latest::Sender::new(None),
            asked: None,
        })
    }

    /// Until when a request is open that a message could answer, at the longest: see [`crate::Intake::while_open`].
    #[must_use]
    pub fn open_until(&self) -> latest::Receiver<Option<Timestamp>> {
        self.open_until.subscribe()
    }

    /// The requests that wait for the user, each once, as they are learnt of; those that are not taken in time are left out.
    pub fn asked(&mut self) -> mpsc::Receiver<VerifiedRequest> {
        let (sender, asked) = mpsc::channel(ASKED_WAITING_MAX);
        self.asked = Some(sender);
        asked
    }

    /// Captures until `stop` is cancelled. Messages are kept in memory alone.
    pub async fn run(mut self, mut received: mpsc::Receiver<Received>, stop: CancellationToken) {
        let (sender, mut updates) = mpsc::channel(UPDATES_WAITING_MAX);
        let mut watching = JoinSet::new();
        watching.spawn(watch::watch(
            self.sealer.member.clone(),
            self.sealer.spent.standing().into_iter().collect(),
            sender,
        ));
        watching.spawn_blocking(extract::warm_up);
        let mut tidy = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tidy.tick() => {}
                received = received.recv() => match received {
                    Some(Received::Message(message)) => self.desk.receive(message),
                    Some(Received::Rejected(rejected)) => self.desk.reject(rejected),
                    None => break,
                },
                update = updates.recv() => match update {
                    Some(update) => {
                        let is_news = self.is_news(&update);
                        self.learn(update);
                        let until = self.desk.open_until();
                        self.open_until
                            .send_if_modified(|known| std::mem::replace(known, until) != until || is_news);
                    }
                    None => break,
                },
                Some(joined) = self.captures.join_next() => {
                    match joined {
                        Ok(captured) => self.captured(captured),
                        Err(error) => error!(%error, "a capture broke down"),
                    }
                    continue;
                }
            }
            while self.beside.try_join_next().is_some() {}
            self.settle();
        }
        watching.shutdown().await;
        self.captures.shutdown().await;
        self.beside.shutdown().await;
    }

    /// Whether a request was opened or approved: its message may be on its way.
    fn is_news(&self, update: &Update) -> bool {
        let Update::Requests(learnt) = update else { return false };
        learnt.iter().any(|Known { verified, .. }| {
            let known = self.desk.request(&verified.key).map(|known| known.version);
            verified.end.is_none() && verified.capture.is_none() && known < Some(verified.version)
        })
    }

    fn learn(&mut self, update: Update) {
        match update {
            Update::Requests(learnt) => learnt.into_iter().for_each(|known| self.learn_of(known)),
            Update::Wrong { request, error } => self.sealer.raise(request, &error),
            Update::Synced => {
                self.read_again();
                if let Err(error) = self.sealer.spent.forget(clock::now()) {
                    warn!(%error, "old records stay");
                }
                self.sealer.remember_roster();
                for (decision, offer) in self.sealer.spent.offers() {
                    self.offer(decision, offer);
                }
            }
        }
    }

    fn learn_of(&mut self, Known { verified, stored }: Known) {
        if self.desk.is_contradicted_by(&verified) {
            self.sealer.raise(Some(verified.key.request), &Untrusted::Contradicted);
        }
        if verified.end.is_none() && self.is_mistimed(&verified, stored) {
            return;
        }
        if let (Some(_), Some((decision, _, _))) = (verified.end, verified.approval()) {
            let sealer = self.sealer.clone();
            self.beside.spawn_blocking(move || sealer.end(&decision));
        }
        self.announce(&verified);
        self.desk.learn(verified);
    }

    fn announce(&self, request: &VerifiedRequest) {
        let is_known = self.desk.request(&request.key).is_some();
        if is_known || request.approval.is_some() || request.end.is_some() {
            return;
        }
        if let Some(asked) = &self.asked {
            asked.try_send(request.clone()).ok();
        }
    }

    /// Learns of what another program of this home has captured: the user may have pasted a code.
    fn read_again(&mut self) {
        if let Err(error) = self.sealer.spent.read_again() {
            warn!(%error, "records of others are not read");
        }
        self.desk.spend(self.sealer.spent.decisions());
    }

    /// Whether the request's window would be wrong: then it is refused for good.
    fn is_mistimed(&mut self, verified: &VerifiedRequest, stored: obstacle::Stored) -> bool {
        let now = clock::now();
        self.mistimed.retain(|_, expires_at| now < *expires_at);
        if self.mistimed.contains_key(&verified.key) {
            return true;
        }
        let skew = obstacle::skew(verified, stored, now);
        if let Some(skew) = &skew {
            self.mistimed.insert(verified.key.clone(), verified.request.expires_at);
            self.tell_text(&verified.key, &format!("nothing is captured for this request: {skew}"));
        }
        skew.is_some()
    }

    fn settle(&mut self) {
        let now = clock::now();
        // Without a roster to sign under, messages wait: what the desk releases, it releases once.
        let roster = match self.sealer.member.verifier.standing(now) {
            Ok(roster) => roster,
            Err(error) => {
                self.desk.forget(now);
                return debug!(%error, "messages wait for the roster");
            }
        };
        for outcome in self.desk.settle(now) {
            match outcome {
                Outcome::Release(release) => self.capture(*release, roster),
                Outcome::Ask(question) => {
                    if question.doubt == Doubt::Newer {
                        self.tell_agent(&question.request, roster);
                    }
                    self.tell(&question);
                }
            }
        }
    }

    /// Seals, writes down, and only then sends; beside other captures, because a disk takes its time.
    fn capture(&mut self, release: Release, roster: RosterRef) {
        let (key, decision) = (release.request.key.clone(), release.decision);
        self.capturing.insert(decision);
        let (sealer, member) = (self.sealer.clone(), self.sealer.member.clone());
        self.captures.spawn(async move {
            let outcome = match spawn_blocking(move || sealer.seal(release, roster)).await {
                Ok(Ok(offer)) => hand_in(&member, decision, offer).await.map_err(Failure::Refused),
                Ok(Err(error)) => Err(Failure::Unsealed(error)),
                Err(error) => {
                    error!(%decision, %error, "a capture broke down");
                    Err(Failure::BrokeDown)
                }
            };
            Captured { key, decision, outcome }
        });
    }

    /// Hands in what was sealed before.
    fn offer(&mut self, decision: Digest, offer: Offer) {
        let Some(key) = self.sealer.spent.key(&decision) else { return };
        if self.capturing.insert(decision) {
            let member = self.sealer.member.clone();
            self.captures.spawn(async move {
                let outcome = hand_in(&member, decision, offer).await.map_err(Failure::Refused);
                Captured { key, decision, outcome }
            });
        }
    }

    /// Tells the agent that another code came after its own. It may be gone long since, so nobody waits for it.
    fn tell_agent(&mut self, key: &RequestKey, roster: RosterRef) {
        let Some(request) = self.desk.request(key) else { return };
        let notice = self.sealer.newer(request, roster);
        let (member, key) = (self.sealer.member.clone(), key.clone());
        self.beside.spawn(async move {
            if let Err(error) = member.bus.tell(&key, &notice).await {
                debug!(request = %key, %error, "the agent is not told");
            }
        });
    }

    /// What is shown to choose from is for the user's eyes, and not for a log.
    fn tell(&mut self, question: &Question) {
        warn!(request = %question.request, doubt = ?question.doubt, "the user is asked");
        let notice = Notice::new(question.advice(), clock::now());
        let matters_still = question.doubt == Doubt::Newer;
        self.keep(&question.request, if matters_still { notice.outlasting() } else { notice });
    }

    fn tell_text(&mut self, key: &RequestKey, text: &str) {
        warn!(request = %key, notice = text, "the user is told");
        self.keep(key, Notice::new(text, clock::now()));
    }

    fn keep(&mut self, key: &RequestKey, notice: Notice) {
        self.notices.tell(key.request, notice, clock::now());
    }

    fn captured(&mut self, Captured { key, decision, outcome }: Captured) {
        self.capturing.remove(&decision);
        match outcome {
            Ok(()) => {}
            // Another program of this home was first: the user has pasted a code, or this one has just begun anew. What
            // it wrote down may be offered by both.
            Err(Failure::Unsealed(CaptureError::Spend(SpendError::Twice))) => {
                info!(request = %key, "captured elsewhere");
                match self.sealer.spent.offer(&decision) {
                    Ok(Some(offer)) => self.offer(decision, offer),
                    Ok(None) => {}
                    Err(error) => warn!(%decision, %error, "what was captured elsewhere is not read"),
                }
            }
            // What was written down after the watch had brought the end is offered in vain.
            Err(Failure::Refused(CallError::Refused {
                code: RefusalCode::OutOfTurn | RefusalCode::Expired,
                ..
            })) => {
                info!(%decision, "the request had ended");
                let sealer = self.sealer.clone();
                self.beside.spawn_blocking(move || sealer.end(&decision));
            }
            // The decision stays spent: what could not be sealed or handed in once is not tried with another message.
            Err(failure) => {
                error!(request = %key, %decision, ?failure, "not captured");
                self.tell_text(&key, &failure.advice(key.request));
            }
        }
    }
}

/// Sends a capture until the relay has answered. It may be sent any number of times: the relay takes it once, and takes
/// back what it has lost.
async fn hand_in(member: &Member, decision: Digest, offer: Offer) -> Result<(), CallError> {
    let ask = offer.ask();
    loop {
        match member.bus.call(&ask).await {
            Err(error) if error.is_transient() => {
                warn!(%decision, %error, "the relay cannot take the sealed code; it is offered again");
            }
            outcome => return outcome.map(drop),
        }
        tokio::time::sleep(OFFER_AGAIN).await;
    }
}
