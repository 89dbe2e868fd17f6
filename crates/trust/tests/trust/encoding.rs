//! MessagePack writes one value in many ways, and `rmp-serde` reads them all; of a statement, one alone is believed.

use agent_otp_domain::{Digest, codec};
use agent_otp_trust::{Decision, Roster, Statement as _, Untrusted};

use crate::family::{APPROVER, Family, OWNER, Said, first_roster, key, refused, sign_bytes};

type Rewrite = fn(&[u8]) -> Vec<u8>;

/// Other ways to write an approval which read back as the same value.
const SAME_VALUE: [(&str, Rewrite); 15] = [
    ("an integer of 8 bits that fits 7", |bytes| replaced(bytes, b"\xa6number\x01", b"\xa6number\xcc\x01")),
    ("an integer of 64 bits that fits 7", |bytes| {
        replaced(bytes, b"\xa6number\x01", b"\xa6number\xcf\0\0\0\0\0\0\0\x01")
    }),
    ("a signed integer that fits an unsigned one", |bytes| {
        replaced(bytes, b"\xa7made_at\xcf", b"\xa7made_at\xd3")
    }),
    ("a key as str8", |bytes| replaced(bytes, b"\xa7verdict", b"\xd9\x07verdict")),
    ("a text as str32", |bytes| replaced(bytes, b"\xa7approve", b"\xdb\0\0\0\x07approve")),
    ("bytes as bin16", |bytes| replaced(bytes, b"\xa5nonce\xc4\x10", b"\xa5nonce\xc5\0\x10")),
    ("bytes as an array", |bytes| replaced(bytes, b"\xa5nonce\xc4\x10", b"\xa5nonce\xdc\0\x10")),
    ("a list as array16", |bytes| replaced(bytes, b"\xa9capturers\x91", b"\xa9capturers\xdc\0\x01")),
    ("a struct as map16", |bytes| replaced(bytes, b"\x85\xa7heading", b"\xde\0\x05\xa7heading")),
    ("a struct as map32", |bytes| replaced(bytes, b"\x85\xa7heading", b"\xdf\0\0\0\x05\xa7heading")),
    ("other order of the keys", |bytes| {
        let (rest, expiry) = bytes.split_at(bytes.len() - b"\xaaexpires_at\xcf12345678".len());
        [b"\x85", expiry, rest.strip_prefix(b"\x85").unwrap()].concat()
    }),
    ("an absent option left out", |bytes| {
        let counted = replaced(bytes, b"\x87\xa5owner", b"\x86\xa5owner");
        replaced(&counted, b"\xaacheckpoint\xc0", b"")
    }),
    ("an absent option left out of the verdict", |bytes| {
        let counted = replaced(bytes, b"\x83\xa4type", b"\x82\xa4type");
        replaced(&counted, b"\xa9narrowing\xc0", b"")
    }),
    ("without field names", |bytes| {
        let decision: Decision = codec::decode(bytes).unwrap();
        rmp_serde::to_vec(&decision).unwrap()
    }),
    ("a name as bytes", |bytes| replaced(bytes, b"\xa7shopper", b"\xc4\x07shopper")),
];

/// Other ways to write an approval which cannot be read at all.
const UNREADABLE: [(&str, Rewrite); 6] = [
    ("a trailing byte", |bytes| [bytes, b"\xc0"].concat()),
    ("a second value behind", |bytes| [bytes, bytes].concat()),
    ("an unknown key", |bytes| {
        [&replaced(bytes, b"\x85\xa7heading", b"\x86\xa7heading"), &b"\xa1x\xc0"[..]].concat()
    }),
    ("an unknown key in the verdict", |bytes| replaced(bytes, b"\x83\xa4type", b"\x84\xa1x\xc0\xa4type")),
    ("a doubled key", |bytes| replaced(bytes, b"\x83\xa4type", b"\x84\xa9narrowing\xc0\xa4type")),
    ("a truncated value", |bytes| bytes.split_last().unwrap().1.to_vec()),
];

#[test]
fn another_writing_of_the_same_statement_is_not_canonical_though_the_right_key_signed_it() {
    let family = Family::new();
    let said = Said::by(&family);
    let decision: Decision = codec::decode(&said.approval.payload).unwrap();
    for (way, rewrite) in SAME_VALUE {
        let payload = rewrite(&said.approval.payload);
        assert_ne!(payload, said.approval.payload, "{way}");
        assert_eq!(codec::decode::<Decision>(&payload).ok().as_ref(), Some(&decision), "{way}");
        let signed = sign_bytes(APPROVER, Decision::TYPE, payload);
        refused!(Decision::verify(&signed, &family.book), Untrusted::NotCanonical);
    }
}

#[test]
fn what_is_not_exactly_one_statement_cannot_be_read_though_the_right_key_signed_it() {
    let family = Family::new();
    let said = Said::by(&family);
    for (way, rewrite) in UNREADABLE {
        let payload = rewrite(&said.approval.payload);
        assert_ne!(payload, said.approval.payload, "{way}");
        let signed = sign_bytes(APPROVER, Decision::TYPE, payload);
        refused!(Decision::verify(&signed, &family.book), Untrusted::Decode(_));
    }
}

#[test]
fn a_length_beyond_the_bytes_is_refused_without_waiting_for_them() {
    let family = Family::new();
    for payload in [&b"\xdf\xff\xff\xff\xff"[..], b"\xc6\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b""] {
        let signed = sign_bytes(APPROVER, Decision::TYPE, payload.to_vec());
        refused!(Decision::verify(&signed, &family.book), Untrusted::Decode(_));
    }
}

#[test]
fn another_writing_of_the_same_roster_is_not_canonical() {
    let signed = key(OWNER).sign_roster(&first_roster());
    let payload = replaced(&signed.payload, b"\xa6number\x01", b"\xa6number\xcc\x01");
    assert_eq!(codec::decode::<Roster>(&payload).unwrap(), first_roster());
    refused!(Roster::verify(&sign_bytes(OWNER, Roster::TYPE, payload)), Untrusted::NotCanonical);
}

#[test]
fn a_statement_signed_twice_is_one_statement() {
    let family = Family::new();
    let approval = family.approval(Digest::of(&[b"a request"]));
    let signed = key(APPROVER).sign(&approval);
    let again = sign_bytes(APPROVER, Decision::TYPE, codec::encode(&approval));
    assert_eq!(signed.digest(), again.digest());
    let other = sign_bytes(APPROVER, &Decision::TYPE.replace("v1", "v2"), codec::encode(&approval));
    assert_ne!(signed.digest(), other.digest());
}

/// The bytes with the one place where `from` stands written as `to`.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let place = bytes.windows(from.len()).position(|part| part == from).unwrap();
    let (before, rest) = bytes.split_at(place);
    let after = rest.strip_prefix(from).unwrap();
    assert!(after.windows(from.len()).all(|part| part != from), "{from:?} stands in one place");
    [before, to, after].concat()
}
