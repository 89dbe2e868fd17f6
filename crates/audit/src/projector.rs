//! Follows the log: reads it by sequence from the checkpoint on, whenever there may be something new.

use std::path::Path;
use std::time::Duration;

use agent_otp_domain::{KeyId, causes};
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
use crate::{alarm, continuity};

/// How long a failed piece of work waits.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often the log is read without a hint.
const UNASKED: Duration = Duration::from_secs(30);
/// When it is read once more after a hint: on a cluster, the replica that answered may have been behind.
const AFTER_HINT: Duration = Duration::from_secs(1);
/// How often in a row the log may be unreadable, while the broker answers, before that is an alarm.
const UNREAD_MAX: u32 = 3;
/// How long the last read may take, when it is told to stop.
const LAST_READ: Duration = Duration::from_secs(2);

/// Keeps an audit trail up to date. Any number of them may write the same file.
pub struct Projector {
    pub(crate) connection: SqliteConnection,
    broker: Connection,
    replay: Replay,
    pub(crate) rosters: Rosters,
    /// Whether the log ended too early when it was last read.
    behind: bool,
    /// How often in a row it could not be read, although the broker answered.
    unread: u32,
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
        "event {position} of the log is not the one that was read: `agent-otp audit rebuild` begins a new audit trail, and \
         keeps this one as evidence"
    )]
    AnotherLog {
        /// An event that was read before, and is another now.
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
        let broker = bus.connection().clone();
        Self::over(path, broker, Some(bus), pin).await
    }

    /// Opens another trail over the same log, whose rosters are given to it.
    pub(crate) async fn beside(&self, path: &Path, pin: KeyId) -> Result<Self, OpenError> {
        Self::over(path, self.broker.clone(), None, pin).await
    }

    async fn over(path: &Path, broker: Connection, bus: Option<Bus>, pin: KeyId) -> Result<Self, OpenError> {
        let mut connection = database::open(path).await?;
        let rosters = Rosters::load(&mut connection, bus, pin)
            .await
            .map_err(|source| OpenError::Database { path: path.to_owned(), source })?;
        Ok(Self {
            connection,
            replay: Replay::new(broker.clone()),
            broker,
            rosters,
            behind: false,
            unread: 0,
        })
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
        // The relay may have ended before: its silence must not take the time that the last events need.
        self.rosters.ask_nobody();
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
        let position = projection::position(&mut self.connection).await?;
        self.rosters.refresh(&mut self.connection, position).await?;
        Ok(self.catch_up_to(i64::MAX).await?.unsigned_abs())
    }

    /// Reads the log to its end, but not beyond the event `last`; the position that it has come to.
    pub(crate) async fn catch_up_to(&mut self, last: i64) -> Result<i64, ProjectError> {
        let mut position = projection::position(&mut self.connection).await?;
        loop {
            let before = position;
            self.advance(before, last).await?;
            position = projection::position(&mut self.connection).await?;
            if position == before {
                return Ok(position);
            }
        }
    }

    async fn follow(&mut self, news: &Notify) {
        let mut patience = UNASKED;
        let mut told = String::new();
        loop {
            match self.catch_up().await {
                Ok(_) => {
                    told.clear();
                    let hint = timeout(patience, news.notified()).await;
                    patience = if hint.is_ok() { AFTER_HINT } else { UNASKED };
                }
                Err(error) => {
                    let error = causes(&error);
                    if error != told {
                        warn!(error, "the audit trail is tried again and again");
                        told = error;
                    }
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Takes one batch behind `position`, up to `last`.
    async fn advance(&mut self, position: i64, last: i64) -> Result<(), ProjectError> {
        // The last event that was read is read again: a log that was cut or replaced shows there.
        let mut read = self.read(position).await?;
        self.compare(position, &read).await?;
        read.retain(|stored| stored.sequence <= last.unsigned_abs());
        let sequences = read.iter().filter_map(|stored| i64::try_from(stored.sequence).ok());
        // What comes where another event is due may be all that there is.
        for found in continuity::of_sequences(position, sequences) {
            alarm::raise(&mut self.connection, found.position, &found.what).await?;
        }
        let batch = Batch { from: position.saturating_add(1), facts: facts(position, read) };
        if batch.facts.is_empty() {
            return Ok(());
        }
        let events = batch.facts.iter().filter_map(Fact::event);
        self.rosters.fetch_for(&mut self.connection, position, events).await?;
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        projection::project(&AuditTrail { book: self.rosters.book() }, &mut transaction, &batch).await?;
        projection::project(&CurrentState, &mut transaction, &batch).await?;
        Ok(transaction.commit().await?)
    }

    /// Reads from the event `position` on. That this stays impossible while the broker answers is an alarm: something in the
    /// log is in the way, and nothing behind it is audited.
    async fn read(&mut self, position: i64) -> Result<Vec<StoredEvent>, ProjectError> {
        let error = match self.replay.from(position.unsigned_abs()).await {
            Ok(read) => {
                self.unread = 0;
                return Ok(read);
            }
            Err(error) => error,
        };
        self.unread = if self.replay.is_answered().await { self.unread.saturating_add(1) } else { 0 };
        if self.unread >= UNREAD_MAX {
            let what = format!("the log cannot be read behind event {position}, although the broker answers");
            alarm::raise(&mut self.connection, position, &what).await?;
        }
        Err(error.into())
    }

    /// Compares the last event that was read with what the log says it is. One that is gone, with others behind it, is a
    /// gap; that is not for here.
    async fn compare(&mut self, position: i64, read: &[StoredEvent]) -> Result<(), ProjectError> {
        let Some(known) = self.known(position).await? else { return Ok(()) };
        let error = match read.first() {
            Some(stored) if stored.sequence != position.unsigned_abs() => None,
            Some(stored) if leaf_hash(&stored.body).as_bytes() == known.as_slice() => None,
            Some(_) => Some(ProjectError::AnotherLog { position }),
            None => Some(self.shorter(position).await?),
        };
        let was_behind =
            std::mem::replace(&mut self.behind, matches!(error, Some(ProjectError::Behind { .. })));
        let Some(error) = error else { return Ok(()) };
        if let ProjectError::AnotherLog { position } | ProjectError::Behind { position } = error
            && (was_behind || !self.behind)
        {
            alarm::raise(&mut self.connection, position, &error.to_string()).await?;
        }
        Err(error)
    }

    /// Why the log ends before `position`: it has begun anew, or it is cut, or this is a replica that is behind.
    async fn shorter(&mut self, position: i64) -> Result<ProjectError, ProjectError> {
        if let Some(first) = self.replay.first().await?
            && let Ok(beginning) = i64::try_from(first.sequence)
            && let Some(known) = self.known(beginning).await?
            && leaf_hash(&first.body).as_bytes() != known.as_slice()
        {
            return Ok(ProjectError::AnotherLog { position: beginning });
        }
        Ok(ProjectError::Behind { position })
    }

    /// The leaf hash of an event as it was read.
    async fn known(&mut self, position: i64) -> Result<Option<Vec<u8>>, sqlx::Error> {
        sqlx::query_scalar("SELECT leaf_hash FROM events WHERE global_position = ?")
            .bind(position)
            .fetch_optional(&mut self.connection)
            .await
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
            Err(error) => warn!(error = causes(&error), "no live events"),
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
