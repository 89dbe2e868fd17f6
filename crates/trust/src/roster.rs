//! The roster: who belongs to an owner, in which role, with which key. The owner key signs every number of it.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_otp_domain::{Digest, KeyId, MemberId, OwnerId, Role, SignedStatement, Timestamp, codec, excerpt};
use serde::{Deserialize, Serialize};

use crate::succession::{self, Line};
use crate::{IdentityKey, PublicKey, Untrusted};

/// One number of an owner's roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Whose roster it is.
    pub owner: OwnerId,
    /// Counts up from 1.
    pub number: u64,
    /// The digest of the roster before; none for the first.
    pub previous: Option<Digest>,
    /// The key that signs it: the one whose fingerprint everyone has pinned, or the last of the successions.
    pub owner_key: PublicKey,
    /// When it was signed, in milliseconds since 1970.
    pub made_at: Timestamp,
    /// Until when it may be relied on.
    pub valid_until: Timestamp,
    /// Who belongs to the owner.
    pub members: Vec<Member>,
    /// Which keys are not to be believed any more.
    pub revoked: Vec<Revocation>,
    /// A key kept offline that may name another owner key; the last succession names it.
    pub recovery: Option<PublicKey>,
    /// The signed [`Succession`](crate::Succession)s that lead from the pinned key to these two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub succession: Vec<SignedStatement>,
}

/// Somebody who belongs to an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The public key's fingerprint.
    pub key: KeyId,
    /// What the member may do.
    pub role: Role,
    /// What the owner calls it; unique within the role.
    pub name: MemberId,
    /// The key that its statements are signed with.
    pub public_key: PublicKey,
    /// What it may not exceed.
    pub limits: Limits,
}

/// What a member may not exceed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// An agent's longest time to live of a request, in milliseconds.
    pub ttl_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ttl_ms_max: 60 * 60 * 1_000 }
    }
}

/// A key that is not to be believed from a moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Which key.
    pub key: KeyId,
    /// From when on, in milliseconds since 1970.
    pub at: Timestamp,
}

/// Why a roster cannot be changed so.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChangeError {
    /// A name has one key at a time.
    #[error(
        "`{role}:{name}` is a member already, with the key {key}; choose another name, or revoke it first: agent-otp revoke \
         {role}:{name}"
    )]
    Taken {
        /// In which role.
        role: Role,
        /// Which name.
        name: MemberId,
        /// Whose it is.
        key: KeyId,
    },
    /// The key is a member's, or was one's.
    #[error("the key {key} is or was a member's; a new member makes a new one")]
    Known {
        /// Which key.
        key: KeyId,
    },
    /// There is no such member.
    #[error("the roster names no `{role}:{name}`; `agent-otp members` lists those that it names")]
    Absent {
        /// In which role.
        role: Role,
        /// Under which name.
        name: MemberId,
    },
    /// A roster has to fit into one command.
    #[error(
        "the roster names {} members, and has no room for more; revoke one that is not needed",
        Roster::MEMBERS_MAX
    )]
    Full,
    /// What is revoked stays revoked.
    #[error(
        "the roster revokes {} keys, and has no room for more; begin anew with another data directory",
        Roster::MEMBERS_MAX
    )]
    Worn,
}

/// Names one roster and its exact content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterRef {
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Member {
    /// A member with the usual limits.
    #[must_use]
    pub fn new(role: Role, name: MemberId, public_key: PublicKey) -> Self {
        Self { key: public_key.id(), role, name, public_key, limits: Limits::default() }
    }
}

impl Roster {
    /// What a signed roster is, before its version.
    pub const TYPE: &'static str = "application/vnd.agent-otp.roster.v1+msgpack";
    /// How long a roster may be relied on.
    pub const VALIDITY: Duration = Duration::from_hours(24);
    /// The most members, and the most revocations: a roster of both must fit into one command.
    pub const MEMBERS_MAX: usize = 256;

    /// An owner's first roster.
    #[must_use]
    pub fn first(owner_key: &IdentityKey, members: Vec<Member>, now: Timestamp) -> Self {
        Self {
            owner: OwnerId::of(&owner_key.id()),
            number: 1,
            previous: None,
            owner_key: owner_key.public(),
            made_at: now,
            valid_until: now.after(Self::VALIDITY),
            members,
            revoked: Vec::new(),
            recovery: None,
            succession: Vec::new(),
        }
    }

    /// The roster that follows this one: the same members, valid for another while.
    #[must_use]
    pub fn renewed(&self, digest: Digest, now: Timestamp) -> Self {
        Self {
            number: self.number.saturating_add(1),
            previous: Some(digest),
            made_at: now,
            valid_until: now.after(Self::VALIDITY),
            ..self.clone()
        }
    }

    /// This roster with another key for a member, whose present key is revoked from `now` on.
    ///
    /// # Errors
    ///
    /// As [`Roster::parted`].
    pub fn rotated(
        mut self,
        role: Role,
        name: &MemberId,
        public_key: PublicKey,
        now: Timestamp,
    ) -> Result<Self, ChangeError> {
        self.has_room_for_revocation()?;
        let member = self.members.iter_mut().find(|member| member.role == role && member.name == *name);
        let member = member.ok_or_else(|| ChangeError::Absent { role, name: name.clone() })?;
        let limits = member.limits.clone();
        let before =
            std::mem::replace(member, Member { limits, ..Member::new(role, name.clone(), public_key) });
        self.revoked.push(Revocation { key: before.key, at: now });
        Ok(self)
    }

