//! The rosters that statements are verified with: fetched from the relay once, kept in the file for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_otp_domain::{Actor, KeyId, OwnerId, Recorded, SignedStatement, Timestamp, causes, codec, excerpt};
use agent_otp_jetstream::readable::Said;
use agent_otp_jetstream::{Bus, CallError};
use agent_otp_trust::{Book, RosterRef};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tracing::{debug, warn};

use crate::{alarm, projection};

/// How long the trail waits for a roster before it goes on without it.
const PATIENCE: Duration = Duration::from_secs(3);
/// For how many events in doubt a roster is asked for again in one go.
const AGAIN_MAX: u32 = 1_000;

/// The owner's rosters.
pub(crate) struct Rosters {
    /// Where they are asked for; none where another trail gives its own.
    bus: Option<Bus>,
    book: Book,
    known: BTreeSet<u64>,
    /// Whether the relay has left a question unanswered: it is not asked again in the same go.
    silent: bool,
}

impl Rosters {
    /// Takes the rosters that the file holds.
    pub(crate) async fn load(
        connection: &mut SqliteConnection,
        bus: Option<Bus>,
        pin: KeyId,
    ) -> Result<Self, sqlx::Error> {
        let mut rosters = Self { bus, book: Book::new(pin, None), known: BTreeSet::new(), silent: false };
        for signed in kept(connection, rosters.book.owner()).await? {
            if let Ok(reference) = rosters.book.admit(&signed) {
                rosters.known.insert(reference.number);
            }
        }
        Ok(rosters)
    }

    pub(crate) fn book(&self) -> &Book {
        &self.book
    }

    /// Takes those that another trail keeps.
    pub(crate) async fn take(
        &mut self,
        connection: &mut SqliteConnection,
        from: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        for signed in kept(from, self.book.owner()).await? {
            let mut book = self.book.clone();
            if let Ok(reference) = book.admit(&signed)
                && !self.known.contains(&reference.number)
            {
                self.admitted(connection, book, reference, &signed).await?;
            }
        }
        Ok(())
    }

    /// Goes by the rosters that it has from now on.
    pub(crate) fn ask_nobody(&mut self) {
        self.bus = None;
    }

    /// Fetches the latest roster, which may revoke a key, and those that were not to be had before.
    pub(crate) async fn refresh(
        &mut self,
        connection: &mut SqliteConnection,
        position: i64,
    ) -> Result<(), sqlx::Error> {
        self.silent = false;
        self.fetch(connection, position, None).await?;
        let bodies: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT body FROM doubts WHERE stream_name IS NOT NULL ORDER BY global_position DESC LIMIT ?",
        )
        .bind(AGAIN_MAX)
        .fetch_all(&mut *connection)
        .await?;
        let events: Vec<Recorded> = bodies.iter().filter_map(|body| codec::decode_event(body).ok()).collect();
        self.fetch_for(connection, position, &events).await
    }

    /// Fetches the rosters that the events' statements name.
    pub(crate) async fn fetch_for(
        &mut self,
        connection: &mut SqliteConnection,
        position: i64,
        events: impl IntoIterator<Item = &Recorded>,
    ) -> Result<(), sqlx::Error> {
        for number in self.lacking(events) {
            self.fetch(connection, position, Some(number)).await?;
        }
        Ok(())
    }

    fn lacking<'a>(&self, events: impl IntoIterator<Item = &'a Recorded>) -> BTreeSet<u64> {
        let own = events.into_iter().filter(|recorded| recorded.owner == *self.book.owner());
        let named = own.filter_map(|recorded| Some(Said::by(&recorded.event)?.heading().roster.number));
        named.filter(|number| !self.known.contains(number)).collect()
    }

    async fn fetch(
        &mut self,
        connection: &mut SqliteConnection,
        position: i64,
        number: Option<u64>,
    ) -> Result<(), sqlx::Error> {
        let Some(signed) = self.ask(number).await else { return Ok(()) };
        if self.book.seen().is_some_and(|seen| seen.digest == signed.digest()) {
            return Ok(());
        }
        // The book takes it once the file has it.
        let mut book = self.book.clone();
        let admitted = match number {
            Some(_) => book.admit(&signed),
            None => book.admit_latest(&signed),
        };
        match admitted {
            Ok(reference) => self.admitted(connection, book, reference, &signed).await,
            // It may quote what a relay serves.
            Err(error) => alarm::raise(connection, position, &excerpt(&causes(&error))).await,
        }
    }

    /// Goes by the book with one more roster.
    async fn admitted(
        &mut self,
        connection: &mut SqliteConnection,
        book: Book,
        reference: RosterRef,
        signed: &SignedStatement,
    ) -> Result<(), sqlx::Error> {
        let revoked = revoked(&book).difference(&revoked(&self.book)).map(|(key, _)| key.clone()).collect();
        keep(connection, &book, reference, signed, &revoked).await?;
        self.known.insert(reference.number);
        self.book = book;
        Ok(())
    }

    async fn ask(&mut self, number: Option<u64>) -> Option<SignedStatement> {
        let bus = self.bus.as_ref().filter(|_| !self.silent)?;
        match tokio::time::timeout(PATIENCE, bus.roster(number)).await {
            Ok(Ok(signed)) => Some(signed),
            Ok(Err(error @ CallError::Refused { .. })) => {
                debug!(number, %error, "no such roster");
                None
            }
            Ok(Err(error @ (CallError::Unreachable(_) | CallError::Unreadable(_)))) => {
                warn!(number, error = causes(&error), "no roster");
                self.silent = true;
                None
            }
            Err(elapsed) => {
                warn!(number, error = %elapsed, "no roster");
                self.silent = true;
                None
            }
        }
    }
}

