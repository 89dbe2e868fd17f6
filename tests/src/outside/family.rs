//! One owner with a member of every kind, whose keys come from fixed seeds.

use std::time::Duration;

use agent_otp_domain::{
    MemberId, OwnerId, RequestId, Role, SignedStatement, Timestamp, pre_authentication_encoding,
};
use agent_otp_trust::{Book, Heading, IdentityKey, Member, Roster, RosterRef};
use ed25519_dalek::{Signer as _, SigningKey};

/// Everyone's view of the family: a book, and the roster that statements go by.
#[derive(Debug)]
pub struct Family {
    /// The rosters.
    pub book: Book,
    /// The one roster.
    pub roster: RosterRef,
}

impl Family {
    /// The seed of the owner's key.
    pub const OWNER: u8 = 1;
    /// The seed of the agent's key.
    pub const AGENT: u8 = 2;
    /// The seed of the approver's key.
    pub const APPROVER: u8 = 3;
    /// The seed of the capturer's key.
    pub const CAPTURER: u8 = 4;

    /// A new one, the same each time.
    #[must_use]
    pub fn new() -> Self {
        let mut book = Book::new(key(Self::OWNER).id(), None);
        let roster = book.admit_latest(&key(Self::OWNER).sign_roster(&Self::first_roster())).unwrap();
        Self { book, roster }
    }

    /// Its first roster.
    #[must_use]
    pub fn first_roster() -> Roster {
        let member = |role, name: &str, seed| Member::new(role, member_id(name), key(seed).public());
        let members = vec![
            member(Role::Agent, "shopper", Self::AGENT),
            member(Role::Approver, "phone", Self::APPROVER),
            member(Role::Capturer, "home", Self::CAPTURER),
        ];
        Roster::first(&key(Self::OWNER), members, at(0))
    }

    /// What each statement begins with, by the signer with this seed.
    #[must_use]
    pub fn heading(&self, signer: u8) -> Heading {
        Heading {
            owner: OwnerId::of(&key(Self::OWNER).id()),
            agent: member_id("shopper"),
            request: RequestId::new(at(0), [7; 10]),
            signer: key(signer).id(),
            roster: self.roster,
            made_at: at(0),
            checkpoint: None,
        }
    }
}

impl Default for Family {
    fn default() -> Self {
        Self::new()
    }
}

/// The identity key of a seed of 32 equal bytes.
pub(crate) fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&[seed; 32].into())
}

/// Seconds after 2026-01-31T12:00:00Z.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_769_860_800_000).after(Duration::from_secs(seconds))
}

/// Signs bytes as they are: [`IdentityKey`] signs what it has written itself alone.
pub(crate) fn sign_bytes(seed: u8, payload_type: &str, payload: &[u8]) -> SignedStatement {
    let signature =
        SigningKey::from_bytes(&[seed; 32]).sign(&pre_authentication_encoding(payload_type, payload));
    SignedStatement {
        payload_type: payload_type.to_owned(),
        payload: payload.to_vec(),
        key: key(seed).id(),
        signature: signature.to_bytes(),
    }
}

fn member_id(name: &str) -> MemberId {
    name.parse().unwrap()
}