    /// This roster with one more member.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if its name or key is another's, or there is no room.
    pub fn joined(mut self, member: Member) -> Result<Self, ChangeError> {
        self.has_room_for(member.role, &member.name)?;
        let key = &member.key;
        if self.member(key).is_some() || self.revoked_at(key).is_some() || self.owner_key.id() == *key {
            return Err(ChangeError::Known { key: key.clone() });
        }
        self.members.push(member);
        Ok(self)
    }

    /// Whether a member of this name could join.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Taken`] or [`ChangeError::Full`].
    pub fn has_room_for(&self, role: Role, name: &MemberId) -> Result<(), ChangeError> {
        match self.named(role, name) {
            Some(Member { key, .. }) => {
                Err(ChangeError::Taken { role, name: name.clone(), key: key.clone() })
            }
            None if self.members.len() >= Self::MEMBERS_MAX => Err(ChangeError::Full),
            None => Ok(()),
        }
    }

    /// This roster without a member, whose key is revoked from `now` on.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Absent`] if it names no such member, [`ChangeError::Worn`] if there is no room.
    pub fn parted(mut self, role: Role, name: &MemberId, now: Timestamp) -> Result<Self, ChangeError> {
        let at = self.members.iter().position(|member| member.role == role && member.name == *name);
        let at = at.ok_or_else(|| ChangeError::Absent { role, name: name.clone() })?;
        self.has_room_for_revocation()?;
        let Member { key, .. } = self.members.remove(at);
        self.revoked.push(Revocation { key, at: now });
        Ok(self)
    }

    fn has_room_for_revocation(&self) -> Result<(), ChangeError> {
        if self.revoked.len() < Self::MEMBERS_MAX { Ok(()) } else { Err(ChangeError::Worn) }
    }

    /// The member with this role and name.
    #[must_use]
    pub fn named(&self, role: Role, name: &MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.role == role && member.name == *name)
    }

    /// Reads a roster and checks that a key that stands for its owner signed it and that its parts fit together.
    /// Whether that owner is the right one is for [`crate::Book`], which has it pinned.
    ///
    /// # Errors
    ///
    /// [`Untrusted`] says what is wrong.
    pub fn verify(signed: &SignedStatement) -> Result<Self, Untrusted> {
        Self::verify_line(signed).map(|(roster, _)| roster)
    }

    /// The same, and the successions that lead to its owner key.
    pub(crate) fn verify_line(signed: &SignedStatement) -> Result<(Self, Line), Untrusted> {
        if signed.payload_type != Self::TYPE {
            return Err(Untrusted::WrongType { found: excerpt(&signed.payload_type), expected: Self::TYPE });
        }
        // The key stands inside the payload, so this one time decoding comes before verifying.
        let roster: Self = codec::decode(&signed.payload)?;
        if roster.owner_key.id() != signed.key || !roster.owner_key.has_signed(signed) {
            return Err(Untrusted::Signature);
        }
        if codec::encode(&roster) != signed.payload {
            return Err(Untrusted::NotCanonical);
        }
        roster.check()?;
        let line = succession::line(&roster)?;
        Ok((roster, line))
    }

    fn check(&self) -> Result<(), Untrusted> {
        let malformed = |what| Err(Untrusted::Malformed { what });
        if (self.number == 0) || (self.number == 1) != self.previous.is_none() {
            return malformed("a roster's number and the roster before it");
        }
        if self.members.len() > Self::MEMBERS_MAX || self.revoked.len() > Self::MEMBERS_MAX {
            return malformed("the number of members");
        }
        if self.members.iter().any(|member| member.key != member.public_key.id()) {
            return malformed("a member's key id");
        }
        let keys: BTreeSet<_> = self.members.iter().map(|member| &member.key).collect();
        let names: BTreeSet<_> = self.members.iter().map(|member| (member.role, &member.name)).collect();
        if keys.len() != self.members.len() || names.len() != self.members.len() {
            return malformed("a member that stands twice");
        }
        Ok(())
    }

    /// The member with this key.
    #[must_use]
    pub fn member(&self, key: &KeyId) -> Option<&Member> {
        self.members.iter().find(|member| member.key == *key)
    }

    /// The member whose key this is, if it has that role.
    pub(crate) fn member_in_role(&self, key: &KeyId, role: Role) -> Result<&Member, Untrusted> {
        self.member(key).filter(|member| member.role == role).ok_or_else(|| Untrusted::NotAMember {
            key: key.clone(),
            role,
            number: self.number,
        })
    }

    /// Since when the key is not to be believed any more: the earliest moment, if several are named.
    #[must_use]
    pub fn revoked_at(&self, key: &KeyId) -> Option<Timestamp> {
        self.revoked.iter().filter(|revocation| revocation.key == *key).map(|revocation| revocation.at).min()
    }
}

impl IdentityKey {
    /// Signs a roster as its owner.
    #[must_use]
    pub fn sign_roster(&self, roster: &Roster) -> SignedStatement {
        self.sign_payload(Roster::TYPE, codec::encode(roster))
    }
}
