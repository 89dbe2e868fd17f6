//! The keys that come after an owner's first: who may name them, and who is not believed any more.

use agent_otp_domain::{OwnerId, Role, SignedStatement, codec};
use agent_otp_trust::{
    Book, ChangeError, IdentityKey, Revocation, Roster, RosterError, Seen, Succession, Untrusted,
};

use crate::family::{
    AGENT, CAPTURER, OWNER, STRANGER, at, first_roster, key, name, public, refused, sign_bytes,
};

const RECOVERY: u8 = 20;
const SECOND: u8 = 21;
const THIRD: u8 = 22;
const OTHER_RECOVERY: u8 = 23;

#[test]
fn a_member_that_pinned_the_first_key_follows_to_the_second_and_the_third() {
    let chain = Chain::recovered();
    let third =
        chain.next(THIRD, |next| next.succeeded(&key(RECOVERY), public(THIRD), public(OTHER_RECOVERY)));
    let fourth = third.next(THIRD, |next| next);
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [5, 0, 4, 1, 3, 2], [2, 0, 5, 1, 4, 3]] {
        let mut book = empty();
        for index in order {
            book.admit(&fourth.0[index]).unwrap();
        }
        let (_, roster) = book.current(at(20)).unwrap();
        assert_eq!((roster.number, &roster.owner_key), (6, &public(THIRD)));
        assert_eq!(roster.recovery, Some(public(OTHER_RECOVERY)));
        assert_eq!(roster.owner, OwnerId::of(&key(OWNER).id()), "the owner is called as ever");
    }
}

#[test]
fn whoever_saw_nothing_between_follows_all_the_same() {
    let chain = Chain::recovered();
    let mut book = empty();
    book.admit_latest(&chain.0[0]).unwrap();
    let seen = book.seen();
    assert_eq!(seen.unwrap().succession, None);
    let mut restarted = Book::new(key(OWNER).id(), seen);
    restarted.admit_latest(chain.0.last().unwrap()).unwrap();
    assert_eq!(restarted.current(at(20)).unwrap().1.owner_key, public(SECOND));
    assert!(restarted.seen().unwrap().succession.is_some());
}

#[test]
fn a_key_that_was_succeeded_signs_nothing_above() {
    let recovered = Chain::recovered();
    let stolen = Chain(recovered.0[..2].to_vec());
    let by_the_thief = stolen.next(OWNER, |next| Roster { number: 5, ..next });
    let stray = by_the_thief.0.last().unwrap();
    let mut book = empty();
    book.admit_latest(recovered.0.last().unwrap()).unwrap();
    refused!(book.admit_latest(stray), RosterError::Forked { number: 5 });
    // After a restart the book holds no roster, only what it remembers.
    refused!(Book::new(key(OWNER).id(), book.seen()).admit(stray), RosterError::Forked { number: 5 });

    let mut deceived = empty();
    deceived.admit_latest(stray).unwrap();
    refused!(deceived.admit_latest(&recovered.0[2]), RosterError::Forked { number: 3 });
}

#[test]
fn a_stolen_owner_key_can_neither_name_another_recovery_key_nor_another_owner_key() {
    let named = Chain::named();
    for (owner_key, recovery) in [(OWNER, STRANGER), (STRANGER, RECOVERY), (STRANGER, STRANGER)] {
        for signer in [OWNER, STRANGER] {
            let usurped = named
                .next(owner_key, |next| next.succeeded(&key(signer), public(owner_key), public(recovery)));
            refused!(Roster::verify(usurped.0.last().unwrap()), Untrusted::Signature);
        }
    }
    // As if the recovery key had never been named: whoever saw that it was knows better.
    let again = Chain(named.0[..1].to_vec()).next(OWNER, |next| {
        Roster { number: 3, ..next }.succeeded(&key(OWNER), public(OWNER), public(STRANGER))
    });
    let mut book = empty();
    book.admit_latest(named.0.last().unwrap()).unwrap();
    refused!(book.admit_latest(again.0.last().unwrap()), RosterError::Forked { number: 3 });
    let dropped = named.next(OWNER, |next| Roster { succession: Vec::new(), recovery: None, ..next });
    refused!(book.admit_latest(dropped.0.last().unwrap()), RosterError::Forked { number: 3 });
}

#[test]
fn the_recovery_key_may_name_its_own_successor_and_then_signs_no_more() {
    let named = Chain::named();
    let renamed =
        named.next(OWNER, |next| next.succeeded(&key(RECOVERY), public(OWNER), public(OTHER_RECOVERY)));
    let mut book = empty();
    book.admit_latest(renamed.0.last().unwrap()).unwrap();
    let found =
        renamed.next(STRANGER, |next| next.succeeded(&key(RECOVERY), public(STRANGER), public(RECOVERY)));
    refused!(Roster::verify(found.0.last().unwrap()), Untrusted::Signature);
    let skipped = named.next(STRANGER, |next| {
        Roster { number: 4, ..next }.succeeded(&key(RECOVERY), public(STRANGER), public(RECOVERY))
    });
    refused!(book.admit_latest(skipped.0.last().unwrap()), RosterError::Forked { number: 4 });
}

