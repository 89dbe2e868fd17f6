//! A member's own check of everything that the relay serves, with the rosters that it takes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_otp_domain::{KeyId, Recorded, RequestKey, SignedStatement, Timestamp};
use agent_otp_trust::{
    Book, Capture, Newer, Roster, RosterError, RosterRef, Seen, Statement as _, Untrusted, VerifiedRequest,
};
use tokio::time::Instant;
use tracing::debug;

use crate::bus::{Bus, CallError};

/// For how long a roster that was fetched as the latest is gone by without asking again. A later one comes by itself as
/// soon as it is stored, unless somebody keeps it back.
const RECENT: Duration = Duration::from_secs(30);

/// Verifies against the pinned owner key, and fetches the rosters that statements name.
#[derive(Debug)]
pub struct Verifier {
    bus: Bus,
    book: Mutex<Book>,
    /// When the latest roster was asked for.
    fetched_at: Mutex<Option<Instant>>,
}

/// Why something is not known, or not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The relay did not answer, or refused.
    #[error("the relay could not be asked")]
    Call(#[from] CallError),
    /// A roster is not believed, or is stale.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// A statement is not believed.
    #[error("what the relay serves is not believed")]
    Untrusted(#[from] Untrusted),
}

/// Why a live event says nothing.
#[derive(Debug)]
pub enum Unfollowed {
    /// Events or rosters may be missing in between.
    Missed,
    /// It is not believed, whatever is missing. That is an alarm.
    Lie(VerifyError),
}

impl VerifyError {
    /// Whether it is an alarm: somebody lies, or uses a key that is not its own. What passes by itself is none, nor is a
    /// clock that is off, nor a roster that nobody renewed.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        match self {
            Self::Call(error) => matches!(error, CallError::Unreadable(_)),
            Self::Roster(RosterError::Missing | RosterError::Stale { .. } | RosterError::Ahead(_)) => false,
            Self::Roster(
                RosterError::Untrusted(_)
                | RosterError::OtherOwner { .. }
                | RosterError::Backwards { .. }
                | RosterError::Forked { .. },
            )
            | Self::Untrusted(_) => true,
        }
    }
}

impl Verifier {
    /// A verifier that pins `pin`, and has seen `seen` before.
    #[must_use]
    pub fn new(bus: Bus, pin: KeyId, seen: Option<Seen>) -> Self {
        Self { bus, book: Mutex::new(Book::new(pin, seen)), fetched_at: Mutex::new(None) }
    }

