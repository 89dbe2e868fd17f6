//! The file that the log is replayed into: made, recognised, and never mistaken for another program's.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

/// `aotp`, in `PRAGMA application_id`.
const APPLICATION: i64 = 0x616f_7470;
/// The version of the schema, in `PRAGMA user_version`.
const SCHEMA: i64 = 2;
/// What makes the first version out of an empty file, and each further one out of the one before.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];
/// How long a process waits for another one's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// What SQLite says of a file that is no database (`SQLITE_NOTADB`).
const NOT_A_DATABASE: &str = "26";

/// Why an audit trail cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody has written one yet.
    #[error("there is no audit trail at {}: `agent-otp up` writes one while it runs", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be made or written.
    #[error("cannot write the audit trail at {}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is something else.
    #[error("{} belongs to another program: choose another path for the audit trail", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
    },
    /// It has tables that this program does not know.
    #[error("{} was written by a newer agent-otp (schema {found}, this one knows {SCHEMA}): update agent-otp", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// SQLite does not open it.
    #[error("cannot open the audit trail at {}", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: sqlx::Error,
    },
}

/// What a file is, by its header.
enum Identity {
    Empty,
    /// Written by an earlier version of this program: so many steps of the schema were taken.
    Older(usize),
    Ours,
    Newer(i64),
    Foreign,
}

/// Opens the file for writing, and makes it, readable by nobody else, if it is not there. One of an earlier version is
/// brought up to this one.
pub(crate) async fn open(path: &Path) -> Result<SqliteConnection, OpenError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    let failed = |source| refused(path, source);
    let mut connection = options(path).connect().await.map_err(failed)?;
    // Nothing is set before it is known whose file this is. The lock makes sure that only one process fills it.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let taken = match identity(&mut transaction).await.map_err(failed)? {
        Identity::Empty => 0,
        Identity::Older(taken) => taken,
        Identity::Ours => STEPS.len(),
        Identity::Newer(found) => return Err(OpenError::Newer { path: path.to_owned(), found }),
        Identity::Foreign => return Err(OpenError::Foreign { path: path.to_owned() }),
    };
    for step in STEPS.into_iter().skip(taken) {
        sqlx::raw_sql(step).execute(&mut *transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    Ok(connection)
}

/// Opens the file for reading alone, after it was brought up to this version.
pub(crate) async fn open_read_only(path: &Path) -> Result<SqliteConnection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let failed = |source| refused(path, source);
    let reader = options(path).read_only(true);
    let mut connection = reader.clone().connect().await.map_err(failed)?;
    match identity(&mut connection).await.map_err(failed)? {
        Identity::Ours => Ok(connection),
        Identity::Older(_) => {
            open(path).await?.close().await.map_err(failed)?;
            reader.connect().await.map_err(failed)
        }
        Identity::Empty => Err(OpenError::Missing { path: path.to_owned() }),
        Identity::Newer(found) => Err(OpenError::Newer { path: path.to_owned(), found }),
        Identity::Foreign => Err(OpenError::Foreign { path: path.to_owned() }),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY).disable_statement_logging()
}

async fn identity(connection: &mut SqliteConnection) -> Result<Identity, sqlx::Error> {
    let (application, schema, tables): (i64, i64, i64) = sqlx::query_as(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
         FROM pragma_application_id, pragma_user_version",
    )
    .fetch_one(connection)
    .await?;
    Ok(match (application, schema) {
        (APPLICATION, SCHEMA) => Identity::Ours,
        (APPLICATION, SCHEMA..) => Identity::Newer(schema),
        (APPLICATION, 1..SCHEMA) => Identity::Older(usize::try_from(schema).unwrap_or_default()),
        (0, 0) if tables == 0 => Identity::Empty,
        _ => Identity::Foreign,
    })
}

fn refused(path: &Path, source: sqlx::Error) -> OpenError {
    let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.as_deref() == Some(NOT_A_DATABASE) {
        OpenError::Foreign { path: path.to_owned() }
    } else {
        OpenError::Database { path: path.to_owned(), source }
    }
}
