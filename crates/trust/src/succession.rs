//! Which keys stand for an owner after its first one: a chain of signed successions that each roster carries whole.
//!
//! The owner's first key names a recovery key, once. From then on the recovery key alone changes anything: whoever steals
//! the owner's key can neither take the recovery key's place nor outlive the next succession.

use agent_otp_domain::{Digest, OwnerId, SignedStatement, codec, excerpt};
use serde::{Deserialize, Serialize};

use crate::{IdentityKey, PublicKey, Roster, Untrusted};

/// From which roster on which keys stand for an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// For whom.
    pub owner: OwnerId,
    /// The digest of the succession before; none for the first.
    pub previous: Option<Digest>,
    /// The number of the first roster that carries it.
    pub number: u64,
    /// The key that signs the rosters.
    pub owner_key: PublicKey,
    /// The key, kept offline, that signs the next succession.
    pub recovery: PublicKey,
}

/// The verified successions of a roster: the digest of each, and the number from which it stands.
pub(crate) type Line = Vec<(Digest, u64)>;

impl Succession {
    /// What a signed succession is, before its version.
    pub const TYPE: &'static str = "application/vnd.agent-otp.succession.v1+msgpack";
    /// The most that a roster carries: with as many members and revocations as it may have, it must fit into one command.
    pub const MAX: usize = 24;

    /// Reads a succession that `by` signed; without one, the owner's first key, which stands in it.
    fn verify(signed: &SignedStatement, by: Option<&PublicKey>) -> Result<Self, Untrusted> {
        if signed.payload_type != Self::TYPE {
            return Err(Untrusted::WrongType { found: excerpt(&signed.payload_type), expected: Self::TYPE });
        }
        let succession: Self = codec::decode(&signed.payload)?;
        let by = by.unwrap_or(&succession.owner_key);
        if by.id() != signed.key || !by.has_signed(signed) {
            return Err(Untrusted::Signature);
        }
        if codec::encode(&succession) != signed.payload {
            return Err(Untrusted::NotCanonical);
        }
        Ok(succession)
    }
}

/// Verifies a roster's successions from the owner's first key to the keys that it names.
pub(crate) fn line(roster: &Roster) -> Result<Line, Untrusted> {
    let malformed = |what| Err(Untrusted::Malformed { what });
    if roster.succession.len() > Succession::MAX {
        return malformed("the number of successions");
    }
    let mut line = Line::new();
    let mut last: Option<Succession> = None;
    for signed in &roster.succession {
        let next = Succession::verify(signed, last.as_ref().map(|last| &last.recovery))?;
        let follows = last
            .as_ref()
            .map_or(OwnerId::of(&next.owner_key.id()) == next.owner, |last| next.number > last.number);
        if next.owner != roster.owner || next.previous != line.last().map(|(digest, _)| *digest) || !follows {
            return malformed("its successions");
        }
        line.push((signed.digest(), next.number));
        last = Some(next);
    }
    let is_the_owners = match &last {
        Some(last) => roster.owner_key == last.owner_key,
        None => OwnerId::of(&roster.owner_key.id()) == roster.owner,
    };
    if !is_the_owners {
        return Err(Untrusted::NotTheOwner { key: roster.owner_key.id(), owner: roster.owner.clone() });
    }
    let (recovery, from) = last.as_ref().map_or((None, 1), |last| (Some(&last.recovery), last.number));
    if roster.recovery.as_ref() != recovery || roster.number < from {
        return malformed("its successions");
    }
    Ok(line)
}

/// Whether a roster with the line `later` may stand above number `number`, whose roster has the line `earlier`.
pub(crate) fn follows(later: &Line, earlier: &Line, number: u64) -> bool {
    later.starts_with(earlier) && later.iter().skip(earlier.len()).all(|(_, from)| *from > number)
}

impl Roster {
    /// This roster with a succession that `by` signs: the owner's first key if there is none yet, otherwise the
    /// recovery key.
    #[must_use]
    pub fn succeeded(mut self, by: &IdentityKey, owner_key: PublicKey, recovery: PublicKey) -> Self {
        let succession = Succession {
            owner: self.owner.clone(),
            previous: self.succession.last().map(SignedStatement::digest),
            number: self.number,
            owner_key: owner_key.clone(),
            recovery: recovery.clone(),
        };
        self.succession.push(by.sign_payload(Succession::TYPE, codec::encode(&succession)));
        Self { owner_key, recovery: Some(recovery), ..self }
    }
}
