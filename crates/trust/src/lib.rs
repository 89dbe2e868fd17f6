//! Who said it: identity keys, the roster, signed statements and their verification. Pure.

mod book;
pub mod enrolment;
mod history;
mod identity;
mod payload;
mod roster;
mod statement;
mod succession;

pub use book::{Book, RosterError, Seen};
pub use history::VerifiedRequest;
pub use identity::{IdentityKey, KeyError, PublicKey};
pub use payload::{
    Cancel, Capture, Checkpoint, Consume, Decision, Evidence, Heading, Newer, Nonce, Recipient, Request,
    SenderCheck, Verdict,
};
pub use roster::{ChangeError, Limits, Member, Revocation, Roster, RosterRef};
pub use statement::{Statement, Untrusted};
pub use succession::Succession;
