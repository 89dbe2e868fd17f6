//! The reading side: everything comes from the file, opened read-only, whether or not a broker runs.

use std::path::Path;
use std::time::Duration;

use agent_otp_domain::{Alarm, RequestId, Role};
use serde::Serialize;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};
use tokio::time::{sleep, timeout};

use crate::database::{self, OpenError};
use crate::filter::Filter;
use crate::projection::{self, VERIFIED};

/// How often a reader that waits looks at the checkpoint.
const LOOK: Duration = Duration::from_millis(20);

/// An audit trail, for reading.
#[derive(Debug)]
pub struct Trail {
    connection: SqliteConnection,
    /// What `PRAGMA data_version` said last.
    data_version: Option<i64>,
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
        Ok(Self { connection: database::open_read_only(path).await?, data_version: None })
    }

    /// Up to which event of the log the trail has come.
    ///
    /// # Errors
    ///
    /// [`TrailError`] if the file cannot be read.
    pub async fn position(&mut self) -> Result<u64, TrailError> {
        Ok(projection::position(&mut self.connection).await?.unsigned_abs())
    }

    /// Whether somebody has written the file since this was last asked; the first time it is so.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn has_changed(&mut self) -> Result<bool, TrailError> {
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.connection).await?;
        Ok(self.data_version.replace(version) != Some(version))
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

    /// The requests that changed last, of those that the filter admits, the latest first.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn requests(&mut self, filter: &Filter, limit: u32) -> Result<Vec<RequestSummary>, TrailError> {
        let mut query = QueryBuilder::new("SELECT * FROM requests_with_verification WHERE true");
        filter.push(&mut query, &Filter::OF_REQUESTS);
        query.push(" ORDER BY position DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut self.connection).await?;
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

    /// The events behind position `after` that the filter admits, in the log's order, at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn events(
        &mut self,
        filter: &Filter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, TrailError> {
        let mut query = positions(filter, after);
        query.push(" ORDER BY global_position LIMIT ").push_bind(limit).push(") ORDER BY global_position");
        let rows = query.build().fetch_all(&mut self.connection).await?;
        rows.iter().map(entry).collect()
    }

    /// The position behind which the last `count` events stand that the filter admits.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn before_last(&mut self, filter: &Filter, count: u32) -> Result<u64, TrailError> {
        let mut query = QueryBuilder::new("SELECT min(global_position) - 1 FROM (");
        query.push("SELECT global_position FROM events WHERE true");
        filter.push(&mut query, &Filter::OF_EVENTS);
        query.push(" ORDER BY global_position DESC LIMIT ").push_bind(count).push(")");
        let position: Option<i64> = query.build_query_scalar().fetch_one(&mut self.connection).await?;
        Ok(position.unwrap_or_default().unsigned_abs())
    }

    /// What is wrong: with the log as a whole, with a roster, or with an event of the owner's.
    ///
    /// # Errors
    ///
    /// As [`Trail::position`].
    pub async fn alarms(&mut self) -> Result<Vec<Alarm>, TrailError> {
        let rows = sqlx::query(
            "SELECT position, what, noticed_at, NULL AS stream_name FROM alarms
             UNION ALL SELECT global_position, verification, NULL, stream_name FROM doubts ORDER BY 1, 2",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let alarm = |row: &SqliteRow| {
            let stream: Option<String> = row.try_get(3)?;
            Ok(Alarm {
                noticed_by: Role::Auditor.to_string(),
                position: row.try_get(0)?,
                request: stream.and_then(|stream| stream.rsplit('.').next()?.parse().ok()),
                what: row.try_get(1)?,
                noticed_at: row.try_get(2)?,
            })
        };
        rows.iter().map(alarm).collect()
    }
}

/// All columns of the events that the filter admits, up to where the inner query is ordered and limited: it needs the
/// index alone.
fn positions(filter: &Filter, after: u64) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT * FROM events WHERE global_position IN (SELECT global_position FROM events WHERE global_position > ",
    );
    query.push_bind(i64::try_from(after).unwrap_or(i64::MAX));
    filter.push(&mut query, &Filter::OF_EVENTS);
    query
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

#[cfg(test)]
mod tests {
    use agent_otp_domain::{EventType, Timestamp};
    use sqlx::AssertSqlSafe;

    use super::*;

    #[tokio::test]
    async fn agent_type_and_time_are_looked_up_by_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = database::open(&dir.path().join("audit.db")).await.unwrap();
        let agents = Filter { agents: vec!["shopper".parse().unwrap()], ..Filter::default() };
        let types = Filter { types: vec![EventType::Denied, EventType::Expired], ..Filter::default() };
        let since = Filter { since: Some(Timestamp::from_unix_ms(0)), ..Filter::default() };
        let until = Filter { until: since.since, ..Filter::default() };
        let all = Filter { since: since.since, types: types.types.clone(), ..agents.clone() };
        for (filter, indices) in [
            (Filter::default(), vec!["INTEGER PRIMARY KEY"]),
            (agents, vec!["events_by_agent"]),
            (types, vec!["events_by_type"]),
            (since, vec!["events_by_time"]),
            (until, vec!["events_by_time"]),
            (all, vec!["events_by_agent", "events_by_type", "events_by_time"]),
        ] {
            let mut query = positions(&filter, 7);
            query.push(" ORDER BY global_position LIMIT 10) ORDER BY global_position");
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", query.into_string()));
            let rows = sqlx::query(explain).fetch_all(&mut connection).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(!plan.iter().any(|step| step.starts_with("SCAN events")), "{plan:?}");
            let inner = plan.iter().rfind(|step| step.starts_with("SEARCH events")).unwrap();
            assert!(indices.iter().any(|index| inner.contains(index)), "{plan:?}");
        }
    }
}
