//! What an auditor finds wrong, kept until somebody has looked at it.

use agent_otp_jetstream::clock;
use sqlx::sqlite::SqliteConnection;
use tracing::error;

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
