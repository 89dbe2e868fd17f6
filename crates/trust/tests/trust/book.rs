//! Rosters: one owner, one chain, forwards, in time.

use std::time::Duration;

use agent_otp_domain::{Digest, OwnerId, Role, SignedStatement};
use agent_otp_trust::{Book, Member, Roster, RosterError, RosterRef, Seen, Untrusted};

use crate::family::{
    AGENT, CAPTURER, OWNER, STRANGER, at, first_roster, key, member, public, refused, sign_bytes,
};

#[test]
fn the_first_roster_of_the_pinned_owner_is_admitted_and_relied_on() {
    let signed = sign(&first_roster());
    let mut book = empty();
    refused!(book.current(at(0)), RosterError::Missing);
    let reference = book.admit_latest(&signed).unwrap();
    assert_eq!(reference, RosterRef { number: 1, digest: signed.digest() });
    assert_eq!(book.current(at(0)).unwrap(), (reference, &first_roster()));
    assert_eq!(book.roster(&reference), Some(&first_roster()));
    assert_eq!(book.seen(), Some(seen(reference)));
    assert_eq!(book.key(&key(AGENT).id()), Some(&public(AGENT)));
    assert_eq!(book.key(&key(STRANGER).id()), None);
}

#[test]
fn a_chain_of_renewals_is_admitted_in_any_order_of_arrival() {
    let [first, second, third] = chain();
    for order in [[&first, &second, &third], [&third, &second, &first], [&second, &third, &first]] {
        let mut book = empty();
        for signed in order {
            book.admit(signed).unwrap();
        }
        assert_eq!(book.current(at(20)).unwrap().0, reference(&third, 3));
        assert_eq!(book.seen(), Some(seen(reference(&third, 3))));
        assert!(book.roster(&reference(&first, 1)).is_some(), "old events need old rosters");
    }
}

#[test]
fn the_same_roster_may_come_again() {
    let [first, second, _] = chain();
    let mut book = empty();
    for signed in [&first, &second, &second] {
        book.admit_latest(signed).unwrap();
    }
    assert_eq!(book.seen(), Some(seen(reference(&second, 2))));
}

#[test]
fn a_latest_roster_that_goes_backwards_is_refused_and_changes_nothing() {
    let [first, second, _] = chain();
    let mut book = empty();
    book.admit_latest(&second).unwrap();
    refused!(book.admit_latest(&first), RosterError::Backwards { seen: 2, offered: 1 });
    assert_eq!(book.seen(), Some(seen(reference(&second, 2))));
    assert_eq!(book.current(at(20)).unwrap().0, reference(&second, 2));
}

#[test]
fn two_rosters_of_one_number_are_a_fork() {
    let mut book = empty();
    book.admit_latest(&sign(&first_roster())).unwrap();
    let other = Roster { members: Vec::new(), ..first_roster() };
    refused!(book.admit_latest(&sign(&other)), RosterError::Forked { number: 1 });
    assert_eq!(book.latest(), Some(&first_roster()));
}

#[test]
fn a_roster_that_does_not_follow_the_one_before_is_a_fork() {
    let mut book = empty();
    book.admit_latest(&sign(&first_roster())).unwrap();
    let stray = first_roster().renewed(Digest::of(&[b"another first roster"]), at(10));
    refused!(book.admit_latest(&sign(&stray)), RosterError::Forked { number: 2 });
}

#[test]
fn a_gap_in_the_chain_is_allowed_and_only_the_right_roster_fills_it() {
    let [first, second, third] = chain();
    let mut book = empty();
    book.admit_latest(&first).unwrap();
    book.admit_latest(&third).unwrap();
    let other = first_roster().renewed(first.digest(), at(11));
    refused!(book.admit(&sign(&other)), RosterError::Forked { number: 2 });
    book.admit(&second).unwrap();
}

#[test]
fn a_roster_of_another_owner_is_refused() {
    let mut book = empty();
    let theirs = Roster::first(&key(STRANGER), Vec::new(), at(0));
    refused!(book.admit_latest(&key(STRANGER).sign_roster(&theirs)), RosterError::OtherOwner { .. });
    let in_our_name = Roster { owner: OwnerId::of(&key(OWNER).id()), ..theirs };
    refused!(
        book.admit_latest(&key(STRANGER).sign_roster(&in_our_name)),
        RosterError::Untrusted(Untrusted::NotTheOwner { .. })
    );
    let in_their_name = Roster { owner: OwnerId::of(&key(STRANGER).id()), ..first_roster() };
    refused!(book.admit_latest(&sign(&in_their_name)), RosterError::Untrusted(Untrusted::NotTheOwner { .. }));
    assert_eq!(book.seen(), None);
}

