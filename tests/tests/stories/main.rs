//! Whole stories: real programs on a real broker, from what a person types to what stands in the log.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that cannot go on should stop"
)]

mod ambiguity;
mod approve;
mod audit;
mod bench;
mod broker;
mod clock;
mod connection;
mod crash;
mod decode;
mod email;
mod ends;
mod enrol;
mod existing;
mod files;
mod input;
mod keys;
mod late;
mod layout;
mod listen;
mod memory;
mod paste;
mod permissions;
mod race;
mod relays;
mod scratch;
mod secrecy;
mod sender;
mod serve;
mod services;
mod slow;
mod sms;
mod sources;
mod supply;
mod up;

/// A real mail server, as the tests of the user's side have it.
#[expect(dead_code, reason = "they need more of it")]
#[path = "../../../crates/user/tests/sources/dovecot.rs"]
mod dovecot;
#[path = "../../../crates/user/tests/sources/swaks.rs"]
mod swaks;

/// What these two wait with.
mod running {
    pub(crate) use agent_otp_tests::{eventually, within};
}
