//! The capturer: decides for itself, from statements, what to capture; seals the one code, and sees it stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{CLOCK_SKEW_MAX, Digest, MemberId, RequestKey, Role, Timestamp, Ttl};
use agent_otp_jetstream::message::{Ask, RefusalCode};
use agent_otp_jetstream::{CallError, ConnectError, Login, Member, clock};
use agent_otp_keyring::{Home, KeyringError};
use agent_otp_seal::{Context, RecipientError, RecipientKey, SealError};
use agent_otp_trust::{Capture, IdentityKey, RosterRef, VerifiedRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::desk::{Desk, Doubt, Outcome, Release};
use crate::extract;
use crate::message::Message;
use crate::notices::{Notice, Notices};
use crate::spent::{Offer, Record, Spent};
use crate::watch::{self, Update};

/// How often what is past use is dropped, although nothing happens.
const TIDY_EVERY: Duration = Duration::from_secs(30);
/// How many updates may wait.
const UPDATES_WAITING_MAX: usize = 256;

/// Captures what the user approved.
#[derive(Debug)]
pub struct Capturer {
    member: Arc<Member>,
    identity: IdentityKey,
    home: Home,
    desk: Desk,
    spent: Spent,
    notices: Notices,
    /// The requests whose times this machine's clock does not agree with, until they lapse.
    mistimed: BTreeMap<RequestKey, Timestamp>,
    offers: JoinSet<(Digest, Result<(), CallError>)>,
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

/// Why a code was not sealed.
#[derive(Debug, thiserror::Error)]
enum CaptureError {
    #[error("the agent's public key cannot be used")]
    Recipient(#[from] RecipientError),
    #[error("the code cannot be sealed")]
    Seal(#[from] SealError),
    #[error("the record cannot be written")]
    Record(#[from] KeyringError),
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
        let (identity, pin) = (home.identity()?, home.pin()?);
        let spent = Spent::open(home.dir().join("spent"))?;
        let member = Member::connect(login, Role::Capturer, name, pin.owner_key, pin.roster).await?;
        let desk = Desk::new(identity.id(), spent.decisions().collect());
        Ok(Self {
            member: Arc::new(member),
            identity,
            home,
            desk,
            spent,
            notices,
            mistimed: BTreeMap::new(),
            offers: JoinSet::new(),
        })
    }

    /// Captures until `stop` is cancelled. Messages are kept in memory alone.
    pub async fn run(mut self, mut messages: mpsc::Receiver<Message>, stop: CancellationToken) {
        let (sender, mut updates) = mpsc::channel(UPDATES_WAITING_MAX);
        let mut watching = JoinSet::new();
        watching.spawn(watch::watch(self.member.clone(), self.spent.standing().collect(), sender));
        watching.spawn_blocking(extract::warm_up);
        let mut tidy = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = tidy.tick() => {}
                message = messages.recv() => match message {
                    Some(message) => self.desk.receive(message),
                    None => break,
                },
                update = updates.recv() => match update {
                    Some(update) => self.learn(update),
                    None => break,
                },
                Some(joined) = self.offers.join_next() => {
                    if let Ok((decision, outcome)) = joined {
                        offered(decision, outcome);
                    }
                    continue;
                }
            }
            self.settle();
        }
        watching.shutdown().await;
        self.offers.shutdown().await;
    }

    fn learn(&mut self, update: Update) {
        match update {
            Update::Request { verified, is_new } => {
                if verified.end.is_none() && self.is_mistimed(&verified, is_new) {
                    return;
                }
                if verified.end.is_some()
                    && let Err(error) = self.spent.end(&verified.key)
                {
                    warn!(request = %verified.key, %error, "the record stays as it is");
                }
                self.desk.learn(*verified);
            }
            Update::Synced => {
                if let Err(error) = self.spent.forget(clock::now()) {
                    warn!(%error, "old records stay");
                }
                if let Some(Err(error)) = self.member.verifier.seen().map(|seen| self.home.remember(seen)) {
                    warn!(%error, "the roster is not remembered");
                }
                let offers: Vec<(Digest, Offer)> =
                    self.spent.offers().map(|(decision, offer)| (decision, offer.clone())).collect();
                for (decision, offer) in offers {
                    self.offer(decision, offer);
                }
            }
        }
    }

    /// Whether the request's time cannot be right: its clock is off, or the relay hands out an old request as a new
    /// one. Its window would be wrong, so it is refused for good.
    fn is_mistimed(&mut self, verified: &VerifiedRequest, is_new: bool) -> bool {
        let now = clock::now();
        self.mistimed.retain(|_, expires_at| now < *expires_at);
        if self.mistimed.contains_key(&verified.key) {
            return true;
        }
        let made_at = verified.request.heading.made_at;
        let is_off = made_at > now.after(CLOCK_SKEW_MAX) || (is_new && made_at < now.before(CLOCK_SKEW_MAX));
        if is_off {
            self.mistimed.insert(verified.key.clone(), verified.request.expires_at);
            self.tell(&verified.key, Doubt::Clock);
        }
        is_off
    }

    fn settle(&mut self) {
        let now = clock::now();
        self.desk.forget(now);
        // Without a roster to sign under, messages wait: what the desk releases, it releases once.
        let roster = match self.member.verifier.standing(now) {
            Ok(roster) => roster,
            Err(error) => return debug!(%error, "messages wait for the roster"),
        };
        for outcome in self.desk.settle(now) {
            match outcome {
                Outcome::Release(release) => {
                    let key = release.request.key.clone();
                    if let Err(error) = self.capture(*release, roster) {
                        // The decision stays spent: what could not be sealed once is not tried with another message.
                        error!(request = %key, error = %chain(&error), "not captured");
                        self.tell_text(&key, &format!("a message came, but {}", chain(&error)));
                    }
                }
                Outcome::Ask(key, doubt) => self.tell(&key, doubt),
            }
        }
    }

    /// Seals, writes down, and only then sends.
    fn capture(&mut self, release: Release, roster: RosterRef) -> Result<(), CaptureError> {
        let Release { request, decision, code, evidence } = release;
        let recipient =
            RecipientKey::new(request.request.recipient.suite, &request.request.recipient.public_key)?;
        let context = Context { request: request.digest, decision, capturer: self.identity.id() };
        let sealed = agent_otp_seal::seal(&code, request.request.filter.wanted, &recipient, &context)?;
        drop(code);
        let capture = Capture {
            heading: self.member.heading(&request.key, self.identity.id(), roster),
            request: request.digest,
            decision,
            sealed: Digest::of(&[sealed.as_bytes()]),
            evidence,
        };
        let offer = Offer::new(self.identity.sign(&capture), sealed);
        let expires_at = expiry(&request);
        self.spent.write(Record::new(decision, &request.key, expires_at, offer.clone()))?;
        info!(request = %request.key, "captured");
        self.offer(decision, offer);
        Ok(())
    }

    /// Sends a capture. It may be sent any number of times: the relay takes it once, and takes back what it has lost.
    fn offer(&mut self, decision: Digest, offer: Offer) {
        let member = self.member.clone();
        let ask = Ask::Capture { statement: offer.statement, sealed: offer.sealed };
        self.offers.spawn(async move { (decision, member.bus.call(&ask).await.map(drop)) });
    }

    fn tell(&mut self, key: &RequestKey, doubt: Doubt) {
        self.tell_text(key, doubt.advice());
    }

    fn tell_text(&mut self, key: &RequestKey, text: &str) {
        warn!(request = %key, notice = text, "the user is told");
        let now = clock::now();
        let notice = Notice { text: text.to_owned(), until: now.after(Ttl::MAX) };
        self.notices.tell(key.request, notice, now);
    }
}

/// What came of an offer; nothing has to be done, because the watch brings every end and every connect.
fn offered(decision: Digest, outcome: Result<(), CallError>) {
    match outcome {
        Ok(()) => {}
        // Offered again after the next connect, or half a minute later.
        Err(CallError::Unreachable(_) | CallError::Refused { code: RefusalCode::Unavailable, .. }) => {
            warn!(%decision, "the relay cannot take the sealed code; it is offered again");
        }
        // Ended meanwhile: the watch brings the end, which erases the record's sealed code.
        Err(CallError::Refused { code: RefusalCode::OutOfTurn | RefusalCode::Expired, .. }) => {
            info!(%decision, "the request had ended");
        }
        Err(error @ (CallError::Refused { .. } | CallError::Unreadable(_))) => {
            error!(%decision, %error, "the relay refuses the sealed code");
        }
    }
}

/// Until when the decision could be acted on.
fn expiry(request: &VerifiedRequest) -> Timestamp {
    request.approval().map_or(request.request.expires_at, |(_, decision, _)| decision.expires_at)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
