//! Events are stored for ever: the bytes in `stored/` were written once, and keep their meaning.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use agent_otp_domain::codec::{DecodeError, decode_event, encode};
use agent_otp_domain::{
    Actor, Digest, Event, EventId, EventType, KeyId, OwnerId, Recorded, RequestId, Role, SignedStatement,
    Timestamp, Version, causes,
};
use data_encoding::HEXLOWER;

#[test]
fn stored_events_keep_decoding_to_what_was_meant() {
    for (bytes, recorded) in stored() {
        assert_eq!(decode_event(&bytes).unwrap(), recorded);
    }
}

#[test]
fn events_are_written_as_they_were_stored() {
    for (bytes, recorded) in stored() {
        assert_eq!(HEXLOWER.encode(&encode(&recorded)), HEXLOWER.encode(&bytes), "{}", recorded.event.kind());
    }
}

#[test]
fn every_event_is_among_the_stored() {
    assert_eq!(stored().map(|(_, recorded)| recorded.event.kind()), EventType::ALL);
}

#[test]
fn a_field_that_a_later_version_added_is_passed_over() {
    for (bytes, recorded) in stored() {
        let of_the_record = with_a_field(&bytes, 0);
        assert_eq!(decode_event(&of_the_record).unwrap(), recorded);
        let of_the_event = with_a_field(&bytes, start_of(&bytes, b"\xa5event"));
        assert_eq!(decode_event(&of_the_event).unwrap(), recorded);
    }
}

#[test]
fn a_field_beside_those_of_a_signed_statement_is_refused() {
    let (bytes, _) = event_of(EventType::Denied);
    let refused = decode_event(&with_a_field(&bytes, start_of(&bytes, b"\xa9statement")));
    assert!(matches!(refused, Err(DecodeError::Shape(_))), "{refused:?}");
}

#[test]
fn an_event_that_nobody_knows_is_refused() {
    let (bytes, _) = event_of(EventType::Expired);
    let hex =
        HEXLOWER.encode(&bytes).replace(&HEXLOWER.encode(b"expired.v1"), &HEXLOWER.encode(b"expired.v9"));
    let refused = decode_event(&HEXLOWER.decode(hex.as_bytes()).unwrap());
    assert!(matches!(refused, Err(DecodeError::Shape(_))), "{refused:?}");
}

#[test]
fn what_an_error_quotes_of_the_bytes_acts_on_no_screen() {
    let (bytes, _) = event_of(EventType::Expired);
    let hex = HEXLOWER.encode(&bytes);
    let hex = hex.replace(&HEXLOWER.encode(b"expired.v1"), &HEXLOWER.encode(b"\x1b[12A\x1b[08m"));
    let refused = decode_event(&HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap_err();
    let told = causes(&refused);
    assert!(told.contains("<U+001B>[12A<U+001B>[08m"), "{told}");
    assert!(!told.contains('\x1b'), "{told}");
}

#[test]
fn nothing_may_follow_an_event_and_nothing_may_be_missing() {
    for (bytes, _) in stored() {
        let followed = decode_event(&[bytes.as_slice(), &[0xc0]].concat());
        assert!(matches!(followed, Err(DecodeError::Trailing(1))), "{followed:?}");
        for length in 0..bytes.len() {
            let (part, _) = bytes.split_at(length);
            let refused = decode_event(part);
            assert!(matches!(refused, Err(DecodeError::Shape(_))), "{length}: {refused:?}");
        }
    }
}

/// One event of each type: the bytes of its file, and what they mean.
fn stored() -> [(Vec<u8>, Recorded); 7] {
    [
        (
            include_str!("stored/requested.v1.hex"),
            recorded(
                1,
                Role::Agent,
                "shopper",
                Event::Requested { statement: signed(1, "request"), expires_at: ms(300_000) },
            ),
        ),
        (
            include_str!("stored/approved.v1.hex"),
            recorded(
                2,
                Role::Approver,
                "phone",
                Event::Approved {
                    statement: signed(2, "decision"),
                    expires_at: ms(240_000),
                    capturers: vec![KeyId::of(&[3; 32]), KeyId::of(&[4; 32])],
                },
            ),
        ),
        (
            include_str!("stored/captured.v1.hex"),
            recorded(
                3,
                Role::Capturer,
                "mailbox",
                Event::Captured { statement: signed(3, "capture"), sealed: Digest::of(&[b"sealed"]) },
            ),
        ),
        (
            include_str!("stored/consumed.v1.hex"),
            recorded(
                4,
                Role::Agent,
                "shopper",
                Event::Consumed { statement: signed(1, "consume"), claim: Digest::of(&[b"nonce"]) },
            ),
        ),
        (
            include_str!("stored/denied.v1.hex"),
            recorded(2, Role::Approver, "phone", Event::Denied { statement: signed(2, "decision") }),
        ),
        (
            include_str!("stored/expired.v1.hex"),
            Recorded { actor: Actor::relay(), ..recorded(2, Role::Relay, "relay", Event::Expired) },
        ),
        (
            include_str!("stored/cancelled.v1.hex"),
            recorded(2, Role::Agent, "shopper", Event::Cancelled { statement: signed(1, "cancel") }),
        ),
    ]
    .map(|(hex, recorded)| (HEXLOWER.decode(hex.replace('\n', "").as_bytes()).unwrap(), recorded))
}

fn event_of(kind: EventType) -> (Vec<u8>, Recorded) {
    stored().into_iter().find(|(_, recorded)| recorded.event.kind() == kind).unwrap()
}

fn recorded(version: u64, role: Role, member: &str, event: Event) -> Recorded {
    Recorded {
        id: EventId::new([9; 16]),
        owner: OwnerId::of(&KeyId::of(&[0; 32])),
        agent: "shopper".parse().unwrap(),
        request: RequestId::new(ms(0), [7; 10]),
        version: Version(version),
        time: ms(1_000),
        actor: Actor { role, member: member.parse().unwrap() },
        event,
    }
}

/// That many milliseconds after 2026-01-31T12:00:00Z.
fn ms(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_769_860_800_000 + ms)
}

fn signed(key: u8, kind: &str) -> SignedStatement {
    SignedStatement {
        payload_type: format!("application/vnd.agent-otp.{kind}.v1+msgpack"),
        payload: vec![0x80],
        key: KeyId::of(&[key; 32]),
        signature: [key; 64],
    }
}

/// The bytes with the field `"later": 1` at the end of the map that begins at `start` and ends with the last byte.
/// MessagePack writes a map of up to 15 fields as `0x80 | fields`, then its fields.
fn with_a_field(bytes: &[u8], start: usize) -> Vec<u8> {
    let mut longer = [bytes, b"\xa5later\x01"].concat();
    *longer.get_mut(start).unwrap() += 1;
    longer
}

/// Where the value of a field begins; the name is given as it is written, with its length.
fn start_of(bytes: &[u8], name: &[u8]) -> usize {
    bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len()
}
