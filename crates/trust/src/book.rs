//! The rosters that a party has seen, below the one owner key that it has pinned.

use std::collections::{BTreeMap, BTreeSet};

use agent_otp_domain::{CLOCK_SKEW_MAX, ClockSkew, Digest, KeyId, OwnerId, Role, SignedStatement, Timestamp};

use crate::succession::{self, Line};
use crate::{Member, PublicKey, Roster, RosterRef, Untrusted};

/// The highest roster that a party has seen: kept at rest, so that none may go backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub number: u64,
    /// Its digest.
    pub digest: Digest,
    /// The digest of its last succession; none while the pinned key signs.
    pub succession: Option<Digest>,
}

/// An owner's rosters, verified.
#[derive(Debug, Clone)]
pub struct Book {
    owner: OwnerId,
    pin: KeyId,
    seen: Option<Seen>,
    rosters: BTreeMap<u64, (Digest, Roster, Line)>,
}

/// Why a roster is refused, or cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// It is not what it says.
    #[error("the roster is not believed")]
    Untrusted(#[from] Untrusted),
    /// It is another owner's.
    #[error("the roster is signed by {found}, but {pinned} is pinned")]
    OtherOwner {
        /// Who signed.
        found: KeyId,
        /// Who should have, or one of its successors.
        pinned: KeyId,
    },
    /// The latest roster is older than one that was seen.
    #[error("the roster went backwards: {offered} is offered as the latest, but {seen} was seen")]
    Backwards {
        /// The number that was seen.
        seen: u64,
        /// The number that is offered.
        offered: u64,
    },
    /// There are two rosters of one number, or a chain that does not join.
    #[error("the rosters do not form one chain at number {number}")]
    Forked {
        /// Where.
        number: u64,
    },
    /// None was seen yet.
    #[error("no roster was seen")]
    Missing,
    /// The latest was not renewed in time.
    #[error("the roster is stale since {since}: the user's side renews it when it runs")]
    Stale {
        /// When its validity ended.
        since: Timestamp,
    },
    /// The latest is dated further ahead than clocks may be apart.
    #[error("the roster is dated in the future: {0}")]
    Ahead(ClockSkew),
}

impl Book {
    /// A book for the owner whose key has the fingerprint `pin`; `seen` is what was kept from before.
    #[must_use]
    pub fn new(pin: KeyId, seen: Option<Seen>) -> Self {
        Self { owner: OwnerId::of(&pin), pin, seen, rosters: BTreeMap::new() }
    }

