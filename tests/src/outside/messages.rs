//! Messages from the broker, one by one and as a stream.

use std::fmt::Debug;

use agent_otp_domain::{Recorded, SignedStatement, codec};
use agent_otp_jetstream::decode::{Decoder, Undecodable};
use agent_otp_jetstream::message::{Ask, Reply};
use agent_otp_jetstream::{Kept, Timer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A message that is read says the same when it is written and read again, and a stream is told to its end.
pub fn messages(bytes: &[u8]) {
    reads_back::<Recorded>(bytes);
    reads_back::<SignedStatement>(bytes);
    reads_back::<Ask>(bytes);
    reads_back::<Reply>(bytes);
    reads_back::<Timer>(bytes);
    reads_back::<Kept>(bytes);

    let whole = told(bytes, bytes.len());
    let passed: u64 = whole.iter().filter_map(|told| Some(told.as_ref().err()?.passed)).sum();
    assert!(passed <= bytes.len() as u64, "no byte is passed over twice");
    let in_pieces = told(bytes, bytes.len() / 3);
    let told: Option<Vec<&Value>> = whole.iter().map(|told| told.as_ref().ok()).collect();
    if let Some(told) = told {
        let in_pieces: Vec<_> = in_pieces.iter().filter_map(|told| told.as_ref().ok()).collect();
        assert_eq!(told, in_pieces, "messages without rubbish are the same however they were read");
    }
}

fn reads_back<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(read) = codec::decode::<T>(bytes) else { return };
    let again: T = codec::decode(&codec::encode(&read)).expect("what was written is read");
    assert_eq!(again, read);
}

/// What is told of a stream that comes in pieces of this size.
fn told(bytes: &[u8], size: usize) -> Vec<Result<Value, Undecodable>> {
    let mut decoder = Decoder::default();
    let mut told = Vec::new();
    for piece in bytes.chunks(size.max(1)) {
        decoder.feed(piece);
        told.extend(std::iter::from_fn(|| decoder.message()));
    }
    decoder.end();
    told.extend(std::iter::from_fn(|| decoder.message()));
    assert!(told.len() <= bytes.len(), "every message has a byte at least");
    told
}
