//! Follows the log: reads it by sequence from the checkpoint on, whenever there may be something new.

use std::path::Path;
use std::time::Duration;

use agent_otp_domain::KeyId;
use agent_otp_jetstream::{Bus, Connection, Feed, Replay, StoreError, StoredEvent};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::database::{self, OpenError};
use crate::fact::{Fact, leaf_hash};
use crate::projection::{self, AuditTrail, Batch, CurrentState};
use crate::rosters::Rosters;
use crate::{alarm, data};

/// How long a failed piece of work waits.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often the log is read without a hint.
const UNASKED: Duration = Duration::from_secs(30);
/// When it is read once more after a hint: on a cluster, the replica that answered may have been behind.
const AFTER_HINT: Duration = Duration::from_secs(1);
/// How long the last read may take, when it is told to stop.
const LAST_READ: Duration = Duration::from_secs(2);

/// Keeps an audit trail up to date. Any number of them may write the same file.
pub struct Projector {
    connection: SqliteConnection,
    broker: Connection,
    replay: Replay,
    rosters: Rosters,
    /// Whether the log ended too early when it was last read.
    behind: bool,
}

/// Why the trail did not get further.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The broker did not answer.
    #[error("the log cannot be read")]
    Log(#[from] StoreError),
    /// SQLite refused.
    #[error("the audit trail cannot be written")]
    Database(#[from] sqlx::Error),
    /// The log is shorter than it was. A replica that is behind catches up in a moment.
    #[error("the log ends before event {position}, which was read from it")]
    Behind {
        /// The last event that was read.
        position: i64,
    },
    /// The log was replaced or changed.
    #[error(
        "event {position} of the log is not the one that was read: keep this audit trail as evidence, and start \
         another one"
    )]
    AnotherLog {
        /// The last event that was read.
        position: i64,
    },
}

impl std::fmt::Debug for Projector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Projector({})", self.rosters.book().owner())
    }
}

impl Projector {
    /// Opens the trail at `path`, or makes it, for an auditor's bus. `pin` is the owner key's fingerprint.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the file is another program's, or cannot be written.
    pub async fn open(path: &Path, bus: Bus, pin: KeyId) -> Result<Self, OpenError> {
        let mut connection = database::open(path).await?;
        let broker = bus.connection().clone();
        let rosters = Rosters::load(&mut connection, bus, pin)
            .await
            .map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
        Ok(Self { connection, replay: Replay::new(broker.clone()), broker, rosters, behind: false })
    }

    /// Follows the log until `stop` is cancelled, and reads it to its end once more then. It ends on no error: it logs
    /// it, and tries again after a second.
    pub async fn run(mut self, stop: CancellationToken) {
        let (broker, news) = (self.broker.clone(), Notify::new());
        tokio::select! {
            () = stop.cancelled() => {}
            () = listen(&broker, &news) => {}
            () = self.follow(&news) => {}
        }
        match timeout(LAST_READ, self.catch_up()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(%error, "the trail may lack the log's last events until the next start"),
            Err(_) => warn!("the trail may lack the log's last events until the next start"),
        }
    }

    /// Reads the log to its end; the position of its last event.
    ///
    /// # Errors
    ///
    /// [`ProjectError`]; what was read before stays, and the next call goes on from there.
    pub async fn catch_up(&mut self) -> Result<u64, ProjectError> {
        let mut position = projection::position(&mut self.connection).await?;
        self.rosters.refresh(&mut self.connection, position).await?;
        loop {
            let before = position;
            self.advance(before).await?;
            position = projection::position(&mut self.connection).await?;
            if position == before {
                return Ok(position.unsigned_abs());
            }
        }
    }

    /// Forgets everything but rosters and alarms, and reads the log from its first event to its end.
    ///
    /// # Errors
    ///
    /// As [`Projector::catch_up`].
    pub async fn rebuild(&mut self) -> Result<u64, ProjectError> {
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        projection::forget(&mut transaction).await?;
        transaction.commit().await?;
        self.catch_up().await
    }

