//! Verifies what comes in, so that the append-only log holds no garbage. Nobody relies on it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use agent_otp_domain::{Actor, KeyId, OwnerId, SignedStatement};
use agent_otp_jetstream::Rosters;
use agent_otp_jetstream::message::RefusalCode;
use agent_otp_trust::{Book, Statement, Untrusted};

use crate::refusal::Refusal;

/// The owners' rosters, read as they are needed.
#[derive(Debug)]
pub(crate) struct Admission {
    rosters: Rosters,
    /// Verified rosters never change, so a cache of them is never wrong; the latest is asked for each time.
    books: Mutex<BTreeMap<OwnerId, Book>>,
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
        let mut book = self.book(owner).await?;
        let statement = match S::verify_live(signed, &book) {
            Err(Untrusted::RosterUnknown { number }) => {
                let roster = self.rosters.read(owner, Some(number)).await?;
                let roster = roster.ok_or(Untrusted::RosterUnknown { number })?;
                book.admit(&roster)?;
                self.keep(&book);
                S::verify_live(signed, &book)?
            }
            verified => verified?,
        };
        let roster = statement.heading().roster;
        let member = book.roster(&roster).and_then(|roster| roster.member(&signed.key));
        let member = member.ok_or_else(|| Untrusted::UnknownKey { key: signed.key.clone() })?;
        let actor = Actor { role: member.role, member: member.name.clone() };
        Ok((statement, actor))
    }

    /// Stores a roster that the owner's key signed, if it follows the one that stands.
    pub(crate) async fn enrol(&self, owner: &OwnerId, signed: &SignedStatement) -> Result<u64, Refusal> {
        let mut book = match self.book(owner).await {
            // An owner's first roster is taken on trust: its id is its key's fingerprint, and it need be no more.
            Err(refusal) if refusal.code == RefusalCode::Unknown => new_book(owner)?,
            book => book?,
        };
        let standing = book.latest().map_or(0, |roster| roster.number);
        let number = book.admit(signed)?.number;
        if number != standing && number != standing.saturating_add(1) {
            let message = format!("roster {number} does not follow roster {standing}, which stands");
            return Err(Refusal::new(RefusalCode::Mismatch, message));
        }
        self.rosters.publish(owner, number, signed).await?;
        self.keep(&book);
        Ok(number)
    }

    /// The owner's book, with its latest roster in it.
    async fn book(&self, owner: &OwnerId) -> Result<Book, Refusal> {
        let latest = self.rosters.read(owner, None).await?;
        let latest = latest.ok_or_else(|| Refusal::new(RefusalCode::Unknown, "this owner has no roster"))?;
        let known = self.books.lock().unwrap_or_else(PoisonError::into_inner).get(owner).cloned();
        let mut book = known.map_or_else(|| new_book(owner), Ok)?;
        if book.seen().is_none_or(|seen| seen.digest != latest.digest()) {
            book.admit(&latest)?;
            self.keep(&book);
        }
        Ok(book)
    }

    fn keep(&self, book: &Book) {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).insert(book.owner().clone(), book.clone());
    }
}

fn new_book(owner: &OwnerId) -> Result<Book, Refusal> {
    let pin: KeyId = String::from(owner.clone()).parse().map_err(|error: agent_otp_domain::IdError| {
        Refusal::new(RefusalCode::Malformed, error.to_string())
    })?;
    Ok(Book::new(pin, None))
}
