//! Verifies what comes in, so that the append-only log holds no garbage. Nobody relies on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_otp_domain::{Actor, KeyId, OwnerId, SignedStatement};
use agent_otp_jetstream::Rosters;
use agent_otp_jetstream::message::RefusalCode;
use agent_otp_trust::{Book, Statement, Untrusted};
use tokio::time::Instant;

use crate::refusal::Refusal;

/// The owners' rosters, read as they are needed.
#[derive(Debug)]
pub(crate) struct Admission {
    rosters: Rosters,
    /// Verified rosters never change, so a cache of them is never wrong; which is the latest is asked for again when
    /// [`LATEST_FOR`] has passed.
    books: Mutex<BTreeMap<OwnerId, Known>>,
}

/// For how long a roster is taken for the latest: so long may one that another relay took be unknown here. The owner's
/// members each make up their own minds, and NATS cuts a revoked member off by itself.
const LATEST_FOR: Duration = Duration::from_secs(1);

/// An owner's rosters, and when the latest was asked for.
#[derive(Debug, Clone)]
struct Known {
    book: Arc<Book>,
    asked_at: Instant,
}

impl Admission {
    pub(crate) fn new(rosters: Rosters) -> Self {
        Self { rosters, books: Mutex::new(BTreeMap::new()) }
    }

    /// Verifies a statement that is to be acted on, against the owner's latest roster and the one that it names.
    /// Says who signed it, as the latter calls it.
    pub(crate) async fn verify<S: Statement>(
        &self,
        owner: &OwnerId,
        signed: &SignedStatement,
    ) -> Result<(S, Actor), Refusal> {
        let mut known = self.book(owner).await?;
        let mut asked = BTreeSet::new();
        let statement = loop {
            // Which roster is lacking; `None` is the latest.
            let (lacking, untrusted) = match S::verify_live(signed, &known.book) {
                Ok(statement) => break statement,
                Err(error @ Untrusted::RosterUnknown { number }) => (Some(number), error),
                // Another relay may have taken the roster that names it.
                Err(error @ Untrusted::UnknownKey { .. }) => (None, error),
                Err(error) => return Err(error.into()),
            };
            if !asked.insert(lacking) {
                return Err(untrusted.into());
            }
            known = match lacking {
                Some(number) => self.numbered(known, number).await?,
                None => self.latest(owner).await?,
            };
        };
        let roster = statement.heading().roster;
        let member = known.book.roster(&roster).and_then(|roster| roster.member(&signed.key));
        let member = member.ok_or_else(|| Untrusted::UnknownKey { key: signed.key.clone() })?;
        let actor = Actor { role: member.role, member: member.name.clone() };
        Ok((statement, actor))
    }

    /// Stores a roster that the owner's key signed, if it follows the one that stands.
    pub(crate) async fn enrol(&self, owner: &OwnerId, signed: &SignedStatement) -> Result<u64, Refusal> {
        let known = match self.latest(owner).await {
            // An owner's first roster is taken on trust: its id is its key's fingerprint, and it need be no more.
            Err(refusal) if refusal.code == RefusalCode::Unknown => new_book(owner)?,
            known => known?,
        };
        let mut book = Arc::unwrap_or_clone(known.book);
        let standing = book.latest().map_or(0, |roster| roster.number);
        let number = book.admit(signed)?.number;
        if number != standing && number != standing.saturating_add(1) {
            let message = format!("roster {number} does not follow roster {standing}, which stands");
            return Err(Refusal::new(RefusalCode::Mismatch, message));
        }
        self.rosters.publish(owner, number, signed).await?;
        self.keep(&Known { book: Arc::new(book), asked_at: Instant::now() });
        Ok(number)
    }

    /// The owner's book, with a roster in it that was the latest a moment ago.
    async fn book(&self, owner: &OwnerId) -> Result<Known, Refusal> {
        match self.known(owner) {
            Some(known) if known.asked_at.elapsed() < LATEST_FOR => Ok(known),
            Some(_) | None => self.latest(owner).await,
        }
    }

    /// The owner's book, with its latest roster in it.
    async fn latest(&self, owner: &OwnerId) -> Result<Known, Refusal> {
        let asked_at = Instant::now();
        let latest = self.rosters.read(owner, None).await?;
        let latest = latest.ok_or_else(|| Refusal::new(RefusalCode::Unknown, "this owner has no roster"))?;
        let mut known = self.known(owner).map_or_else(|| new_book(owner), Ok)?;
        if known.book.seen().is_none_or(|seen| seen.digest != latest.digest()) {
            Arc::make_mut(&mut known.book).admit(&latest)?;
        }
        known.asked_at = asked_at;
        self.keep(&known);
        Ok(known)
    }

    /// The owner's book, with the roster of this number in it.
    async fn numbered(&self, mut known: Known, number: u64) -> Result<Known, Refusal> {
        let roster = self.rosters.read(known.book.owner(), Some(number)).await?;
        Arc::make_mut(&mut known.book).admit(&roster.ok_or(Untrusted::RosterUnknown { number })?)?;
        self.keep(&known);
        Ok(known)
    }

    fn known(&self, owner: &OwnerId) -> Option<Known> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).get(owner).cloned()
    }

    /// Of two commands that asked at once, the one that knows the later roster stays.
    fn keep(&self, known: &Known) {
        let number = |known: &Known| known.book.seen().map(|seen| seen.number);
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = books.entry(known.book.owner().clone()).or_insert_with(|| known.clone());
        if number(known) >= number(kept) {
            *kept = known.clone();
        }
    }
}

fn new_book(owner: &OwnerId) -> Result<Known, Refusal> {
    let pin: KeyId = String::from(owner.clone()).parse().map_err(|error: agent_otp_domain::IdError| {
        Refusal::new(RefusalCode::Malformed, error.to_string())
    })?;
    Ok(Known { book: Arc::new(Book::new(pin, None)), asked_at: Instant::now() })
}
