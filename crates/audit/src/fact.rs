//! One message of the log as the projections take it: decoded as far as it can be, and not yet believed.

use agent_otp_domain::codec::{self, DecodeError};
use agent_otp_domain::{Digest, Recorded};
use agent_otp_jetstream::StoredEvent;

/// A message of the log.
#[derive(Debug)]
pub(crate) struct Fact {
    /// Its sequence in the stream.
    pub(crate) position: i64,
    pub(crate) stored: StoredEvent,
    pub(crate) reading: Reading,
}

/// What a message's bytes are.
#[derive(Debug)]
pub(crate) enum Reading {
    /// An event, under the subject that it names.
    Event(Recorded),
    /// An event under another subject than it names: it belongs to no request.
    Misplaced(Recorded),
    /// No event.
    Unreadable(DecodeError),
}

impl Fact {
    pub(crate) fn new(position: i64, stored: StoredEvent) -> Self {
        let reading = match codec::decode_event(&stored.body) {
            Ok(recorded) if stands_where_it_says(&stored.subject, &recorded) => Reading::Event(recorded),
            Ok(recorded) => Reading::Misplaced(recorded),
            Err(error) => Reading::Unreadable(error),
        };
        Self { position, stored, reading }
    }

    /// The event, if it belongs to the request that it names.
    pub(crate) fn event(&self) -> Option<&Recorded> {
        match &self.reading {
            Reading::Event(recorded) => Some(recorded),
            Reading::Misplaced(_) | Reading::Unreadable(_) => None,
        }
    }
}

/// A subject ends with the request and the type.
fn stands_where_it_says(subject: &str, recorded: &Recorded) -> bool {
    subject.ends_with(&format!(".{}.{}", recorded.key(), recorded.event.kind()))
}

/// The hash of a leaf of the log's Merkle tree (RFC 6962 section 2.1).
pub(crate) fn leaf_hash(body: &[u8]) -> Digest {
    Digest::of(&[&[0], body])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first leaves of the tree that the Certificate Transparency project tests with.
    #[test]
    fn a_leaf_hash_is_that_of_rfc_6962() {
        let table: [(&[u8], &str); 3] = [
            (b"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (b"\0", "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
            (b"\x10", "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7"),
        ];
        for (body, hash) in table {
            assert_eq!(leaf_hash(body).to_string(), hash);
        }
    }
}
