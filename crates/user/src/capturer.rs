//! The capturer: decides for itself, from statements, what to capture; seals the one code, and sees it stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_otp_domain::{Digest, MemberId, RequestKey, Timestamp, Ttl};
use agent_otp_jetstream::message::RefusalCode;
use agent_otp_jetstream::{CallError, ConnectError, Login, clock};
use agent_otp_keyring::{Home, KeyringError};
use agent_otp_trust::{RosterRef, VerifiedRequest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::desk::{Desk, Doubt, Outcome, Release};
use crate::message::Message;
use crate::notices::{Notice, Notices};
use crate::sealer::{CaptureError, Sealer};
use crate::spent::{Offer, SpendError};
use crate::watch::{self, Update};
use crate::{extract, obstacle};

/// How often what is past use is dropped, although nothing happens.
const TIDY_EVERY: Duration = Duration::from_secs(30);
/// How long an offer waits that the relay could not take.
const OFFER_AGAIN: Duration = Duration::from_millis(500);
/// How many updates may wait.
const UPDATES_WAITING_MAX: usize = 256;

/// Captures what the user approved.
#[derive(Debug)]
pub struct Capturer {
    sealer: Sealer,
    desk: Desk,
    notices: Notices,
    /// The requests whose times this machine's clock does not agree with, until they lapse.
    mistimed: BTreeMap<RequestKey, Timestamp>,
    offers: JoinSet<(Digest, Result<(), CallError>)>,
    /// The decisions whose captures are on their way.
    offering: BTreeSet<Digest>,
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
        let desk = Desk::new(sealer.key(), sealer.spent.decisions().collect());
        Ok(Self {
            sealer,
            desk,
            notices,
            mistimed: BTreeMap::new(),
            offers: JoinSet::new(),
            offering: BTreeSet::new(),
        })
    }

    /// Captures until `stop` is cancelled. Messages are kept in memory alone.
    pub async fn run(mut self, mut messages: mpsc::Receiver<Message>, stop: CancellationToken) {
        let (sender, mut updates) = mpsc::channel(UPDATES_WAITING_MAX);
        let mut watching = JoinSet::new();
        watching.spawn(watch::watch(
            self.sealer.member.clone(),
            self.sealer.spent.standing().collect(),
            sender,
        ));
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
                        self.offering.remove(&decision);
                        self.offered(decision, outcome);
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
            Update::Request { verified, stored_at } => {
                if verified.end.is_none() && self.is_mistimed(&verified, stored_at) {
                    return;
                }
                if verified.end.is_some() {
                    self.read_again();
                    self.sealer.end(&verified.key);
                }
                self.desk.learn(*verified);
            }
            Update::Synced => {
                self.read_again();
                if let Err(error) = self.sealer.spent.forget(clock::now()) {
                    warn!(%error, "old records stay");
                }
                self.sealer.remember_roster();
                let offers = self.sealer.spent.offers();
                let offers: Vec<(Digest, Offer)> =
                    offers.map(|(decision, offer)| (decision, offer.clone())).collect();
                for (decision, offer) in offers {
                    self.offer(decision, offer);
                }
            }
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
    fn is_mistimed(&mut self, verified: &VerifiedRequest, stored_at: Option<Timestamp>) -> bool {
        let now = clock::now();
        self.mistimed.retain(|_, expires_at| now < *expires_at);
        if self.mistimed.contains_key(&verified.key) {
            return true;
        }
        let skew = obstacle::skew(verified, stored_at, now);
        if let Some(skew) = &skew {
            self.mistimed.insert(verified.key.clone(), verified.request.expires_at);
            self.tell_text(&verified.key, &format!("nothing is captured for this request: {skew}"));
        }
        skew.is_some()
    }

    fn settle(&mut self) {
        let now = clock::now();
        self.desk.forget(now);
        // Without a roster to sign under, messages wait: what the desk releases, it releases once.
        let roster = match self.sealer.member.verifier.standing(now) {
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
        let (key, decision) = (release.request.key.clone(), release.decision);
        match self.sealer.seal(release, roster) {
            Ok(offer) => self.offer(decision, offer),
            // Another program of this home was first: the user has pasted a code.
            Err(CaptureError::Spend(SpendError::Twice)) => info!(request = %key, "captured elsewhere"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends a capture until the relay has answered. It may be sent any number of times: the relay takes it once, and
    /// takes back what it has lost.
    fn offer(&mut self, decision: Digest, offer: Offer) {
        if !self.offering.insert(decision) {
            return;
        }
        let (member, ask) = (self.sealer.member.clone(), offer.ask());
        self.offers.spawn(async move {
            loop {
                match member.bus.call(&ask).await {
                    Err(error) if error.is_transient() => {
                        warn!(%decision, %error, "the relay cannot take the sealed code; it is offered again");
                    }
                    outcome => return (decision, outcome.map(drop)),
                }
                tokio::time::sleep(OFFER_AGAIN).await;
            }
        });
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

    /// What came of an offer.
    fn offered(&mut self, decision: Digest, outcome: Result<(), CallError>) {
        match outcome {
            Ok(()) => {}
            // What was written down by another program after the watch had brought the end is offered in vain.
            Err(CallError::Refused { code: RefusalCode::OutOfTurn | RefusalCode::Expired, .. }) => {
                info!(%decision, "the request had ended");
                if let Some(key) = self.sealer.spent.request(&decision) {
                    self.sealer.end(&key);
                }
            }
            Err(error) => {
                error!(%decision, %error, "the relay refuses the sealed code");
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