    /// Whose rosters these are.
    #[must_use]
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// The highest roster ever seen: what is to be kept at rest.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        self.seen
    }

    /// Takes a roster of any number: old events need old ones.
    ///
    /// # Errors
    ///
    /// [`RosterError`] if neither the pinned key nor a successor signed it, or it does not join the others.
    pub fn admit(&mut self, signed: &SignedStatement) -> Result<RosterRef, RosterError> {
        let (roster, line) = Roster::verify_line(signed)?;
        if roster.owner != self.owner {
            return Err(RosterError::OtherOwner { found: signed.key.clone(), pinned: self.pin.clone() });
        }
        let reference = RosterRef { number: roster.number, digest: signed.digest() };
        self.joins(&roster, reference)?;
        if !self.is_in_line(roster.number, &line) {
            return Err(RosterError::Forked { number: roster.number });
        }
        if self.seen.is_none_or(|seen| seen.number < reference.number) {
            let succession = line.last().map(|(digest, _)| *digest);
            let RosterRef { number, digest } = reference;
            self.seen = Some(Seen { number, digest, succession });
        }
        self.rosters.insert(reference.number, (reference.digest, roster, line));
        Ok(reference)
    }

    /// Takes what is offered as the latest roster.
    ///
    /// # Errors
    ///
    /// As [`Book::admit`], and [`RosterError::Backwards`] if a later one was seen.
    pub fn admit_latest(&mut self, signed: &SignedStatement) -> Result<RosterRef, RosterError> {
        let seen = self.seen;
        let offered = self.admit(signed)?;
        match seen {
            Some(seen) if seen.number > offered.number => {
                Err(RosterError::Backwards { seen: seen.number, offered: offered.number })
            }
            Some(_) | None => Ok(offered),
        }
    }

    fn joins(&self, roster: &Roster, reference: RosterRef) -> Result<(), RosterError> {
        let known = |number| {
            self.rosters
                .get(&number)
                .map(|(digest, ..)| *digest)
                .or_else(|| self.seen.filter(|seen| seen.number == number).map(|seen| seen.digest))
        };
        let same = known(reference.number).is_none_or(|digest| digest == reference.digest);
        let before = reference.number.checked_sub(1).and_then(known);
        let after = reference.number.checked_add(1).and_then(|number| self.rosters.get(&number));
        let joined = before.is_none_or(|digest| roster.previous == Some(digest))
            && after.is_none_or(|(_, next, _)| next.previous == Some(reference.digest));
        if same && joined { Ok(()) } else { Err(RosterError::Forked { number: reference.number }) }
    }

    /// Whether the successions agree with those of the highest roster held, and with the one that was seen: a key that
    /// was succeeded signs nothing above.
    fn is_in_line(&self, number: u64, line: &Line) -> bool {
        let with_seen = self.seen.filter(|seen| seen.number <= number).is_none_or(|seen| {
            let known = line.iter().take_while(|(_, from)| *from <= seen.number).last();
            known.map(|(digest, _)| *digest) == seen.succession
        });
        let with_held = self.rosters.last_key_value().is_none_or(|(highest, (.., held))| {
            if *highest < number {
                succession::follows(line, held, *highest)
            } else {
                succession::follows(held, line, number)
            }
        });
        with_seen && with_held
    }

    /// The roster with this number and exactly this content.
    #[must_use]
    pub fn roster(&self, reference: &RosterRef) -> Option<&Roster> {
        self.rosters
            .get(&reference.number)
            .filter(|(digest, ..)| *digest == reference.digest)
            .map(|(_, roster, _)| roster)
    }

    /// The highest roster of the book.
    #[must_use]
    pub fn latest(&self) -> Option<&Roster> {
        self.rosters.last_key_value().map(|(_, (_, roster, _))| roster)
    }

    /// The latest roster, if it may be relied on now, and its name.
    ///
    /// # Errors
    ///
    /// [`RosterError::Missing`], [`RosterError::Stale`] or [`RosterError::Ahead`]: the member waits, and says for what.
    pub fn current(&self, now: Timestamp) -> Result<(RosterRef, &Roster), RosterError> {
        let (number, (digest, roster, _)) = self.rosters.last_key_value().ok_or(RosterError::Missing)?;
        if self.seen.is_some_and(|seen| seen.number > *number) {
            return Err(RosterError::Missing);
        }
        if now >= roster.valid_until {
            return Err(RosterError::Stale { since: roster.valid_until });
        }
        if roster.made_at > now.after(CLOCK_SKEW_MAX) {
            return Err(RosterError::Ahead(ClockSkew::with_this_machine(Role::Owner, roster.made_at, now)));
        }
        Ok((RosterRef { number: *number, digest: *digest }, roster))
    }

    /// The public key with this fingerprint, of any member in any roster of the book.
    #[must_use]
    pub fn key(&self, key: &KeyId) -> Option<&PublicKey> {
        // The newest first: that is where most keys are found.
        let mut rosters = self.rosters.values().rev();
        rosters.find_map(|(_, roster, _)| roster.member(key)).map(|member| &member.public_key)
    }

    /// The members that have this key in the rosters of the book: one, under one name, in many of them.
    pub fn members_of(&self, key: &KeyId) -> impl Iterator<Item = &Member> {
        let members = self.rosters.values().filter_map(move |(_, roster, _)| roster.member(key));
        let mut told = BTreeSet::new();
        members.filter(move |member| told.insert((member.role, &member.name)))
    }

    /// Checks that the highest roster ever seen names the key in this role and does not revoke it.
    pub(crate) fn still_names(&self, key: &KeyId, role: Role) -> Result<(), Untrusted> {
        // After a restart the book may hold less than was seen: an older roster could hide a revocation.
        let number = self.seen.map_or(1, |seen| seen.number);
        let (_, latest, _) = self.rosters.get(&number).ok_or(Untrusted::RosterUnknown { number })?;
        if let Some(at) = latest.revoked_at(key) {
            return Err(Untrusted::Revoked { key: key.clone(), at });
        }
        latest.member_in_role(key, role).map(|_| ())
    }

    /// Since when the key is revoked, by the latest roster.
    #[must_use]
    pub fn revoked_at(&self, key: &KeyId) -> Option<Timestamp> {
        self.latest().and_then(|roster| roster.revoked_at(key))
    }
}
