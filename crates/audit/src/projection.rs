//! A read model and its place in the log: rows and checkpoint change in one transaction, so that each event counts once.

mod audit_trail;
mod current_state;

use std::future::Future;

use sqlx::sqlite::SqliteConnection;

use crate::fact::Fact;

pub(crate) use audit_trail::{AuditTrail, VERIFIED, verify};
pub(crate) use current_state::CurrentState;

/// What a projection makes of the log.
pub(crate) trait Projection {
    /// Its name in the table of checkpoints.
    const NAME: &'static str;

    /// Writes the rows of facts that it has not seen before, in their order.
    fn apply(
        &self,
        connection: &mut SqliteConnection,
        facts: &[Fact],
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// What one read of the log brought.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The position that it was to begin at.
    pub(crate) from: i64,
    /// In ascending order.
    pub(crate) facts: Vec<Fact>,
}

/// Lets a projection take what it lacks of a batch. Another process may have been faster; that is no error.
pub(crate) async fn project<P: Projection>(
    projection: &P,
    connection: &mut SqliteConnection,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    let position: i64 = sqlx::query_scalar("SELECT position FROM checkpoint WHERE projection = ?")
        .bind(P::NAME)
        .fetch_one(&mut *connection)
        .await?;
    // Somebody has begun this projection anew since the batch was read: what lies before is lacking.
    if position.saturating_add(1) < batch.from {
        return Ok(());
    }
    let seen = batch.facts.partition_point(|fact| fact.position <= position);
    let Some(facts @ [.., last]) = batch.facts.get(seen..) else { return Ok(()) };
    projection.apply(connection, facts).await?;
    sqlx::query("UPDATE checkpoint SET position = ? WHERE projection = ?")
        .bind(last.position)
        .bind(P::NAME)
        .execute(connection)
        .await?;
    Ok(())
}

/// Up to where every projection has come.
pub(crate) async fn position(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT min(position) FROM checkpoint").fetch_one(connection).await
}
