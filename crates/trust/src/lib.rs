//! Who said it: identity keys, the roster, signed statements and their verification. Pure.

mod book;
mod history;
mod identity;
mod roster;
mod statement;

pub use book::{Book, RosterError, Seen};
pub use history::VerifiedRequest;
pub use identity::{IdentityKey, KeyError, PublicKey};
pub use roster::{Limits, Member, Revocation, Roster, RosterRef};
pub use statement::{
    Cancel, Capture, Checkpoint, Consume, Decision, Evidence, Heading, Nonce, Recipient, Request,
    SenderCheck, Statement, Untrusted, Verdict,
};