    async fn follow(&mut self, news: &Notify) {
        let mut patience = UNASKED;
        loop {
            match self.catch_up().await {
                Ok(_) => {
                    let hint = timeout(patience, news.notified()).await;
                    patience = if hint.is_ok() { AFTER_HINT } else { UNASKED };
                }
                Err(error) => {
                    warn!(error = data::chain(&error), "the audit trail is tried again");
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Takes one batch behind `position`.
    async fn advance(&mut self, position: i64) -> Result<(), ProjectError> {
        // The last event that was read is read again: a log that was cut or replaced shows there.
        let read = self.replay.from(position.unsigned_abs()).await?;
        self.compare(position, &read).await?;
        let batch = Batch { from: position.saturating_add(1), facts: facts(position, read) };
        if batch.facts.is_empty() {
            return Ok(());
        }
        let events = batch.facts.iter().filter_map(Fact::event);
        self.rosters.fetch_for(&mut self.connection, position, events).await?;
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for (first, last) in gaps(&batch) {
            alarm::raise(
                &mut transaction,
                last,
                &format!("events {first} to {last} are missing from the log"),
            )
            .await?;
        }
        projection::project(&AuditTrail { book: self.rosters.book() }, &mut transaction, &batch).await?;
        projection::project(&CurrentState, &mut transaction, &batch).await?;
        Ok(transaction.commit().await?)
    }

    /// Compares the last event that was read with what the log says it is.
    async fn compare(&mut self, position: i64, read: &[StoredEvent]) -> Result<(), ProjectError> {
        let known: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT leaf_hash FROM events WHERE global_position = ?")
                .bind(position)
                .fetch_optional(&mut self.connection)
                .await?;
        let found = read.first().map(|stored| (stored.sequence, leaf_hash(&stored.body)));
        let error = match (known, found) {
            (None, _) => None,
            (Some(known), Some((sequence, hash)))
                if sequence == position.unsigned_abs() && known == hash.as_bytes() =>
            {
                None
            }
            (Some(_), Some(_)) => Some(ProjectError::AnotherLog { position }),
            (Some(_), None) => Some(ProjectError::Behind { position }),
        };
        let was_behind =
            std::mem::replace(&mut self.behind, matches!(error, Some(ProjectError::Behind { .. })));
        let Some(error) = error else { return Ok(()) };
        if was_behind || !self.behind {
            alarm::raise(&mut self.connection, position, &error.to_string()).await?;
        }
        Err(error)
    }
}

/// Says whenever there may be something new: a live event, or a connection that came back.
async fn listen(broker: &Connection, news: &Notify) {
    let mut connects = broker.connects();
    loop {
        match Feed::of_all(broker).await {
            Ok(mut feed) => loop {
                tokio::select! {
                    Some(_) = feed.next() => {}
                    Ok(()) = connects.changed() => {}
                    else => break,
                }
                news.notify_one();
            },
            Err(error) => warn!(error = data::chain(&error), "no live events"),
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// What lies behind `position`, each once and in order.
fn facts(position: i64, read: Vec<StoredEvent>) -> Vec<Fact> {
    let mut last = position;
    let mut facts = Vec::with_capacity(read.len());
    for stored in read {
        if let Some(position) = i64::try_from(stored.sequence).ok().filter(|position| *position > last) {
            last = position;
            facts.push(Fact::new(position, stored));
        }
    }
    facts
}

/// The stretches that should be there, and are not.
fn gaps(batch: &Batch) -> Vec<(i64, i64)> {
    let mut expected = batch.from;
    let mut gaps = Vec::new();
    for fact in &batch.facts {
        if fact.position > expected {
            gaps.push((expected, fact.position.saturating_sub(1)));
        }
        expected = fact.position.saturating_add(1);
    }
    gaps
}
