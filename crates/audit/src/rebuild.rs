//! Makes the trail anew from the log, beside the one in use, compares the two, and puts the new one in its place.
//!
//! The place is taken within the file: one SQLite transaction replaces all rows. The file is never renamed, because a
//! process that has a database open goes on with the file that it opened, and a write-ahead log belongs to a name
//! (<https://sqlite.org/howtocorrupt.html>, section 2.4). So whoever reads sees the old rows or the new ones, a crash leaves the
//! one or the other, and a projector that runs goes on behind the last row without noticing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use agent_otp_domain::KeyId;
use agent_otp_jetstream::{Bus, clock};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::time::sleep;

use crate::database::OpenError;
use crate::difference::{self, Differences};
use crate::projector::{AGAIN_AFTER, ProjectError, Projector};
use crate::{alarm, projection};

/// How often the trail in use is given time to come as far as the new one.
const MEETINGS: u32 = 5;

/// Replaces everything that comes from the log. Alarms of the past stay.
const SWITCH: &str = "
    DELETE FROM main.events;
    INSERT INTO main.events SELECT global_position, id, stream_name, stream_version, type, time, actor, data, body,
        leaf_hash, verification FROM fresh.events;
    DELETE FROM main.requests;
    INSERT INTO main.requests SELECT * FROM fresh.requests;
    UPDATE main.checkpoint SET position =
        (SELECT position FROM fresh.checkpoint AS new WHERE new.projection = checkpoint.projection);
    INSERT OR IGNORE INTO main.alarms SELECT * FROM fresh.alarms;
";

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a trail that differed from the log is an alarm"]
pub struct Rebuilt {
    /// How many events the log holds.
    pub events: u64,
    /// How many rows of the trail were not as the log has it; none is as it should be.
    pub differing: u64,
    /// The first of them: which row, and what is different.
    pub differences: Vec<String>,
    /// Where the trail of before is kept, if it differed.
    pub before: Option<PathBuf>,
}