#[test]
fn a_roster_that_its_own_owner_key_did_not_sign_is_refused() {
    let by_another = key(STRANGER).sign_roster(&first_roster());
    refused!(Roster::verify(&by_another), Untrusted::Signature);
    let in_its_name = SignedStatement { key: key(OWNER).id(), ..by_another };
    refused!(Roster::verify(&in_its_name), Untrusted::Signature);

    let signed = sign(&first_roster());
    let in_anothers_name = SignedStatement { key: key(STRANGER).id(), ..signed.clone() };
    refused!(Roster::verify(&in_anothers_name), Untrusted::Signature);
    for index in 0..signed.payload.len() {
        let mut flipped = signed.clone();
        flipped.payload[index] ^= 1 << (index % 8);
        refused!(Roster::verify(&flipped), Untrusted::Signature | Untrusted::Decode(_));
    }
    let later = sign_bytes(OWNER, &Roster::TYPE.replace("v1", "v2"), signed.payload);
    refused!(Roster::verify(&later), Untrusted::WrongType { .. });
}

#[test]
fn a_roster_is_stale_when_its_validity_ends_and_not_before() {
    let mut book = empty();
    book.admit_latest(&sign(&first_roster())).unwrap();
    let end = at(24 * 60 * 60);
    assert!(book.current(end.before(Duration::from_millis(1))).is_ok());
    refused!(book.current(end), RosterError::Stale { since } if since == end);
}

#[test]
fn a_roster_may_be_dated_a_minute_ahead_and_no_more() {
    let mut book = empty();
    book.admit_latest(&sign(&first_roster())).unwrap();
    let earliest = at(0).before(Duration::from_mins(1));
    assert!(book.current(earliest).is_ok());
    refused!(book.current(earliest.before(Duration::from_millis(1))), RosterError::Ahead(_));
}

#[test]
fn what_was_seen_before_a_restart_holds_after_it() {
    let [first, second, third] = chain();
    let mut book = Book::new(key(OWNER).id(), Some(seen(reference(&second, 2))));
    refused!(book.admit_latest(&first), RosterError::Backwards { seen: 2, offered: 1 });
    refused!(book.current(at(10)), RosterError::Missing);
    let other = first_roster().renewed(first.digest(), at(11));
    refused!(book.admit_latest(&sign(&other)), RosterError::Forked { number: 2 });
    let stray = other.renewed(sign(&other).digest(), at(20));
    refused!(book.admit_latest(&sign(&stray)), RosterError::Forked { number: 3 });
    book.admit_latest(&third).unwrap();
    assert_eq!(book.current(at(20)).unwrap().0, reference(&third, 3));
}

#[test]
fn a_roster_whose_parts_do_not_fit_together_is_refused() {
    let second = first_roster().renewed(Digest::of(&[]), at(10));
    let one = member(Role::Agent, "shopper", AGENT);
    let with = |members| Roster { members, ..first_roster() };
    let misnamed = Member { key: key(CAPTURER).id(), ..one.clone() };
    let malformed = [
        Roster { number: 0, ..first_roster() },
        Roster { previous: Some(Digest::of(&[])), ..first_roster() },
        Roster { previous: None, ..second },
        with(vec![one.clone(), one.clone()]),
        with(vec![one.clone(), member(Role::Capturer, "home", AGENT)]),
        with(vec![one.clone(), member(Role::Agent, "shopper", CAPTURER)]),
        with(vec![misnamed]),
        with(vec![one; Roster::MEMBERS_MAX + 1]),
    ];
    for roster in malformed {
        refused!(Roster::verify(&sign(&roster)), Untrusted::Malformed { .. });
    }
}

fn empty() -> Book {
    Book::new(key(OWNER).id(), None)
}

fn sign(roster: &Roster) -> SignedStatement {
    key(OWNER).sign_roster(roster)
}

fn reference(signed: &SignedStatement, number: u64) -> RosterRef {
    RosterRef { number, digest: signed.digest() }
}

fn seen(RosterRef { number, digest }: RosterRef) -> Seen {
    Seen { number, digest, succession: None }
}

/// The first roster and its two renewals, ten seconds apart.
fn chain() -> [SignedStatement; 3] {
    let first = sign(&first_roster());
    let second = first_roster().renewed(first.digest(), at(10));
    let signed = sign(&second);
    let third = sign(&second.renewed(signed.digest(), at(20)));
    [first, signed, third]
}
