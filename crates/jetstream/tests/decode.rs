//! Every kind of message as JSON, from its body alone; and streams of them, whole, cut off and full of rubbish.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop"
)]

use std::collections::BTreeSet;

use agent_otp_domain::{
    Actor, Digest, Event, EventId, KeyId, OwnerId, Recorded, RequestId, Role, SealedCode, SignedStatement,
    Timestamp, Version, codec,
};
use agent_otp_jetstream::decode::{Decoder, Reason, Undecodable};
use agent_otp_jetstream::message::{Ask, OpenRequest, RefusalCode, Reply, Sealed};
use agent_otp_jetstream::{Kept, Timer, Verb};
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn every_message_is_told_from_its_body_alone() {
    let told: Vec<String> = messages()
        .iter()
        .map(|(name, body)| {
            let [told] = &decoded(body)[..] else { panic!("{name} is one message") };
            format!("{name}\n{:#}\n", told.as_ref().unwrap())
        })
        .collect();
    insta::assert_snapshot!("messages", told.join("\n"));
}

#[test]
fn no_two_kinds_of_message_have_one_name() {
    let of_commands = Verb::ALL.map(Verb::message_type);
    let named: Vec<&str> =
        of_commands.iter().map(String::as_str).chain(Reply::TYPES).chain([Timer::TYPE, Kept::TYPE]).collect();
    assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len(), "{named:?}");
    let told = messages().into_iter().flat_map(|(_, body)| decoded(&body)).map(Result::unwrap);
    let told: BTreeSet<String> =
        told.filter_map(|told| Some(told.get("type")?.as_str()?.to_owned())).collect();
    for name in named {
        assert!(told.contains(name), "{name} is among the messages above");
    }
}

#[test]
fn a_stream_is_parted_wherever_it_was_read_in_pieces() {
    let messages = messages();
    let whole: Vec<Value> = messages.iter().map(|(_, body)| one(body)).collect();
    for between in [&b""[..], b"\n", b"\n\n"] {
        // An acknowledgement ends with its line.
        let bodies = messages.iter().filter(|(name, _)| !between.is_empty() || !name.starts_with("an ackn"));
        let stream: Vec<u8> = bodies.flat_map(|(_, body)| [body, between].concat()).collect();
        for size in [1, 7, 64, 1_000, stream.len()] {
            let told = told_in_pieces(stream.chunks(size));
            let expected: Vec<&Value> = whole
                .iter()
                .filter(|told| !between.is_empty() || !told["acknowledgement"].is_string())
                .collect();
            assert_eq!(
                told.iter().map(|told| told.as_ref().unwrap()).collect::<Vec<_>>(),
                expected,
                "{size}"
            );
        }
    }
}

#[test]
fn an_event_within_a_reply_is_no_line_of_its_own() {
    let counted = (0..256).find_map(|length| {
        let statement = SignedStatement { payload: vec![0; length], ..signed("denial") };
        let event = codec::encode(&recorded(2, Event::Denied { statement }));
        // Its length ends with the byte of a line feed, and it begins like a message.
        (event.len() % 256 == usize::from(b'\n')).then_some(event)
    });
    let reply = Reply::Events { events: vec![counted.unwrap().into()], now: None };
    assert_eq!(one(&codec::encode(&reply))["events"][0]["type"], "denied.v1");
}

#[test]
fn a_message_is_told_as_soon_as_it_is_whole() {
    for (name, body) in messages().into_iter().filter(|(name, _)| !name.starts_with("an ackn")) {
        let mut decoder = Decoder::default();
        let (last, but_last) = body.split_last().unwrap();
        decoder.feed(but_last);
        assert!(decoder.message().is_none(), "{name}");
        decoder.feed(&[*last]);
        assert!(decoder.message().unwrap().is_ok(), "{name}");
    }
}

