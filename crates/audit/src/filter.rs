//! Which events and requests a reader wants: by agent, by type or state, and by time, all of it looked up by an index.

use agent_otp_domain::{EventType, MemberId, Timestamp};
use sqlx::{QueryBuilder, Sqlite};

/// What has to hold of an event, or of a request; what is empty holds of every one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// It is of one of these agents' requests.
    pub agents: Vec<MemberId>,
    /// It is of one of these types. A request's is that of its last event.
    pub types: Vec<EventType>,
    /// It happened then or later, by the relay's clock; a request's last event did.
    pub since: Option<Timestamp>,
    /// It happened before.
    pub until: Option<Timestamp>,
}

/// What the columns of a table are called.
pub(crate) struct Columns {
    pub(crate) kind: &'static str,
    pub(crate) time: &'static str,
}

impl Filter {
    pub(crate) const OF_EVENTS: Columns = Columns { kind: "type", time: "time" };
    pub(crate) const OF_REQUESTS: Columns = Columns { kind: "state", time: "changed_at" };

    /// Adds its conditions to a query that ends within a `WHERE`.
    pub(crate) fn push(&self, query: &mut QueryBuilder<Sqlite>, columns: &Columns) {
        push_words(query, "agent", self.agents.iter().map(ToString::to_string));
        push_words(query, columns.kind, self.types.iter().map(|kind| kind.as_str().to_owned()));
        if self.since.is_some() || self.until.is_some() {
            // Both bounds, always: the planner takes an index for a stretch, and seldom for half of one. Times of one
            // length in UTC stand in the order of their texts.
            let text =
                |time: Option<Timestamp>, end: &str| time.map_or(end.to_owned(), |time| time.to_string());
            query.push(format_args!(" AND {} >= ", columns.time)).push_bind(text(self.since, ""));
            query.push(format_args!(" AND {} < ", columns.time)).push_bind(text(self.until, "~"));
        }
    }
}

/// Nothing, or that the column has one of these values.
fn push_words(query: &mut QueryBuilder<Sqlite>, column: &str, words: impl ExactSizeIterator<Item = String>) {
    if words.len() == 0 {
        return;
    }
    query.push(format_args!(" AND {column} IN ("));
    let mut list = query.separated(", ");
    for word in words {
        list.push_bind(word);
    }
    query.push(")");
}
