//! Other writings of a statement: MessagePack has many for each value, and one alone is believed.
//!
//! Every field of every kind of writing is gone through in `crates/trust/tests/trust/encoding.rs`.

use agent_otp_agent::WaitError;
use agent_otp_domain::{SignedStatement, pre_authentication_encoding};
use agent_otp_trust::{Decision, Statement as _};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::forgery::statement_of;
use crate::stage::{DESK, PHONE, SHOPPER, Stage, key};
use crate::world::within;

type Rewrite = fn(&[u8]) -> Vec<u8>;

const NOT_CANONICAL: &str = "the statement is not in canonical form";
const UNREADABLE: &str = "the statement cannot be read";

/// Writings of an approval that `rmp-serde` reads, or would if it were left to itself; and what is said of each where
/// even the right key has signed it.
const WRITINGS: [(&str, Rewrite, &str); 8] = [
    ("a wide integer", |bytes| replaced(bytes, b"\xa6number\x01", b"\xa6number\xcc\x01"), NOT_CANONICAL),
    ("a signed integer", |bytes| replaced(bytes, b"\xa7made_at\xcf", b"\xa7made_at\xd3"), NOT_CANONICAL),
    ("a text as str32", |bytes| replaced(bytes, b"\xa7approve", b"\xdb\0\0\0\x07approve"), NOT_CANONICAL),
    ("bytes as bin16", |bytes| replaced(bytes, b"\xa5nonce\xc4\x10", b"\xa5nonce\xc5\0\x10"), NOT_CANONICAL),
    (
        "a list as array16",
        |bytes| replaced(bytes, b"\xa9capturers\x91", b"\xa9capturers\xdc\0\x01"),
        NOT_CANONICAL,
    ),
    (
        "keys in another order",
        |bytes| {
            let (rest, expiry) = bytes.split_at(bytes.len() - b"\xaaexpires_at\xcf12345678".len());
            [b"\x85", expiry, rest.strip_prefix(b"\x85").unwrap()].concat()
        },
        NOT_CANONICAL,
    ),
    (
        "an unknown key",
        |bytes| [&replaced(bytes, b"\x85\xa7heading", b"\x86\xa7heading"), &b"\xa1x\xc0"[..]].concat(),
        UNREADABLE,
    ),
    ("a trailing byte", |bytes| [bytes, b"\xc0"].concat(), UNREADABLE),
];

#[tokio::test]
async fn a_decision_that_the_relay_writes_otherwise_is_obeyed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    for (writing, rewrite, _) in WRITINGS {
        is_refused(&stage, writing, "the signature is wrong", move |signed| SignedStatement {
            payload: rewrite(&signed.payload),
            ..signed.clone()
        })
        .await;
    }
}

#[tokio::test]
async fn a_decision_that_its_own_signer_writes_otherwise_is_obeyed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    for (writing, rewrite, says) in WRITINGS {
        is_refused(&stage, writing, says, move |signed| {
            let payload = rewrite(&signed.payload);
            let bytes = pre_authentication_encoding(Decision::TYPE, &payload);
            let signature = SigningKey::from_bytes(&key(PHONE).seed()).sign(&bytes).to_bytes();
            SignedStatement { payload, signature, ..signed.clone() }
        })
        .await;
    }
}

async fn is_refused(
    stage: &Stage,
    writing: &str,
    says: &str,
    rewrite: impl Fn(&SignedStatement) -> SignedStatement + Send + 'static,
) {
    let pending = stage.ask().await;
    let key = pending.key().clone();
    let request = stage.seen(&key).await;
    stage.double.write(move |recorded| {
        let statement = statement_of(&mut recorded.event);
        let rewritten = rewrite(statement);
        assert_ne!(rewritten.payload, statement.payload);
        *statement = rewritten;
    });
    stage.approver.approve(&request).await.unwrap();
    stage.double.behave();
    let error = within(pending.wait()).await.unwrap_err();
    assert!(matches!(error, WaitError::Untrusted(_)), "{writing}: {error}");
    for party in [SHOPPER, DESK] {
        stage.alarm(party, Some(&key), says).await;
    }
}

/// The bytes with the one place where `from` stands written as `to`.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let place = bytes.windows(from.len()).position(|part| part == from).unwrap();
    let (before, rest) = bytes.split_at(place);
    [before, to, rest.strip_prefix(from).unwrap()].concat()
}
