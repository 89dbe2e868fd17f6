//! What can be asked of the relay, after the statement behind it was verified.

use crate::{Digest, KeyId, SignedStatement, Timestamp};

/// A verified command: what the rules need of the statement, and the statement itself to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// An agent asks for a code.
    Request {
        /// The signed request.
        statement: SignedStatement,
        /// When the agent made it, by its own clock.
        made_at: Timestamp,
        /// When it lapses.
        expires_at: Timestamp,
    },
    /// The user approves.
    Approve {
        /// The signed decision.
        statement: SignedStatement,
        /// The request that was approved.
        request: Digest,
        /// When the user approved, by the approver's clock.
        made_at: Timestamp,
        /// Until when the approval may be used.
        expires_at: Timestamp,
        /// The keys of the capturers that may act on it.
        capturers: Vec<KeyId>,
    },
    /// The user denies, or takes an approval back.
    Deny {
        /// The signed decision.
        statement: SignedStatement,
        /// The request that was denied.
        request: Digest,
    },
    /// A capturer hands in the sealed code.
    Capture {
        /// The signed capture.
        statement: SignedStatement,
        /// The decision that it acts on.
        decision: Digest,
        /// SHA-256 of the sealed code.
        sealed: Digest,
    },
    /// The agent claims the code.
    Consume {
        /// The signed claim.
        statement: SignedStatement,
        /// The capture that is claimed.
        capture: Digest,
        /// SHA-256 of the claim's nonce.
        claim: Digest,
    },
    /// The agent takes its request back.
    Cancel {
        /// The signed cancellation.
        statement: SignedStatement,
        /// The request that is taken back.
        request: Digest,
    },
    /// The relay's clock says that the deadline has passed.
    Expire,
}
