//! How a statement is verified: signature over the stored bytes first, then everything that it says.

use agent_otp_domain::codec::{self, DecodeError};
use agent_otp_domain::{EventType, FilterError, KeyId, OwnerId, Role, SignedStatement, Timestamp, excerpt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Book, Heading, Member};

/// Why a statement, or a history of them, is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// Another kind or version of statement.
    #[error("a statement of type {found} stands where {expected} belongs")]
    WrongType {
        /// What it is: an [`excerpt`] of what it says before anything of it is verified.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// No roster that was seen names the key.
    #[error("the key {key} is in no roster of this owner")]
    UnknownKey {
        /// Which key.
        key: KeyId,
    },
    /// The signature does not fit the bytes.
    #[error("the signature is wrong")]
    Signature,
    /// The bytes are no such statement.
    #[error("the statement cannot be read")]
    Decode(#[from] DecodeError),
    /// The bytes are another writing of the statement than its signer's program makes.
    #[error("the statement is not in canonical form")]
    NotCanonical,
    /// Parts of it do not fit together.
    #[error("the statement contradicts itself: {what}")]
    Malformed {
        /// Which parts.
        what: &'static str,
    },
    /// Its filter cannot be used.
    #[error("the filter cannot be used")]
    Filter(#[from] FilterError),
    /// It says another owner, agent, request or signer than it stands for.
    #[error("the statement is about another {what}")]
    Elsewhere {
        /// What differs.
        what: &'static str,
    },
    /// The roster that it names has not been seen: fetch it, then verify again.
    #[error("roster {number} is not known")]
    RosterUnknown {
        /// Which one.
        number: u64,
    },
    /// The key has no such role in the roster that the statement names.
    #[error("roster {number} names no {role} with the key {key}")]
    NotAMember {
        /// Which key.
        key: KeyId,
        /// Which role it should have.
        role: Role,
        /// In which roster.
        number: u64,
    },
    /// No succession leads from the owner's first key to the one that signed.
    #[error("the key {key} does not stand for the owner {owner}")]
    NotTheOwner {
        /// Which key.
        key: KeyId,
        /// For whom it should stand.
        owner: OwnerId,
    },
    /// The key was revoked.
    #[error("the key {key} was revoked at {at}")]
    Revoked {
        /// Which key.
        key: KeyId,
        /// Since when.
        at: Timestamp,
    },
    /// It does not belong to the statement that it names.
    #[error("the statement does not belong to what was {what}")]
    Unbound {
        /// To which it should belong.
        what: EventType,
    },
    /// The stored event says another thing than its statement.
    #[error("the event says another thing than its statement")]
    EventDiffers,
    /// Another history of the same request was served before.
    #[error("the request was served before with another history")]
    Contradicted,
    /// Events are missing, doubled or out of order.
    #[error("the history is not whole at version {version}")]
    History {
        /// Where.
        version: u64,
    },
}

/// What all statements about a request have in common.
pub trait Statement: Serialize + DeserializeOwned {
    /// The payload type, with its version.
    const TYPE: &'static str;
    /// Who may make it.
    const ROLE: Role;

    /// About what, by whom, when.
    fn heading(&self) -> &Heading;

    /// Whether its parts fit together, whoever signed.
    ///
    /// # Errors
    ///
    /// [`Untrusted`] names the parts that do not.
    fn check(&self, signer: &Member) -> Result<(), Untrusted>;

    /// Verifies a statement as it stood when it was made: for those who read old events.
    ///
    /// # Errors
    ///
    /// [`Untrusted`] says why it is not believed; [`Untrusted::RosterUnknown`] and [`Untrusted::UnknownKey`] may
    /// mean only that `book` lacks a roster.
    fn verify(signed: &SignedStatement, book: &Book) -> Result<Self, Untrusted> {
        if signed.payload_type != Self::TYPE {
            return Err(Untrusted::WrongType { found: excerpt(&signed.payload_type), expected: Self::TYPE });
        }
        let key = book.key(&signed.key).ok_or_else(|| Untrusted::UnknownKey { key: signed.key.clone() })?;
        if !key.has_signed(signed) {
            return Err(Untrusted::Signature);
        }
        let statement: Self = codec::decode(&signed.payload)?;
        if codec::encode(&statement) != signed.payload {
            return Err(Untrusted::NotCanonical);
        }
        let heading = statement.heading();
        if heading.signer != signed.key {
            return Err(Untrusted::Elsewhere { what: "signer" });
        }
        if heading.owner != *book.owner() {
            return Err(Untrusted::Elsewhere { what: "owner" });
        }
        let roster =
            book.roster(&heading.roster).ok_or(Untrusted::RosterUnknown { number: heading.roster.number })?;
        let member = roster.member_in_role(&signed.key, Self::ROLE)?;
        if Self::ROLE == Role::Agent && member.name != heading.agent {
            return Err(Untrusted::Elsewhere { what: "agent" });
        }
        if let Some(at) = book.revoked_at(&signed.key).filter(|at| heading.made_at >= *at) {
            return Err(Untrusted::Revoked { key: signed.key.clone(), at });
        }
        statement.check(member)?;
        Ok(statement)
    }

    /// Verifies a statement that is to be acted on: its signer must stand in the latest roster too.
    ///
    /// # Errors
    ///
    /// As [`Statement::verify`]. Whether that roster is stale is for [`Book::current`] to say.
    fn verify_live(signed: &SignedStatement, book: &Book) -> Result<Self, Untrusted> {
        let statement = Self::verify(signed, book)?;
        book.still_names(&signed.key, Self::ROLE)?;
        Ok(statement)
    }
}
