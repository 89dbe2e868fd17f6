//! The reading side: everything comes from the file, opened read-only, whether or not a broker runs.

use std::path::Path;
use std::time::Duration;

use agent_otp_domain::RequestId;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::time::{sleep, timeout};

use crate::alarm::Alarm;
use crate::database::{self, OpenError};
use crate::projection::{self, ANOTHER_OWNER, VERIFIED};

/// How often a reader that waits looks at the checkpoint.
const LOOK: Duration = Duration::from_millis(20);

/// An audit trail, for reading.
#[derive(Debug)]
pub struct Trail {
    connection: SqliteConnection,
}

/// One event, as the log holds it. Where the bytes are no event, all that it would say is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its sequence in the log, from 1.
    pub position: u64,
    /// Its id.
    pub id: Option<String>,
    /// What happened: `requested`, `approved` …
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// When, by the relay's clock, as RFC 3339.
    pub time: String,
    /// Who caused it: `agent:shopper`.
    pub actor: Option<String>,
    /// Its place within the request, from 1.
    pub version: Option<u64>,
    /// Whose request it is; none also where the event stands under another subject than it names.
    pub owner: Option<String>,
    /// Which agent's.
    pub agent: Option<String>,
    /// Which one.
    pub request: Option<String>,
    /// `verified`, or why not.
    pub verification: String,
    /// What it says, with its statement.
    pub data: serde_json::Value,
}

impl Entry {
    /// Whether the statements prove it.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verification == VERIFIED
    }

    /// Whether the statements ought to prove it, and do not. Of another owner's, this auditor cannot know.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        ![VERIFIED, ANOTHER_OWNER].contains(&self.verification.as_str())
    }
}

/// A request, as its last event left it. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestSummary {
    /// Whose request it is.
    pub owner: String,
    /// Which agent's.
    pub agent: String,
    /// Which one.
    pub request: String,
    /// The type of its last event.
    pub state: String,
    /// Why the agent asked, with everything invisible made visible.
    pub reason: Option<String>,
    /// Whose message it asked for.
    pub sender: Option<String>,
    /// Over which channel: `email`, `sms`, `any`.
    pub channel: Option<String>,
    /// What the code was for.
    pub purpose: Option<String>,
    /// When it was recorded.
    pub requested_at: Option<String>,
    /// When it lapses.
    pub expires_at: Option<String>,
    /// When its last event was recorded.
    pub changed_at: String,
    /// How many events it has.
    pub version: u64,
    /// `verified`, or why the first of its events that is not believed is not.
    pub verification: String,
}

/// A request and everything that happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestHistory {
    /// As its last event left it.
    pub summary: RequestSummary,
    /// Its events, in the log's order.
    pub events: Vec<Entry>,
}

/// Why the trail cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// SQLite refused.
    #[error("the audit trail cannot be read")]
    Database(#[from] sqlx::Error),
}

impl Trail {
    /// Opens the trail at `path`.
    ///
    /// # Errors
    ///
    /// [`OpenError::Missing`] if nobody has written one, or another [`OpenError`].
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: database::open_read_only(path).await? })
    }

    /// Up to which event of the log the trail has come.
    ///
    /// # Errors
    ///
    /// [`TrailError`] if the file cannot be read.
    pub async fn position(&mut self) -> Result<u64, TrailError> {
        Ok(projection::position(&mut self.connection).await?.unsigned_abs())
    }

    /// Waits until the trail has come to `position`, at most so long; whether it has.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn wait_for(&mut self, position: u64, patience: Duration) -> Result<bool, TrailError> {
        let arrival = async {
            while self.position().await? < position {
                sleep(LOOK).await;
            }
            Ok(true)
        };
        timeout(patience, arrival).await.unwrap_or(Ok(false))
    }

    /// The requests that changed last, the latest first.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn requests(&mut self, limit: u32) -> Result<Vec<RequestSummary>, TrailError> {
        let rows = sqlx::query("SELECT * FROM requests_with_verification ORDER BY position DESC LIMIT ?")
            .bind(limit)
            .fetch_all(&mut self.connection)
            .await?;
        rows.iter().map(summary).collect()
    }

    /// The request with this id. There may be several: the agents name their requests, and a name is taken only
    /// within one agent.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn show(&mut self, request: &RequestId) -> Result<Vec<RequestHistory>, TrailError> {
        let rows =
            sqlx::query("SELECT * FROM requests_with_verification WHERE request = ? ORDER BY position")
                .bind(request.to_string())
                .fetch_all(&mut self.connection)
                .await?;
        let mut histories = Vec::with_capacity(rows.len());
        for row in &rows {
            let summary = summary(row)?;
            let stream = format!("{}.{}.{}", summary.owner, summary.agent, summary.request);
            let rows = sqlx::query("SELECT * FROM events WHERE stream_name = ? ORDER BY global_position")
                .bind(stream)
                .fetch_all(&mut self.connection)
                .await?;
            let events = rows.iter().map(entry).collect::<Result<_, _>>()?;
            histories.push(RequestHistory { summary, events });
        }
        Ok(histories)
    }

    /// The events behind position `after`, in the log's order, at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn events(&mut self, after: u64, limit: u32) -> Result<Vec<Entry>, TrailError> {
        let rows =
            sqlx::query("SELECT * FROM events WHERE global_position > ? ORDER BY global_position LIMIT ?")
                .bind(i64::try_from(after).unwrap_or(i64::MAX))
                .bind(limit)
                .fetch_all(&mut self.connection)
                .await?;
        rows.iter().map(entry).collect()
    }

    /// What is wrong: with the log as a whole, with a roster, or with an event of the owner's.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn alarms(&mut self) -> Result<Vec<Alarm>, TrailError> {
        let rows = sqlx::query(
            "SELECT position, what FROM alarms
             UNION ALL SELECT global_position, verification FROM doubts ORDER BY 1, 2",
        )
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter().map(|row| Ok(Alarm { position: row.try_get(0)?, what: row.try_get(1)? })).collect()
    }
}

fn entry(row: &SqliteRow) -> Result<Entry, TrailError> {
    let stream: Option<String> = row.try_get("stream_name")?;
    let mut tokens = stream.iter().flat_map(|stream| stream.split('.')).map(str::to_owned);
    let data: String = row.try_get("data")?;
    Ok(Entry {
        position: row.try_get("global_position")?,
        id: row.try_get("id")?,
        kind: row.try_get("type")?,
        time: row.try_get("time")?,
        actor: row.try_get("actor")?,
        version: row.try_get("stream_version")?,
        owner: tokens.next(),
        agent: tokens.next(),
        request: tokens.next(),
        verification: row.try_get("verification")?,
        data: serde_json::from_str(&data).map_err(|error| sqlx::Error::Decode(error.into()))?,
    })
}

fn summary(row: &SqliteRow) -> Result<RequestSummary, TrailError> {
    Ok(RequestSummary {
        owner: row.try_get("owner")?,
        agent: row.try_get("agent")?,
        request: row.try_get("request")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        sender: row.try_get("sender")?,
        channel: row.try_get("channel")?,
        purpose: row.try_get("purpose")?,
        requested_at: row.try_get("requested_at")?,
        expires_at: row.try_get("expires_at")?,
        changed_at: row.try_get("changed_at")?,
        version: row.try_get("version")?,
        verification: row.try_get("verification")?,
    })
}
