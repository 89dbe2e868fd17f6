//! The roster book: one owner's rosters, in any number, order and fork; and whatever else that owner signs as one.

use std::collections::BTreeMap;

use agent_otp_domain::{Digest, codec};
use agent_otp_trust::{Book, Roster, RosterRef};

use super::family::{Family, at, key, sign_bytes};

/// A book never goes back, never holds two rosters of one number, and holds those alone that join each other.
///
/// A roster is four bytes: its number, which of those before it names, its time, and as what it is offered. Behind a
/// byte of 255, all the rest is signed as a roster.
pub fn rosters(bytes: &[u8]) {
    if let Some((255, payload)) = bytes.split_first() {
        return signed(payload);
    }
    let mut book = Book::new(key(Family::OWNER).id(), None);
    let mut signed: Vec<Digest> = Vec::new();
    let mut admitted: BTreeMap<u64, RosterRef> = BTreeMap::new();
    for step in bytes.chunks_exact(4).take(32) {
        let [number, before, made_at, offered] = step else { continue };
        let previous = signed.get(usize::from(*before)).copied();
        let roster = Roster {
            number: u64::from(*number % 8),
            previous,
            made_at: at(u64::from(*made_at)),
            ..Family::first_roster()
        };
        let statement = key(Family::OWNER).sign_roster(&roster);
        signed.push(statement.digest());
        let seen = book.seen();
        let outcome = if offered % 2 == 0 { book.admit(&statement) } else { book.admit_latest(&statement) };
        assert!(book.seen().map(|seen| seen.number) >= seen.map(|seen| seen.number), "a book goes back");
        let Ok(reference) = outcome else { continue };
        assert_eq!(book.roster(&reference), Some(&roster));
        let known = admitted.insert(reference.number, reference);
        assert!(known.is_none_or(|known| known == reference), "two rosters of one number");
        for (number, roster) in &admitted {
            if let Some(before) = number.checked_sub(1).and_then(|before| admitted.get(&before)) {
                let previous = book.roster(roster).and_then(|roster| roster.previous);
                assert_eq!(previous, Some(before.digest), "rosters that do not join");
            }
        }
    }
    let highest = admitted.last_key_value().map(|(number, _)| *number);
    assert!(book.latest().map(|roster| roster.number) >= highest);
}

fn signed(payload: &[u8]) {
    if codec::decode::<Roster>(payload).is_err() {
        return;
    }
    let signed = sign_bytes(Family::OWNER, Roster::TYPE, payload);
    let mut book = Book::new(key(Family::OWNER).id(), None);
    let Ok(reference) = book.admit_latest(&signed) else { return };
    let roster = book.roster(&reference).expect("what was admitted is there");
    assert_eq!(codec::encode(roster), payload, "there is one writing of a roster");
    assert_eq!(roster.number == 1, roster.previous.is_none());
    // What it says of a member is asked in every verification.
    for member in &roster.members {
        assert_eq!(book.key(&member.key).map(agent_otp_trust::PublicKey::id), Some(member.key.clone()));
    }
}
