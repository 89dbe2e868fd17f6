//! What an auditor finds wrong, kept until somebody has looked at it.

use agent_otp_jetstream::clock;
use serde::Serialize;
use sqlx::sqlite::SqliteConnection;
use tracing::error;

/// Something that is wrong with the log, with a roster, or with one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Which event, or how far the log had been read.
    pub position: u64,
    /// What is wrong.
    pub what: String,
    /// When it was noticed, as RFC 3339; none for an event that is not believed, because another roster may bring it
    /// belief.
    pub noticed_at: Option<String>,
}

/// Keeps an alarm, and logs it, once: what is noticed again, also after a restart, is known already.
pub(crate) async fn raise(
    connection: &mut SqliteConnection,
    position: i64,
    what: &str,
) -> Result<(), sqlx::Error> {
    let raised = sqlx::query("INSERT OR IGNORE INTO alarms (what, position, noticed_at) VALUES (?, ?, ?)")
        .bind(what)
        .bind(position)
        .bind(clock::now().to_string())
        .execute(connection)
        .await?;
    if raised.rows_affected() > 0 {
        error!(position, what, "alarm");
    }
    Ok(())
}