/// Why a trail is not rebuilt. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody else is at it.
    #[error("another rebuild of {} is under way: wait for its end", path.display())]
    UnderWay {
        /// Of which trail.
        path: PathBuf,
    },
    /// A file beside the trail cannot be made or removed.
    #[error("cannot write {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One of the two trails cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log was not read to its end.
    #[error("the trail is not rebuilt, and stays as it was")]
    Project(#[from] ProjectError),
    /// SQLite refused.
    #[error("the trail is not rebuilt, and stays as it was")]
    Database(#[from] sqlx::Error),
}

/// Rebuilds the trail at `path`, for an auditor's bus. `pin` is the owner key's fingerprint.
///
/// A projector may write the trail meanwhile, and any number may read it. What differs is replaced as well; it raises an
/// alarm, and the trail of before is kept beside the new one.
///
/// # Errors
///
/// [`RebuildError`]; the trail is as it was, and what is left beside it goes with the next rebuild.
pub async fn rebuild(path: &Path, bus: Bus, pin: KeyId) -> Result<Rebuilt, RebuildError> {
    let beside = Beside { path: path.to_owned() };
    let _hold = beside.hold()?;
    beside.clear()?;
    let mut live = Projector::open(path, bus, pin.clone()).await?;
    let mut fresh = live.beside(&beside.fresh(), pin).await?;
    // With the rosters from the start, nothing has to be verified a second time.
    fresh.rosters.take(&mut fresh.connection, &mut live.connection).await?;
    fresh.catch_up().await?;
    meet(&mut live, &mut fresh).await?;
    let rebuilt = switch(&mut live.connection, &mut fresh, &beside).await?;
    // The write-ahead log holds the whole trail now. Readers may keep it from being emptied; then it is later.
    sqlx::raw_sql("DETACH DATABASE fresh; PRAGMA wal_checkpoint(TRUNCATE);")
        .execute(&mut live.connection)
        .await?;
    live.connection.close().await?;
    fresh.connection.close().await?;
    beside.clear()?;
    Ok(rebuilt)
}

/// Waits until the trail in use has come as far as the new one. A log that is another one by now ends the wait: that is a
/// difference.
async fn meet(live: &mut Projector, fresh: &mut Projector) -> Result<(), RebuildError> {
    let position = projection::position(&mut fresh.connection).await?;
    for _ in 0..MEETINGS {
        match live.catch_up().await {
            Ok(come_to) if come_to >= position.unsigned_abs() => return Ok(()),
            Ok(_) => sleep(AGAIN_AFTER).await,
            Err(ProjectError::Behind { .. } | ProjectError::AnotherLog { .. }) => return Ok(()),
            Err(error @ (ProjectError::Log(_) | ProjectError::Database(_))) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Compares the two where they stand at the same event, and replaces the one by the other.
async fn switch(
    live: &mut SqliteConnection,
    fresh: &mut Projector,
    beside: &Beside,
) -> Result<Rebuilt, RebuildError> {
    sqlx::query("ATTACH DATABASE ? AS fresh")
        .bind(beside.fresh().to_string_lossy().into_owned())
        .execute(&mut *live)
        .await?;
    let mut before = None;
    loop {
        let mut transaction = live.begin().await?;
        // Takes the lock for writing: of the trail in use alone, so that the new one can still be written.
        sqlx::query("UPDATE main.checkpoint SET position = position").execute(&mut *transaction).await?;
        let position = projection::position(&mut transaction).await?;
        fresh.rosters.take(&mut fresh.connection, &mut transaction).await?;
        let events = fresh.catch_up_to(position).await?;
        let Differences { count, first } = difference::between(&mut transaction).await?;
        if count > 0 && before.is_none() {
            transaction.rollback().await?;
            before = Some(beside.keep(live).await?);
            continue;
        }
        sqlx::raw_sql(SWITCH).execute(&mut *transaction).await?;
        if let Some(kept) = &before {
            let what = alarm_text(count, &first, kept);
            alarm::raise(&mut transaction, events, &what).await?;
        }
        transaction.commit().await?;
        return Ok(Rebuilt { events: events.unsigned_abs(), differing: count, differences: first, before });
    }
}

fn alarm_text(count: u64, first: &[String], kept: &Path) -> String {
    let more = if count > first.len() as u64 { "; …" } else { "" };
    format!(
        "the trail was not what the log says in {count} rows, and was rebuilt ({}{more}); it is kept at {}",
        first.join("; "),
        kept.display()
    )
}

/// The files beside a trail.
struct Beside {
    path: PathBuf,
}

impl Beside {
    /// `audit.db` and this.
    fn named(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(suffix);
        name.into()
    }

    /// The trail that is being made.
    fn fresh(&self) -> PathBuf {
        self.named(".new")
    }

    /// The copy that is being made of the trail of before.
    fn copy(&self) -> PathBuf {
        self.named(".copy")
    }

    /// Makes sure that this is the only rebuild, until the result is dropped.
    fn hold(&self) -> Result<File, RebuildError> {
        let path = self.named(".rebuild");
        let failed = |source| RebuildError::File { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(RebuildError::UnderWay { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Removes what a rebuild leaves that was broken off.
    fn clear(&self) -> Result<(), RebuildError> {
        for unfinished in [self.fresh(), self.copy()] {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let path = Self { path: unfinished.clone() }.named(suffix);
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(RebuildError::File { path, source });
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Keeps the trail as it is under a name of its own.
    async fn keep(&self, live: &mut SqliteConnection) -> Result<PathBuf, RebuildError> {
        let (copy, kept) = (self.copy(), self.named(&format!(".before-{}", clock::now().as_unix_ms())));
        let failed = |source| RebuildError::File { path: kept.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(0o600).open(&copy).map_err(failed)?;
        // SQLite fills an empty file, and leaves it to others to make sure that it is on disk.
        sqlx::query("VACUUM main INTO ?").bind(copy.to_string_lossy().into_owned()).execute(live).await?;
        file.sync_all().map_err(failed)?;
        fs::rename(&copy, &kept).map_err(failed)?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(kept)
    }
}
