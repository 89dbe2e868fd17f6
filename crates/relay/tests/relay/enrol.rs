//! Rosters: the first is taken on trust, and each further one must follow the one before.

use std::time::Duration;

use agent_otp_domain::{EventType, KeyId, Role, SignedStatement};
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply};
use agent_otp_jetstream::{Rosters, clock};
use agent_otp_trust::{IdentityKey, Limits, Member, Request, Revocation, Roster, RosterRef, Succession};

use crate::home::{Home, OWNER, PHONE, SHOPPER, STRANGER, enrol, key, name, owner, phase, refusal};
use crate::said::{Said, sign};

#[tokio::test]
async fn rosters_are_kept_in_order_and_served_as_they_were_signed() {
    let mut home = Home::unserved().await;
    home.serve().await;
    assert_eq!(refusal(home.shopper.call(&Ask::Roster { number: None }).await), RefusalCode::Unknown);
    assert_eq!(refusal(home.shopper.call(&home.said().request()).await), RefusalCode::Unknown);

    let first = home.roster.clone();
    let second = first.renewed(signed(&first).digest(), clock::now());
    let third = second.renewed(signed(&second).digest(), clock::now());
    for roster in [&first, &second, &third] {
        for _ in 0..2 {
            let Reply::Done { phase, version } = home.phone.call(&enrol(roster)).await.unwrap() else {
                panic!()
            };
            assert_eq!((phase.as_str(), version.0), ("enrolled", roster.number));
        }
    }
    assert_eq!(home.shopper.roster(None).await.unwrap(), signed(&third));
    assert_eq!(home.capturer.roster(Some(1)).await.unwrap(), signed(&first));
    assert_eq!(refusal(home.phone.call(&Ask::Roster { number: Some(4) }).await), RefusalCode::Unknown);
    assert_eq!(refusal(home.phone.call(&enrol(&first)).await), RefusalCode::Mismatch);
    assert_eq!(home.shopper.roster(None).await.unwrap(), signed(&third));
}

#[tokio::test]
async fn a_relay_that_never_saw_them_reads_the_rosters_that_statements_name() {
    let mut home = Home::start().await;
    let by_the_first = home.said();
    let second = home.roster.renewed(home.roster_ref().digest, clock::now());
    home.phone.call(&enrol(&second)).await.unwrap();
    home.stop_serving().await;
    home.serve().await;
    home.bring(&by_the_first, EventType::Consumed).await;
    home.roster = second;
    home.bring(&home.said(), EventType::Consumed).await;
}

#[tokio::test]
async fn a_member_that_joined_through_another_relay_is_served_at_once() {
    let home = Home::start().await;
    let rotated = home.roster.renewed(home.roster_ref().digest, clock::now());
    let rotated =
        rotated.rotated(Role::Agent, &name("shopper"), key(STRANGER).public(), clock::now()).unwrap();
    // The relay has just looked which roster is the latest.
    home.bring(&home.said(), EventType::Requested).await;
    let by_another = Rosters::new(home.operator.clone());
    by_another.publish(&owner(), rotated.number, &signed(&rotated)).await.unwrap();
    let roster = RosterRef { number: rotated.number, digest: signed(&rotated).digest() };
    let said = Said::new(roster, Duration::from_mins(5));
    let request = Request { heading: said.heading(STRANGER), ..said.a_request() };
    home.shopper.call(&Ask::Request { statement: sign(STRANGER, &request) }).await.unwrap();
}

#[tokio::test]
async fn a_roster_that_does_not_follow_is_refused_and_not_stored() {
    let home = Home::start().await;
    let first = home.roster.clone();
    let digest = home.roster_ref().digest;
    let second = first.renewed(digest, clock::now());
    let gap = Roster { number: 3, ..second.clone() };
    let fork = Roster { valid_until: clock::now(), ..first.clone() };
    let loose = Roster { previous: Some(signed(&second).digest()), ..second.clone() };
    let foreign = Roster::first(&key(STRANGER), Vec::new(), clock::now());
    let usurped = Roster { owner_key: key(STRANGER).public(), ..second.clone() };
    let none = Roster { number: 0, ..second.clone() };
    let table = [
        ("a gap", signed(&gap), RefusalCode::Mismatch),
        ("a fork", signed(&fork), RefusalCode::Untrusted),
        ("a loose end", signed(&loose), RefusalCode::Untrusted),
        ("another owner's", key(STRANGER).sign_roster(&foreign), RefusalCode::Untrusted),
        ("another owner key", key(STRANGER).sign_roster(&usurped), RefusalCode::Untrusted),
        ("a member's signature", key(PHONE).sign_roster(&second), RefusalCode::Untrusted),
        ("a number that is none", signed(&none), RefusalCode::Malformed),
        ("no roster", home.said().request, RefusalCode::Untrusted),
    ];
    for (what, statement, expected) in table {
        let error = home.phone.call(&Ask::Enrol { statement }).await.unwrap_err();
        assert_eq!(error.refusal(), Some(expected), "{what}: {error}");
    }
    assert_eq!(home.shopper.roster(None).await.unwrap(), signed(&first));
    assert_eq!(phase(&home.phone.call(&enrol(&second)).await.unwrap()), "enrolled");
}

