//! Statements and a roster as they were first written: stored bytes must verify for ever.

use agent_otp_domain::{SignedStatement, codec};
use agent_otp_trust::{Cancel, Capture, Consume, Decision, Newer, Request, Roster, Statement};
use data_encoding::HEXLOWER;

use crate::family::{Family, OWNER, Said, first_roster, key};

#[test]
fn the_payload_types_are_what_they_always_were() {
    assert_eq!(Roster::TYPE, "application/vnd.agent-otp.roster.v1+msgpack");
    assert_eq!(Request::TYPE, "application/vnd.agent-otp.request.v1+msgpack");
    assert_eq!(Decision::TYPE, "application/vnd.agent-otp.decision.v1+msgpack");
    assert_eq!(Capture::TYPE, "application/vnd.agent-otp.capture.v1+msgpack");
    assert_eq!(Consume::TYPE, "application/vnd.agent-otp.consume.v1+msgpack");
    assert_eq!(Cancel::TYPE, "application/vnd.agent-otp.cancel.v1+msgpack");
    assert_eq!(Newer::TYPE, "application/vnd.agent-otp.newer.v1+msgpack");
}

#[test]
fn the_stored_roster_verifies_and_is_what_is_written_today() {
    let stored = stored(include_str!("vector/roster.v1.hex"));
    assert_eq!(Roster::verify(&stored).unwrap(), first_roster());
    assert_eq!(key(OWNER).sign_roster(&first_roster()), stored);
}

#[test]
fn the_stored_statements_verify_and_are_what_is_written_today() {
    let said = Said::by(&Family::new());
    verifies::<Request>(include_str!("vector/request.v1.hex"), &said.request);
    verifies::<Decision>(include_str!("vector/approval.v1.hex"), &said.approval);
    verifies::<Decision>(include_str!("vector/denial.v1.hex"), &said.denial);
    verifies::<Capture>(include_str!("vector/capture.v1.hex"), &said.capture);
    verifies::<Consume>(include_str!("vector/consume.v1.hex"), &said.consume);
    verifies::<Cancel>(include_str!("vector/cancel.v1.hex"), &said.cancel);
    verifies::<Newer>(include_str!("vector/newer.v1.hex"), &said.newer);
}

fn verifies<S: Statement>(hex: &str, written: &SignedStatement) {
    let stored = stored(hex);
    assert!(S::verify(&stored, &Family::new().book).is_ok(), "{}", S::TYPE);
    assert_eq!(stored, *written);
}

fn stored(hex: &str) -> SignedStatement {
    codec::decode(&HEXLOWER.decode(hex.replace('\n', "").as_bytes()).unwrap()).unwrap()
}