#[test]
fn what_a_later_version_added_is_told() {
    let longer = with_a_field(&codec::encode(&recorded(6, Event::Expired)));
    assert_eq!(one(&longer)["unknown"], json!({ "event": { "later": 1 } }));
    let longer = with_a_field(&codec::encode(&Ask::Open { from: Some(7) }));
    assert_eq!(
        one(&longer),
        json!({ "kind": "command", "type": "open.v1", "from": 7, "unknown": { "later": 1 } })
    );
}

#[test]
fn an_event_of_a_type_that_nobody_knows_is_told_as_it_stands() {
    let statement = signed("cancel");
    let bytes = codec::encode(&recorded(6, Event::Cancelled { statement: statement.clone() }));
    let told = one(&replaced(&bytes, b"cancelled.v1", b"cancelled.v9"));
    assert_eq!((&told["type"], &told["version"]), (&json!("cancelled.v9"), &json!(6)));
    assert_eq!(told["data"]["statement"]["digest"], statement.digest().to_string());
    let told = one(&replaced(&codec::encode(&Ask::Roster { number: None }), b"roster.v1", b"roster.v2"));
    assert_eq!(told, json!({ "kind": "unknown", "type": "roster.v2", "number": null }));
}

#[test]
fn a_statement_that_says_something_else_is_told_with_its_bytes() {
    let statement = SignedStatement { payload: b"\x80".to_vec(), ..signed("request") };
    let told = one(&codec::encode(&Ask::Request { statement }));
    assert_eq!((&told["statement"]["payload"], &told["statement"]["reason"]), (&json!("gA=="), &json!(null)));
}

#[test]
fn behind_a_message_that_is_cut_off_the_next_one_is_told() {
    let next = codec::encode(&Ask::Roster { number: Some(41) });
    for (name, body) in messages() {
        for length in 1..body.len() {
            let (part, _) = body.split_at(length);
            let told = decoded(&[part, b"\n", &next].concat());
            let (last, before) = told.split_last().unwrap();
            // What is cut off in the text of its last field may still be a message, as far as its form goes.
            let is_noticed = before.iter().any(Result::is_err)
                || before.iter().any(|told| told.as_ref().unwrap() != &one(&body));
            assert!(is_noticed, "{name} of {length} bytes: {told:?}");
            assert_eq!(last.as_ref().unwrap()["number"], 41, "{name} of {length} bytes");
        }
    }
}

#[test]
fn rubbish_is_passed_over_and_told_with_its_place() {
    let message = codec::encode(&Ask::Roster { number: Some(41) });
    let cut_off = &message[..message.len() - 1];
    let table: [(&[u8], &str); 7] = [
        (b"\xc1\xff\x00", "at byte 24: 0xc1 begins no message; 3 bytes are passed over"),
        (b"hello\n", "at byte 24: 0x68 begins no message; 6 bytes are passed over"),
        (b"\x81\x01\x02", "at byte 24: a message that is damaged; 3 bytes are passed over"),
        (b"\x81\xa1a\x02", "at byte 24: a value without a type; 4 bytes are passed over"),
        (b"{\"a\":}\n", "at byte 24: a message that is damaged; 7 bytes are passed over"),
        (
            cut_off,
            "at byte 24: no whole roster.v1: invalid type: map, expected u64; 23 bytes are passed over",
        ),
        (
            b"\x81\xa4type\xa6get.v1\n",
            "at byte 24: no whole get.v1: missing field `agent`; 14 bytes are passed over",
        ),
    ];
    for (rubbish, expected) in table {
        let stream = [&message, rubbish, &message].concat();
        let told = decoded(&stream);
        let errors: Vec<String> =
            told.iter().filter_map(|told| Some(told.as_ref().err()?.to_string())).collect();
        assert_eq!(errors, [expected]);
        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 2, "{expected}");
    }
}

