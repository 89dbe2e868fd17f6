//! Every request in one row, as its last event left it; behind an end, nothing counts.

use agent_otp_domain::{Purpose, Recorded, visible};
use agent_otp_jetstream::readable::Said;
use sqlx::sqlite::SqliteConnection;

use crate::fact::Fact;
use crate::projection::Projection;

/// The table `requests`. It says what the log says; whether that is believed is for the trail of events to say.
pub(crate) struct CurrentState;

impl Projection for CurrentState {
    const NAME: &'static str = "current_state";

    async fn apply(&self, connection: &mut SqliteConnection, facts: &[Fact]) -> Result<(), sqlx::Error> {
        for fact in facts {
            if let Some(recorded) = fact.event() {
                upsert(connection, fact.position, recorded).await?;
            }
        }
        Ok(())
    }
}

async fn upsert(
    connection: &mut SqliteConnection,
    position: i64,
    recorded: &Recorded,
) -> Result<(), sqlx::Error> {
    let asked = match Said::by(&recorded.event) {
        Some(Said::Request(request)) => Some(request),
        Some(Said::Decision(_) | Said::Capture(_) | Said::Consume(_) | Said::Cancel(_) | Said::Newer(_))
        | None => None,
    };
    let filter = asked.as_ref().map(|request| &request.filter);
    sqlx::query(
        "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (owner, agent, request) DO UPDATE SET
             state = excluded.state, changed_at = excluded.changed_at,
             version = excluded.version, position = excluded.position,
             reason = coalesce(reason, excluded.reason), sender = coalesce(sender, excluded.sender),
             channel = coalesce(channel, excluded.channel), purpose = coalesce(purpose, excluded.purpose),
             requested_at = coalesce(requested_at, excluded.requested_at),
             expires_at = coalesce(expires_at, excluded.expires_at)
         WHERE state NOT IN ('consumed', 'denied', 'expired', 'cancelled')",
    )
    .bind(recorded.owner.to_string())
    .bind(recorded.agent.to_string())
    .bind(recorded.request.to_string())
    .bind(recorded.event.kind().as_str())
    .bind(asked.as_ref().map(|request| request.reason.to_string()))
    .bind(filter.map(|filter| visible(&filter.sender.to_string())))
    .bind(filter.map(|filter| filter.channels.to_string()))
    .bind(filter.and_then(|filter| filter.purpose).map(|purpose: Purpose| purpose.to_string()))
    .bind(asked.as_ref().map(|_| recorded.time.to_string()))
    .bind(asked.as_ref().map(|request| request.expires_at.to_string()))
    .bind(recorded.time.to_string())
    .bind(i64::try_from(recorded.version.0).unwrap_or(i64::MAX))
    .bind(position)
    .execute(connection)
    .await?;
    Ok(())
}