#[test]
fn successions_that_do_not_lead_to_the_rosters_keys_are_refused() {
    let recovered = Chain::recovered();
    let last = recovered.latest();
    let with = |change: fn(&mut Roster), signer: u8| {
        let mut roster = last.clone();
        change(&mut roster);
        key(signer).sign_roster(&roster)
    };
    refused!(
        Roster::verify(&with(|roster| roster.owner_key = public(OWNER), OWNER)),
        Untrusted::NotTheOwner { .. }
    );
    let table: [fn(&mut Roster); 5] = [
        |roster| roster.recovery = None,
        |roster| roster.recovery = Some(public(STRANGER)),
        |roster| roster.number = 2,
        |roster| roster.owner = OwnerId::of(&key(STRANGER).id()),
        |roster| drop(roster.succession.remove(0)),
    ];
    for change in table {
        refused!(Roster::verify(&with(change, SECOND)), Untrusted::Malformed { .. } | Untrusted::Signature);
    }
    let endless =
        |roster: &mut Roster| roster.succession = vec![roster.succession[0].clone(); Succession::MAX + 1];
    refused!(Roster::verify(&with(endless, SECOND)), Untrusted::Malformed { .. });
    let without = Roster { recovery: Some(public(RECOVERY)), ..first_roster() };
    refused!(Roster::verify(&key(OWNER).sign_roster(&without)), Untrusted::Malformed { .. });
}

#[test]
fn no_byte_of_a_succession_can_be_changed() {
    let last = Chain::recovered().latest();
    for link in 0..last.succession.len() {
        for index in 0..last.succession[link].payload.len() {
            let mut changed = last.clone();
            changed.succession[link].payload[index] ^= 1 << (index % 8);
            let signed = key(SECOND).sign_roster(&changed);
            refused!(
                Roster::verify(&signed),
                Untrusted::Signature | Untrusted::Decode(_) | Untrusted::Malformed { .. }
            );
        }
    }
    let mut other = last.clone();
    let SignedStatement { payload, .. } = other.succession.remove(1);
    other.succession.push(sign_bytes(RECOVERY, &Succession::TYPE.replace("v1", "v2"), payload.clone()));
    refused!(Roster::verify(&key(SECOND).sign_roster(&other)), Untrusted::WrongType { .. });
    // The same map with a wide integer for its number.
    let wide = wide(&payload);
    other.succession[1] = sign_bytes(RECOVERY, Succession::TYPE, wide);
    refused!(Roster::verify(&key(SECOND).sign_roster(&other)), Untrusted::NotCanonical);
}

#[test]
fn a_rotated_member_stands_with_its_new_key_and_its_old_one_is_revoked() {
    let first = first_roster();
    let rotated = first.clone().rotated(Role::Agent, &name("shopper"), public(STRANGER), at(5)).unwrap();
    assert_eq!(rotated.members.len(), first.members.len());
    assert_eq!(rotated.member(&key(AGENT).id()), None);
    let member = rotated.member(&key(STRANGER).id()).unwrap();
    assert_eq!((member.role, &member.name), (Role::Agent, &name("shopper")));
    assert_eq!(rotated.revoked_at(&key(AGENT).id()), Some(at(5)));
    assert_eq!(rotated.revoked_at(&key(CAPTURER).id()), None);
    let rotate =
        |roster: &Roster, role| roster.clone().rotated(role, &name("shopper"), public(STRANGER), at(5));
    refused!(rotate(&first, Role::Approver), ChangeError::Absent { .. });
    let revoked = Revocation { key: key(STRANGER).id(), at: at(0) };
    let worn = Roster { revoked: vec![revoked; Roster::MEMBERS_MAX], ..first };
    refused!(rotate(&worn, Role::Agent), ChangeError::Worn);
}

/// Rosters, each following the one before.
struct Chain(Vec<SignedStatement>);

impl Chain {
    /// Of two; the second names the recovery key.
    fn named() -> Self {
        let first = Self(vec![key(OWNER).sign_roster(&first_roster())]);
        first.next(OWNER, |next| next.succeeded(&key(OWNER), public(OWNER), public(RECOVERY)))
    }

    /// Of four; in the third the recovery key names a second owner key, which signs that and the fourth.
    fn recovered() -> Self {
        let succeeded = |next: Roster| next.succeeded(&key(RECOVERY), public(SECOND), public(RECOVERY));
        Self::named().next(SECOND, succeeded).next(SECOND, |next| next)
    }

    fn next(&self, signer: u8, change: impl FnOnce(Roster) -> Roster) -> Self {
        let digest = self.0.last().unwrap().digest();
        let signer: IdentityKey = key(signer);
        let next = signer.sign_roster(&change(self.latest().renewed(digest, at(10))));
        Self([self.0.clone(), vec![next]].concat())
    }

    fn latest(&self) -> Roster {
        Roster::verify(self.0.last().unwrap()).unwrap()
    }
}

fn empty() -> Book {
    Book::new(key(OWNER).id(), None::<Seen>)
}

/// The same succession, whose `number` 3 takes two bytes.
fn wide(payload: &[u8]) -> Vec<u8> {
    let mut name = vec![0xa6];
    name.extend(b"number");
    let found = payload.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    let (before, rest) = payload.split_at(found);
    let (three, after) = rest.split_first().unwrap();
    assert_eq!(*three, 3);
    let wide = [before, &[0xcc, 3], after].concat();
    assert_eq!(codec::decode::<Succession>(&wide).unwrap(), codec::decode(payload).unwrap());
    wide
}
