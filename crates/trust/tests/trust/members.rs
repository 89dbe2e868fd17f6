//! Who belongs to an owner: joined by one who is new, and parted from for good.

use agent_otp_domain::Role;
use agent_otp_trust::{ChangeError, Roster};

use crate::family::{AGENT, CAPTURER, OWNER, STRANGER, at, first_roster, key, member, name};

#[test]
fn a_roster_is_joined_by_one_who_is_new_in_name_and_key() {
    let first = first_roster();
    let newcomer = || member(Role::Agent, "shopper-2", STRANGER);
    let joined = first.clone().joined(newcomer()).unwrap();
    assert_eq!(joined.members.len(), first.members.len() + 1);
    assert_eq!(joined.named(Role::Agent, &name("shopper-2")), Some(&newcomer()));

    let taken = |key| ChangeError::Taken { role: Role::Agent, name: name("shopper"), key };
    let refused = first.clone().joined(member(Role::Agent, "shopper", STRANGER)).unwrap_err();
    assert_eq!(refused, taken(key(AGENT).id()));
    let approver = first.clone().joined(member(Role::Approver, "shopper", STRANGER));
    assert!(approver.is_ok(), "a name is taken in its role alone");
    for known in [AGENT, OWNER] {
        let refused = first.clone().joined(member(Role::Agent, "shopper-2", known)).unwrap_err();
        assert_eq!(refused, ChangeError::Known { key: key(known).id() });
    }
    let mut full = first.clone();
    full.members = vec![member(Role::Auditor, "archive", CAPTURER); Roster::MEMBERS_MAX];
    assert_eq!(full.joined(newcomer()).unwrap_err(), ChangeError::Full);
}

#[test]
fn a_member_that_parts_is_revoked_and_its_name_is_free() {
    let first = first_roster();
    let shopper = name("shopper");
    let parted = first.clone().parted(Role::Agent, &shopper, at(5)).unwrap();
    assert_eq!(parted.named(Role::Agent, &shopper), None);
    assert_eq!(parted.revoked_at(&key(AGENT).id()), Some(at(5)));
    assert_eq!(parted.revoked_at(&key(CAPTURER).id()), None);
    let absent = ChangeError::Absent { role: Role::Agent, name: shopper.clone() };
    assert_eq!(parted.clone().parted(Role::Agent, &shopper, at(6)).unwrap_err(), absent);

    let known = ChangeError::Known { key: key(AGENT).id() };
    assert_eq!(parted.clone().joined(member(Role::Agent, "shopper", AGENT)).unwrap_err(), known);
    assert!(parted.clone().joined(member(Role::Agent, "shopper", STRANGER)).is_ok());

    let mut worn = parted;
    worn.revoked = vec![worn.revoked[0].clone(); Roster::MEMBERS_MAX];
    assert_eq!(worn.parted(Role::Capturer, &name("home"), at(7)).unwrap_err(), ChangeError::Worn);
}
