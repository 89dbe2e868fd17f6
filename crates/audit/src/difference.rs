//! What two trails say differently: `main`, which is in use, and `fresh`, which was just made from the log.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};

/// How many are told one by one.
const TOLD_MAX: u32 = 20;

/// The rows that are not the same in both.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) count: u64,
    /// The first of them: which row, and what is different.
    pub(crate) first: Vec<String>,
}

/// A table that comes from the log alone.
struct Table {
    name: &'static str,
    key: &'static str,
    /// How a row is called.
    row: &'static str,
    /// Everything but the key; the first one is never NULL.
    columns: &'static [&'static str],
}

const TABLES: [Table; 2] = [
    Table {
        name: "events",
        key: "global_position",
        row: "'event ' || global_position",
        columns: &[
            "time",
            "id",
            "stream_name",
            "stream_version",
            "type",
            "actor",
            "data",
            "body",
            "leaf_hash",
            "verification",
        ],
    },
    Table {
        name: "requests",
        key: "owner, agent, request",
        row: "'request ' || owner || '.' || agent || '.' || request",
        columns: &[
            "state",
            "reason",
            "sender",
            "channel",
            "purpose",
            "requested_at",
            "expires_at",
            "changed_at",
            "version",
            "position",
        ],
    },
];

/// Compares every row, both being at the same position.
pub(crate) async fn between(connection: &mut SqliteConnection) -> Result<Differences, sqlx::Error> {
    let mut differences = Differences::default();
    for table in &TABLES {
        let rows = sqlx::query(AssertSqlSafe(table.query())).fetch_all(&mut *connection).await?;
        if let Some(row) = rows.first() {
            differences.count = differences.count.saturating_add(row.try_get(1)?);
        }
        for row in rows {
            differences.first.push(row.try_get(0)?);
        }
    }
    Ok(differences)
}

impl Table {
    /// Which rows differ and how, and in each row how many there are.
    fn query(&self) -> String {
        let Self { name, key, row, columns } = self;
        let list = |each: &dyn Fn(&&str) -> String| columns.iter().map(each).collect::<Vec<_>>().join(", ");
        let (live, fresh) =
            (list(&|column| format!("live.{column}")), list(&|column| format!("fresh.{column}")));
        let different = list(&|column| format!("iif(live.{column} IS NOT fresh.{column}, '{column}', NULL)"));
        let present = columns.first().copied().unwrap_or_default();
        format!(
            "SELECT {row} || CASE
                 WHEN live.{present} IS NULL THEN ' is not in the trail'
                 WHEN fresh.{present} IS NULL THEN ' is not in the log'
                 ELSE ' has another ' || concat_ws(', ', {different}) END,
                 count(*) OVER ()
             FROM main.{name} AS live FULL JOIN fresh.{name} AS fresh USING ({key})
             WHERE ({live}) IS NOT ({fresh})
             ORDER BY {key} LIMIT {TOLD_MAX}"
        )
    }
}