#[test]
fn what_has_no_end_is_given_up_on() {
    let mut decoder = Decoder::default();
    // A map whose first value is a text of 4 GiB.
    decoder.feed(b"\x81\xa4type\xdb\xff\xff\xff\xff");
    let mut fed = 0;
    let given_up = loop {
        decoder.feed(&[b'a'; 4_096]);
        fed += 4_096;
        assert!(fed <= 1024 * 1024, "it is not given up on");
        // What is passed over is told when a message begins again.
        if fed == 512 * 1024 {
            decoder.feed(&codec::encode(&Ask::Roster { number: Some(41) }));
        }
        if let Some(told) = decoder.message() {
            break told.unwrap_err();
        }
    };
    assert!(matches!(given_up.reason, Reason::TooLong), "{given_up}");
    assert_eq!(decoder.message().unwrap().unwrap()["number"], 41);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_whatever_break_it(bytes in prop::collection::vec(any::<u8>(), 0..2_000), size in 1_usize..200) {
        let told = told_in_pieces(bytes.chunks(size));
        let passed: u64 = told.iter().filter_map(|told| Some(told.as_ref().err()?.passed)).sum();
        prop_assert!(passed <= bytes.len() as u64);
    }

    #[test]
    fn no_damage_whatever_breaks_it(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let (_, mut body) = which.get(&messages()).clone();
        let at = at.index(body.len());
        body[at] = with;
        let told = decoded(&[&body[..], b"\n", &codec::encode(&Ask::Roster { number: Some(41) })].concat());
        prop_assert!(!told.is_empty());
    }
}