    /// The highest roster seen: what is to be kept at rest.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        self.book(|book| book.seen())
    }

    /// Fetches the latest roster, and checks that it may be relied on.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Roster`] if it went backwards, is stale, or is dated in the future.
    pub async fn current(&self, now: Timestamp) -> Result<(RosterRef, Roster), VerifyError> {
        let asked_at = Instant::now();
        let latest = self.bus.roster(None).await?;
        let checked = self.book(|book| {
            book.admit_latest(&latest)?;
            book.current(now).map(|(reference, roster)| (reference, roster.clone()))
        })?;
        *self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked_at);
        Ok(checked)
    }

    /// Takes a roster that is said to be the latest; what is not believed changes nothing, and is asked for again in time.
    pub(crate) fn learn(&self, latest: &SignedStatement) {
        if let Err(error) = self.book(|book| book.admit_latest(latest)) {
            debug!(%error, "a roster that nobody asked for");
        }
    }

    /// The latest roster, if it was fetched within the last half minute and may still be relied on; asks nobody.
    #[must_use]
    pub fn recent(&self, now: Timestamp) -> Option<(RosterRef, Roster)> {
        let fetched_at = *self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched_at.is_none_or(|fetched_at| fetched_at.elapsed() >= RECENT) {
            return None;
        }
        self.book(|book| book.current(now).map(|(reference, roster)| (reference, roster.clone()))).ok()
    }

    /// The latest roster that was fetched, if it may be relied on; asks nobody.
    ///
    /// # Errors
    ///
    /// [`RosterError::Missing`], [`RosterError::Stale`] or [`RosterError::Ahead`].
    pub fn standing(&self, now: Timestamp) -> Result<RosterRef, RosterError> {
        self.book(|book| book.current(now).map(|(reference, _)| reference))
    }

    /// Fetches a request's events and verifies them; none if the relay knows no such request.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Untrusted`] if the events are not what their statements say.
    pub async fn request(&self, key: &RequestKey) -> Result<Option<VerifiedRequest>, VerifyError> {
        Ok(self.request_dated(key).await?.map(|(verified, _)| verified))
    }

    /// The same, and when the request was stored, as [`Bus::get_dated`] works it out.
    ///
    /// # Errors
    ///
    /// As [`Verifier::request`].
    pub async fn request_dated(
        &self,
        key: &RequestKey,
    ) -> Result<Option<(VerifiedRequest, Option<Timestamp>)>, VerifyError> {
        let (events, stored_at) = self.bus.get_dated(key).await?;
        if events.is_empty() { Ok(None) } else { Ok(Some((self.verify(&events).await?, stored_at))) }
    }

    /// What a live event makes of what is known of its request; asks nobody.
    ///
    /// # Errors
    ///
    /// [`Unfollowed`] where it does not follow: [`Verifier::request`] tells what there is.
    pub fn follow(
        &self,
        known: Option<VerifiedRequest>,
        recorded: &Recorded,
    ) -> Result<VerifiedRequest, Unfollowed> {
        if let Some(known) = known.as_ref().filter(|known| recorded.version.0 <= known.version) {
            return Ok(known.clone());
        }
        let next = self.book(|book| {
            let verified = match known {
                Some(known) => known.then(recorded, book)?,
                None => VerifiedRequest::verify(std::slice::from_ref(recorded), book)?,
            };
            verified.signers_stand(book)?;
            Ok::<_, Untrusted>(verified)
        });
        next.map_err(|cause| {
            debug!(request = %recorded.key(), %cause, "the relay is asked");
            // What may be only that something is lacking in between.
            let is_lack = matches!(
                cause,
                Untrusted::History { .. } | Untrusted::RosterUnknown { .. } | Untrusted::UnknownKey { .. }
            );
            if is_lack { Unfollowed::Missed } else { Unfollowed::Lie(cause.into()) }
        })
    }

    /// Checks once more, before something is done, that everyone whose word the request rests on still belongs to the
    /// owner: a roster may have come since it was verified.
    ///
    /// # Errors
    ///
    /// [`Untrusted::Revoked`] or [`Untrusted::NotAMember`].
    pub fn stands(&self, request: &VerifiedRequest) -> Result<(), Untrusted> {
        self.book(|book| request.signers_stand(book))
    }

    /// Verifies a request's events, and that those who signed them still belong to the owner.
    ///
    /// # Errors
    ///
    /// As [`Verifier::request`].
    pub async fn verify(&self, events: &[Recorded]) -> Result<VerifiedRequest, VerifyError> {
        self.fetching(|book| {
            let verified = VerifiedRequest::verify(events, book)?;
            verified.signers_stand(book)?;
            Ok(verified)
        })
        .await
    }

    /// Verifies that whoever sealed the code of this capture says that another one came after it. A roster is fetched for
    /// that one's word alone.
    ///
    /// # Errors
    ///
    /// As [`Verifier::request`].
    pub async fn newer(&self, notice: &SignedStatement, capture: &Capture) -> Result<(), VerifyError> {
        let verified = |book: &mut Book| Newer::verify_live(notice, book)?.binds(capture);
        if notice.key == capture.heading.signer {
            self.fetching(verified).await
        } else {
            Ok(self.book(verified)?)
        }
    }

    /// What comes of work with the book. A roster that it lacks is fetched, once each.
    async fn fetching<T>(&self, work: impl Fn(&mut Book) -> Result<T, Untrusted>) -> Result<T, VerifyError> {
        let mut asked = None;
        loop {
            let verified = self.book(&work);
            // Which roster; `None` is the latest.
            let lacking = match &verified {
                Err(Untrusted::RosterUnknown { number }) => Some(Some(*number)),
                Err(Untrusted::UnknownKey { .. }) => Some(None),
                Ok(_) | Err(_) => None,
            };
            match lacking {
                Some(number) if asked != lacking => {
                    asked = lacking;
                    debug!(?number, "fetching a roster");
                    let roster = self.bus.roster(number).await?;
                    self.book(|book| match number {
                        Some(_) => book.admit(&roster),
                        None => book.admit_latest(&roster),
                    })?;
                }
                Some(_) | None => return Ok(verified?),
            }
        }
    }

    fn book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
