//! How somebody on another machine becomes a member: proves a token, shows a key of its own, and both sides come to the
//! same six words.
//!
//! Whoever stands between, the broker above all, is not believed: every message bears a [`Mac`] by the token's secret. And
//! who has seen the token can swap the key, but not so that the words agree: the joiner is bound to its key and nonce
//! before it hears the owner's nonce, and opens them after.

mod joiner;
mod owner;
mod proof;
mod token;
mod words;

use agent_otp_domain::{Digest, MemberId, OwnerId, Role, SignedStatement, UserId};
use serde::{Deserialize, Serialize};

pub use joiner::{Enrolled, EnrolmentError, Joining, Revealed};
pub use owner::{Admitted, Candidate, Committed, Invited};
pub use proof::Mac;
pub use token::{Invitation, Token, TokenError};
pub use words::Words;

use crate::{Nonce, PublicKey};

/// What the joiner says, in this order.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and not for long")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Said {
    /// It is bound to a key that it does not show yet.
    #[serde(rename = "commit.v1")]
    Commit {
        /// SHA-256 of the nonce, the key and the NATS user that are to come.
        commitment: Digest,
        /// Proves the token.
        mac: Mac,
    },
    /// It shows the key.
    #[serde(rename = "reveal.v1")]
    Reveal {
        /// Made for this enrolment.
        nonce: Nonce,
        /// The key that its statements will be signed with.
        public_key: PublicKey,
        /// How its NATS user is known: another key, which signs nothing of ours.
        user: UserId,
        /// A signed [`Possession`].
        possession: SignedStatement,
        /// Proves the token.
        mac: Mac,
    },
    /// It has verified the roster that names it, and keeps its key.
    #[serde(rename = "kept.v1")]
    Kept {
        /// Proves the token.
        mac: Mac,
    },
    /// It asks whether the owner's side is still there. That is no try.
    #[serde(rename = "waiting.v1")]
    Waiting {},
    /// It has given up.
    #[serde(rename = "leave.v1")]
    Leave {},
}

/// What the owner's side answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Answer {
    /// To a commitment: what the joiner could not know.
    #[serde(rename = "challenge.v1")]
    Challenge {
        /// Made for this enrolment.
        nonce: Nonce,
        /// The owner's latest roster.
        roster: SignedStatement,
        /// Proves the token.
        mac: Mac,
    },
    /// To a key, once the owner has confirmed the words.
    #[serde(rename = "welcome.v1")]
    Welcome {
        /// The roster that names the new member.
        roster: SignedStatement,
        /// Proves the token.
        mac: Mac,
    },
    /// To whoever has kept its key.
    #[serde(rename = "closed.v1")]
    Closed {},
    /// To whoever asks: a person is comparing the words.
    #[serde(rename = "wait.v1")]
    Wait {},
    /// The token is worth nothing any more.
    #[serde(rename = "void.v1")]
    Void {
        /// Why.
        why: Void,
    },
}

/// Why a token is worth nothing any more. There is one guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Void {
    /// Somebody came who could not prove it, or does not hold the key that was shown.
    #[error("what was sent does not prove the token: somebody tried to guess it, or changed it on its way")]
    Proof,
    /// Somebody came twice.
    #[error("it was used twice, by another machine or by another attempt")]
    Twice,
    /// What came was no message of an enrolment.
    #[error("what was sent cannot be read")]
    Malformed,
    /// The words were not confirmed.
    #[error("the six words were not confirmed on the owner's side")]
    Words,
    /// Ten minutes have passed.
    #[error("its ten minutes are over")]
    Lapsed,
    /// The owner's side was ended.
    #[error("the owner's side has given up")]
    Stopped,
    /// The joiner was ended.
    #[error("the other machine has given up")]
    Left,
    /// The owner's side could not do it.
    #[error("the owner's side could not enrol it, and says why there")]
    Failed,
}

/// What the new key signs, so that nobody enrols a key that is another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Possession {
    /// Whose member it is to be.
    pub owner: OwnerId,
    /// In which role.
    pub role: Role,
    /// Under which name.
    pub name: MemberId,
    /// Everything that both sides have said, as a digest.
    pub transcript: Digest,
}

impl Possession {
    /// What a signed possession is, before its version.
    pub const TYPE: &'static str = "application/vnd.agent-otp.possession.v1+msgpack";
}
