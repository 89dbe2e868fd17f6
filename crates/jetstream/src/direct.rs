//! Direct gets that answer with several messages (ADR-31): the client's own `request` returns only the first.

use std::time::Duration;

use agent_otp_domain::Timestamp;
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use crate::connection::{Connection, PATIENCE};
use crate::error::StoreError;

/// How long all the messages of one read may take together.
const ALL_WITHIN: Duration = Duration::from_secs(10);

/// The header that the server adds to every stored message, and to nothing else.
const SEQUENCE: &str = "Nats-Sequence";

/// A stored message as a direct get returns it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) body: Bytes,
}

/// Reads until the server says that there is no more. It may go on for ever, so there is a bound to how many and how long.
pub(crate) async fn get_many(
    connection: &Connection,
    stream: &str,
    query: &serde_json::Value,
    at_most: usize,
) -> Result<Vec<Stored>, StoreError> {
    let doing = "read of several messages";
    let client = &connection.client;
    let inbox = client.new_inbox();
    let mut answers = client
        .subscribe(inbox.clone())
        .await
        .map_err(|error| StoreError::unreachable(doing)(error.into()))?;
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    client
        .publish_with_reply(subject, inbox, query.to_string().into())
        .await
        .map_err(|error| StoreError::unreachable(doing)(error.into()))?;
    let mut found = Vec::new();
    let deadline = Instant::now() + ALL_WITHIN;
    loop {
        let patience = deadline.min(Instant::now() + PATIENCE);
        let answer = tokio::time::timeout_at(patience, answers.next())
            .await
            .map_err(|elapsed| StoreError::unreachable(doing)(elapsed.into()))?
            .ok_or_else(|| StoreError::unreachable(doing)("the connection was closed".into()))?;
        match status(&answer) {
            None | Some(200) if found.len() < at_most => found.push(stored(answer)?),
            None | Some(200) => {
                let error = format!("more than the {at_most} messages that were asked for");
                return Err(StoreError::unreachable(doing)(error.into()));
            }
            // 204: that was all. 404: there is none.
            Some(204 | 404) => return Ok(found),
            Some(status) => {
                let description = answer.description.unwrap_or_default();
                return Err(StoreError::unreachable(doing)(format!("status {status}: {description}").into()));
            }
        }
    }
}

/// Reads one message, if there is one.
pub(crate) async fn get_one(
    connection: &Connection,
    stream: &str,
    query: &serde_json::Value,
) -> Result<Option<Stored>, StoreError> {
    let doing = "read of a message";
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    let answer = connection.client.request(subject, query.to_string().into()).await;
    let answer = answer.map_err(|error| StoreError::unreachable(doing)(error.into()))?;
    match status(&answer) {
        None | Some(200) => stored(answer).map(Some),
        Some(404) => Ok(None),
        Some(status) => Err(StoreError::unreachable(doing)(format!("status {status}").into())),
    }
}

/// What the server says instead of a stored message. One that is stored has the status that its publisher gave it.
fn status(answer: &Message) -> Option<u16> {
    let is_stored = answer.headers.as_ref().is_some_and(|headers| text(headers, SEQUENCE).is_some());
    answer.status.filter(|_| !is_stored).map(|status| status.as_u16())
}

fn stored(message: Message) -> Result<Stored, StoreError> {
    let headers = message.headers.unwrap_or_default();
    let header = |name: &str| text(&headers, name);
    let parsed = || {
        Some(Stored {
            subject: header("Nats-Subject")?,
            sequence: header(SEQUENCE)?.parse().ok()?,
            time: header("Nats-Time-Stamp")?.parse().ok()?,
            body: message.payload.clone(),
        })
    };
    parsed().ok_or_else(|| {
        StoreError::unreachable("read of several messages")("an answer lacks its headers".into())
    })
}

/// The text of a header that the server adds: the last of its name, because whoever published the message may have given it
/// others, and the server's come behind those.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_last(name).map(|value| value.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use async_nats::StatusCode;

    use super::*;

    #[test]
    fn a_stored_message_is_none_of_the_servers_own_whatever_status_its_publisher_gave_it() {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Num-Pending", "0");
        let mut answer = Message {
            subject: "_INBOX.x".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(headers.clone()),
            status: StatusCode::from_u16(204).ok(),
            description: None,
            length: 0,
        };
        assert_eq!(status(&answer), Some(204));
        headers.insert(SEQUENCE, "7");
        answer.headers = Some(headers);
        assert_eq!(status(&answer), None);
    }
}