/// One message of each kind.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let statement = signed;
    let sealed = || Sealed(SealedCode::new(vec![7; 304]));
    let (expires_at, claim) = (at(300), Digest::of(&[b"nonce"]));
    let requested = recorded(1, Event::Requested { statement: statement("request"), expires_at });
    let approved = Event::Approved {
        statement: statement("approval"),
        expires_at,
        capturers: vec![KeyId::of(&[5; 32])],
    };
    let captured = Event::Captured { statement: statement("capture"), sealed: Digest::of(&[&[7; 304]]) };
    let stored = codec::encode(&requested);
    let open = OpenRequest { agent: requested.agent.clone(), request: requested.request };
    let timer = Timer {
        owner: requested.owner.clone(),
        agent: requested.agent.clone(),
        request: requested.request,
        expires_at,
    };
    vec![
        ("the command `request`", codec::encode(&Ask::Request { statement: statement("request") })),
        ("the command `approve`", codec::encode(&Ask::Approve { statement: statement("approval") })),
        ("the command `deny`", codec::encode(&Ask::Deny { statement: statement("denial") })),
        (
            "the command `capture`",
            codec::encode(&Ask::Capture { statement: statement("capture"), sealed: sealed() }),
        ),
        (
            "the command `consume`",
            codec::encode(&Ask::Consume { statement: statement("consume"), nonce: [5; 16] }),
        ),
        ("the command `cancel`", codec::encode(&Ask::Cancel { statement: statement("cancel") })),
        ("the query `get`", codec::encode(&Ask::Get { agent: open.agent.clone(), request: open.request })),
        ("the query `open`", codec::encode(&Ask::Open { from: None })),
        ("the query `roster`", codec::encode(&Ask::Roster { number: Some(3) })),
        ("the command `enrol`", codec::encode(&Ask::Enrol { statement: statement("roster") })),
        (
            "a reply that all is done",
            codec::encode(&Reply::Done { phase: "approved".to_owned(), version: Version(2) }),
        ),
        ("a reply with the code", codec::encode(&Reply::Code { sealed: sealed() })),
        (
            "a reply with events, one of them damaged",
            codec::encode(&Reply::Events {
                events: vec![stored.clone().into(), vec![0x80].into()],
                now: Some(at(1)),
            }),
        ),
        ("a reply with open requests", codec::encode(&Reply::Open { requests: vec![open], next: Some(257) })),
        ("a reply with a roster", codec::encode(&Reply::Roster { statement: statement("roster") })),
        (
            "a refusal",
            codec::encode(&Reply::Refused {
                code: RefusalCode::OutOfTurn,
                message: "it was\u{202e} consumed".to_owned(),
            }),
        ),
        ("the event `requested`", stored),
        ("the event `approved`", codec::encode(&recorded(2, approved))),
        ("the event `captured`", codec::encode(&recorded(3, captured))),
        (
            "the event `consumed`",
            codec::encode(&recorded(4, Event::Consumed { statement: statement("consume"), claim })),
        ),
        ("the event `denied`", codec::encode(&recorded(2, Event::Denied { statement: statement("denial") }))),
        ("the event `expired`", codec::encode(&recorded(2, Event::Expired))),
        (
            "the event `cancelled`",
            codec::encode(&recorded(2, Event::Cancelled { statement: statement("cancel") })),
        ),
        ("a notice to an agent", codec::encode(&statement("newer"))),
        ("a roster as it is stored", codec::encode(&statement("roster"))),
        ("a timer", codec::encode(&timer)),
        ("a sealed code in the vault", codec::encode(&Kept { sealed: sealed() })),
        ("an answer of NATS", br#"{"stream": "OTP_LOG", "seq": 7}"#.to_vec()),
        ("an acknowledgement", br#"-NAK {"delay":1000000000}"#.to_vec()),
    ]
}

/// A statement of `trust`'s examples.
fn signed(name: &str) -> SignedStatement {
    let hex = match name {
        "request" => include_str!("../../trust/tests/trust/vector/request.v1.hex"),
        "approval" => include_str!("../../trust/tests/trust/vector/approval.v1.hex"),
        "denial" => include_str!("../../trust/tests/trust/vector/denial.v1.hex"),
        "capture" => include_str!("../../trust/tests/trust/vector/capture.v1.hex"),
        "consume" => include_str!("../../trust/tests/trust/vector/consume.v1.hex"),
        "cancel" => include_str!("../../trust/tests/trust/vector/cancel.v1.hex"),
        "newer" => include_str!("../../trust/tests/trust/vector/newer.v1.hex"),
        "roster" => include_str!("../../trust/tests/trust/vector/roster.v1.hex"),
        other => panic!("there is no {other}"),
    };
    codec::decode(&HEXLOWER.decode(hex.replace('\n', "").as_bytes()).unwrap()).unwrap()
}

fn recorded(version: u64, event: Event) -> Recorded {
    Recorded {
        id: EventId::new([9; 16]),
        owner: OwnerId::of(&KeyId::of(&[1; 32])),
        agent: "shopper".parse().unwrap(),
        request: RequestId::new(at(0), [7; 10]),
        version: Version(version),
        time: at(1),
        actor: Actor { role: Role::Agent, member: "shopper".parse().unwrap() },
        event,
    }
}

/// That many seconds after 2026-01-31T12:00:00Z.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_769_860_800_000 + seconds * 1_000)
}

fn one(body: &[u8]) -> Value {
    let mut told = decoded(body);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0).unwrap()
}

fn decoded(bytes: &[u8]) -> Vec<Result<Value, Undecodable>> {
    told_in_pieces([bytes].into_iter())
}

fn told_in_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Result<Value, Undecodable>> {
    let mut decoder = Decoder::default();
    let mut told = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        told.extend(std::iter::from_fn(|| decoder.message()));
    }
    decoder.end();
    told.extend(std::iter::from_fn(|| decoder.message()));
    told
}

/// The bytes with the field `"later": 1` in the map that they end with. MessagePack writes a map of up to 15 fields as
/// `0x80 | fields`, then its fields; the maps here that end with the last byte begin at byte 0, or behind `event`.
fn with_a_field(bytes: &[u8]) -> Vec<u8> {
    let mut longer = [bytes, b"\xa5later\x01"].concat();
    let start = bytes.windows(6).position(|window| window == b"\xa5event").map_or(0, |at| at + 6);
    longer[start] += 1;
    longer
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