/// Otherwise an owner could sign one that no relay takes, and none behind it.
#[tokio::test]
async fn the_largest_roster_that_there_can_be_is_taken() {
    let mut home = Home::unserved().await;
    home.serve().await;
    let mut roster = home.roster.clone();
    home.phone.call(&enrol(&roster)).await.unwrap();
    let (owner, recovery) = (key(OWNER), key(STRANGER));
    for signer in std::iter::once(&owner).chain(std::iter::repeat(&recovery)).take(Succession::MAX) {
        let next = roster.renewed(signed(&roster).digest(), clock::now());
        roster = next.succeeded(signer, owner.public(), recovery.public());
        home.phone.call(&enrol(&roster)).await.unwrap();
    }
    let member = |number| {
        let seed: [u8; 32] = std::array::from_fn(|at| if at < 2 { number } else { 77 });
        let name = format!("{number:0>32}").parse().unwrap();
        let limits = Limits { ttl_ms_max: u64::MAX };
        Member { limits, ..Member::new(Role::Capturer, name, IdentityKey::from_seed(&seed.into()).public()) }
    };
    let mut full = roster.renewed(signed(&roster).digest(), clock::now());
    full.members = (0..=u8::MAX).map(member).collect();
    let revoked = full.members.iter();
    full.revoked = revoked.map(|member| Revocation { key: member.key.clone(), at: clock::now() }).collect();
    assert_eq!((full.members.len(), full.revoked.len()), (Roster::MEMBERS_MAX, Roster::MEMBERS_MAX));
    home.phone.call(&enrol(&full)).await.unwrap();
    assert_eq!(home.shopper.roster(None).await.unwrap(), signed(&full));
}

#[tokio::test]
async fn an_owners_first_roster_is_number_one_and_signed_by_the_owner() {
    let mut home = Home::unserved().await;
    home.serve().await;
    let second = home.roster.renewed(home.roster_ref().digest, clock::now());
    assert_eq!(refusal(home.phone.call(&enrol(&second)).await), RefusalCode::Mismatch);
    let foreign = key(STRANGER).sign_roster(&Roster::first(&key(STRANGER), Vec::new(), clock::now()));
    assert_eq!(refusal(home.phone.call(&Ask::Enrol { statement: foreign }).await), RefusalCode::Untrusted);
    assert_eq!(refusal(home.phone.call(&Ask::Roster { number: None }).await), RefusalCode::Unknown);
    home.phone.call(&enrol(&home.roster)).await.unwrap();
}

#[tokio::test]
async fn of_two_rosters_with_one_number_the_first_stands() {
    let mut home = Home::start().await;
    home.serve().await;
    let next = |name: &str| {
        let mut next = home.roster.renewed(home.roster_ref().digest, clock::now());
        let member: KeyId = key(SHOPPER).id();
        next.members.retain(|found| found.key != member);
        next.members.push(Member::new(Role::Agent, self::name(name), key(SHOPPER).public()));
        enrol(&next)
    };
    let (one, two) = (next("one"), next("two"));
    let (first, second) = tokio::join!(home.phone.call(&one), home.phone.call(&two));
    assert_ne!(first.is_ok(), second.is_ok(), "{first:?} {second:?}");
    let stands = if first.is_ok() { one } else { two };
    let Ask::Enrol { statement } = stands else { panic!() };
    assert_eq!(home.phone.roster(None).await.unwrap(), statement);
}

fn signed(roster: &Roster) -> SignedStatement {
    key(OWNER).sign_roster(roster)
}
