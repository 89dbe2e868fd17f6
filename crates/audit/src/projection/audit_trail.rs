//! Every message of the log with its exact bytes, and whether it is believed. Nothing is left out for being wrong.

use std::collections::BTreeSet;

use agent_otp_domain::{OwnerId, Recorded, causes, codec, excerpt, visible};
use agent_otp_jetstream::readable;
use agent_otp_trust::{Book, VerifiedRequest};
use serde_json::json;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use tracing::warn;

use crate::continuity;
use crate::fact::{Fact, Reading, leaf_hash};
use crate::projection::Projection;

/// The statements prove it.
pub(crate) const VERIFIED: &str = "verified";
/// This auditor has pinned one owner's key, and has no rosters of others.
const ANOTHER_OWNER: &str = "not verifiable here: another owner";
const MISPLACED: &str = "the event stands under another subject than it names";
const UNREADABLE: &str = "the event cannot be read";
/// Stands only until the transaction's end.
const UNDECIDED: &str = "not verified yet";

/// The table `events`.
pub(crate) struct AuditTrail<'a> {
    /// What the statements are verified with.
    pub(crate) book: &'a Book,
}

/// What the columns say of an event.
struct Columns<'a> {
    recorded: Option<&'a Recorded>,
    stream_name: Option<String>,
    time: String,
    data: serde_json::Value,
    verification: &'static str,
}

impl Projection for AuditTrail<'_> {
    const NAME: &'static str = "audit_trail";

    async fn apply(&self, connection: &mut SqliteConnection, facts: &[Fact]) -> Result<(), sqlx::Error> {
        for fact in facts {
            insert(connection, fact, columns(fact, self.book.owner())).await?;
        }
        let events = facts.iter().filter_map(Fact::event);
        let own = events.filter(|recorded| recorded.owner == *self.book.owner());
        let streams: BTreeSet<String> = own.map(|recorded| recorded.key().to_string()).collect();
        for stream in &streams {
            verify(connection, stream, self.book).await?;
        }
        Ok(())
    }
}

fn columns<'a>(fact: &'a Fact, owner: &OwnerId) -> Columns<'a> {
    match &fact.reading {
        Reading::Event(recorded) => Columns {
            recorded: Some(recorded),
            stream_name: Some(recorded.key().to_string()),
            time: recorded.time.to_string(),
            data: readable::event(recorded),
            verification: if recorded.owner == *owner { UNDECIDED } else { ANOTHER_OWNER },
        },
        Reading::Misplaced(recorded) => Columns {
            recorded: Some(recorded),
            stream_name: None,
            time: recorded.time.to_string(),
            data: json!({ "subject": visible(&fact.stored.subject), "names": recorded.key().to_string(), "event": readable::event(recorded) }),
            verification: MISPLACED,
        },
        Reading::Unreadable(error) => Columns {
            recorded: None,
            stream_name: None,
            time: fact.stored.stored_at.to_string(),
            data: json!({ "subject": visible(&fact.stored.subject), "error": causes(error) }),
            verification: UNREADABLE,
        },
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    fact: &Fact,
    columns: Columns<'_>,
) -> Result<(), sqlx::Error> {
    let recorded = columns.recorded;
    // Only a relay that counts nonsense says a version that SQLite's integers do not hold.
    let version = recorded.map(|recorded| i64::try_from(recorded.version.0).unwrap_or(i64::MAX));
    if let (Some(stream), Some(version)) = (&columns.stream_name, version) {
        continuity::check_version(connection, fact.position, stream, version).await?;
    }
    sqlx::query("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(fact.position)
        .bind(recorded.map(|recorded| recorded.id.to_string()))
        .bind(columns.stream_name)
        .bind(version)
        .bind(recorded.map(|recorded| recorded.event.kind().as_str()))
        .bind(columns.time)
        .bind(recorded.map(|recorded| recorded.actor.to_string()))
        .bind(columns.data.to_string())
        .bind(fact.stored.body.as_ref())
        .bind(leaf_hash(&fact.stored.body).as_bytes().as_slice())
        .bind(columns.verification)
        .execute(connection)
        .await?;
    Ok(())
}

/// Verifies the stored events of one request, in the order in which the log holds them, and notes what came of it.
///
/// An event that is not believed changes nothing for those behind it: they stand on the last one that is.
pub(crate) async fn verify(
    connection: &mut SqliteConnection,
    stream: &str,
    book: &Book,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT global_position, body, verification FROM events WHERE stream_name = ? ORDER BY global_position",
    )
    .bind(stream)
    .fetch_all(&mut *connection)
    .await?;
    let mut believed: Option<VerifiedRequest> = None;
    for row in rows {
        let (position, body, noted): (i64, Vec<u8>, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let Ok(recorded) = codec::decode_event(&body) else { continue };
        let next = match &believed {
            Some(believed) => believed.clone().then(&recorded, book),
            None => VerifiedRequest::verify(std::slice::from_ref(&recorded), book),
        };
        let verification = match next {
            Ok(next) => {
                believed = Some(next);
                VERIFIED.to_owned()
            }
            // It may quote the event, which a relay can write as it likes; it is shown among rows that are believed.
            Err(error) => excerpt(&causes(&error)),
        };
        if verification != noted {
            note(connection, position, &verification).await?;
        }
    }
    Ok(())
}

async fn note(
    connection: &mut SqliteConnection,
    position: i64,
    verification: &str,
) -> Result<(), sqlx::Error> {
    if verification != VERIFIED {
        warn!(position, verification, "not believed");
    }
    sqlx::query("UPDATE events SET verification = ? WHERE global_position = ?")
        .bind(verification)
        .bind(position)
        .execute(connection)
        .await?;
    Ok(())
}