/// The owner's rosters that a trail keeps. One that is damaged is left out, and fetched again when it is needed.
async fn kept(
    connection: &mut SqliteConnection,
    owner: &OwnerId,
) -> Result<Vec<SignedStatement>, sqlx::Error> {
    let bodies: Vec<Vec<u8>> = sqlx::query_scalar("SELECT body FROM rosters WHERE owner = ? ORDER BY number")
        .bind(owner.to_string())
        .fetch_all(connection)
        .await?;
    Ok(bodies.iter().filter_map(|body| codec::decode(body).ok()).collect())
}

fn revoked(book: &Book) -> BTreeSet<(KeyId, Timestamp)> {
    let revoked = book.latest().into_iter().flat_map(|roster| &roster.revoked);
    revoked.map(|revocation| (revocation.key.clone(), revocation.at)).collect()
}

/// Keeps a roster, and verifies again what it may put in another light: what is in doubt, and what was signed with a key
/// that it revokes, whenever the relay says that it was stored.
async fn keep(
    connection: &mut SqliteConnection,
    book: &Book,
    reference: RosterRef,
    signed: &SignedStatement,
    revoked: &BTreeSet<KeyId>,
) -> Result<(), sqlx::Error> {
    let owner = book.owner().to_string();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query("INSERT OR REPLACE INTO rosters VALUES (?, ?, ?, ?)")
        .bind(&owner)
        .bind(i64::try_from(reference.number).unwrap_or(i64::MAX))
        .bind(reference.digest.as_bytes().as_slice())
        .bind(codec::encode(signed))
        .execute(&mut *transaction)
        .await?;
    let doubts = sqlx::query_scalar("SELECT stream_name FROM doubts WHERE stream_name LIKE ? || '.%'");
    let doubted: Vec<String> = doubts.bind(&owner).fetch_all(&mut *transaction).await?;
    let mut streams = BTreeSet::from_iter(doubted);
    // An event that is believed names the member who signed it; one that names another is in doubt.
    let signers = revoked.iter().flat_map(|key| book.members_of(key));
    for actor in signers.map(|member| Actor { role: member.role, member: member.name.clone() }) {
        let signed = "SELECT DISTINCT stream_name FROM events WHERE stream_name LIKE ? || '.%' AND actor = ?";
        let signed = sqlx::query_scalar(signed).bind(&owner).bind(actor.to_string());
        let signed: Vec<String> = signed.fetch_all(&mut *transaction).await?;
        streams.extend(signed);
    }
    for stream in streams {
        projection::verify(&mut transaction, &stream, book).await?;
    }
    transaction.commit().await
}
