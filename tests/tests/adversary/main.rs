//! A relay and a broker in the attacker's hands, against the real agent, approver, capturer and auditor: each attack fails
//! at the party that it is aimed at, and leaves an alarm there. The table in `docs/SECURITY.md` names them all.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a lie is about one kind of message and leaves the others as they are"
)]

mod capture;
mod decision;
mod double;
mod encoding;
mod enrolment;
mod forgery;
mod key;
mod nonce;
mod outsider;
mod revoked;
mod roster;
mod served;
mod shown;
mod stage;
#[expect(dead_code, reason = "others stop their broker, too")]
#[path = "../../../crates/jetstream/tests/jetstream/world.rs"]
mod world;
