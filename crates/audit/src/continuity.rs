//! Whether the log's sequences, and each request's versions, follow one another: the log is append-only, so that a break
//! means that an administrator removed or hid events.

use sqlx::sqlite::SqliteConnection;

use crate::alarm;

/// Something that does not follow on what was before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// The event that it shows at.
    pub(crate) position: i64,
    pub(crate) what: String,
}

/// The breaks in one read of the log, which was to begin with `due`.
pub(crate) fn of_sequences(due: i64, found: impl IntoIterator<Item = i64>) -> Vec<Break> {
    let mut due = due.max(1);
    let mut breaks = Vec::new();
    for position in found {
        if position > due {
            let last = position.saturating_sub(1);
            breaks.push(Break { position: last, what: missing(due, last) });
        }
        if position < due {
            let what = format!("the log goes backwards: event {position} comes where event {due} is due");
            breaks.push(Break { position, what });
        }
        due = due.max(position.saturating_add(1));
    }
    breaks
}

fn missing(first: i64, last: i64) -> String {
    if first == last {
        format!("event {first} is missing from the log")
    } else {
        format!("events {first} to {last} are missing from the log")
    }
}

/// Raises an alarm if the event at `position` is not the one that is due in its request.
pub(crate) async fn check_version(
    connection: &mut SqliteConnection,
    position: i64,
    stream: &str,
    version: i64,
) -> Result<(), sqlx::Error> {
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT stream_version FROM events WHERE stream_name = ? ORDER BY global_position DESC LIMIT 1",
    )
    .bind(stream)
    .fetch_optional(&mut *connection)
    .await?;
    let due = last.unwrap_or(0).saturating_add(1);
    if version == due {
        return Ok(());
    }
    let what = format!("request {stream}: version {version} comes at event {position}, where {due} is due");
    alarm::raise(connection, position, &what).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_follow_one_another_have_no_break() {
        for (due, found) in [(0, vec![]), (0, vec![1, 2, 3]), (1, vec![1]), (7, vec![7, 8])] {
            assert_eq!(of_sequences(due, found), []);
        }
    }

    #[test]
    fn a_break_says_what_is_missing_and_where() {
        type Row<'a> = (i64, &'a [i64], &'a [(i64, &'a str)]);
        let table: [Row; 5] = [
            (0, &[3, 4], &[(2, "events 1 to 2 are missing from the log")]),
            (4, &[4, 6], &[(5, "event 5 is missing from the log")]),
            // The event that was read last is gone itself.
            (4, &[6], &[(5, "events 4 to 5 are missing from the log")]),
            (4, &[4, 4], &[(4, "the log goes backwards: event 4 comes where event 5 is due")]),
            (
                5,
                &[9, 2, 10],
                &[
                    (8, "events 5 to 8 are missing from the log"),
                    (2, "the log goes backwards: event 2 comes where event 10 is due"),
                ],
            ),
        ];
        for (due, found, expected) in table {
            let breaks = of_sequences(due, found.iter().copied());
            let breaks: Vec<(i64, &str)> =
                breaks.iter().map(|found| (found.position, &*found.what)).collect();
            assert_eq!(breaks, expected, "{found:?}");
        }
    }
}
