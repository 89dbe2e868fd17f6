//! Rosters as they are stored: a member hears of each at once, and believes what its owner has signed.

use agent_otp_domain::{KeyId, OwnerId, Role, SignedStatement, codec};
use agent_otp_jetstream::{Member, Rosters, Who, clock};
use agent_otp_trust::{IdentityKey, Member as Named, Roster};

use crate::events::name;
use crate::world::{World, eventually};

#[tokio::test]
async fn a_member_knows_of_a_revocation_without_asking() {
    let (world, member) = shopper().await;
    let rosters = Rosters::new(world.connect(&Who::Operator("relay")).await);
    let first = owner_key().sign_roster(&Roster::first(&owner_key(), vec![named()], clock::now()));
    rosters.publish(&owner(), 1, &first).await.unwrap();
    is_at(&member, 1).await;

    // No relay runs here that could be asked.
    let next = Roster::verify(&first).unwrap().renewed(first.digest(), clock::now());
    let next = next.parted(Role::Agent, &name("shopper"), clock::now()).unwrap();
    rosters.publish(&owner(), 2, &owner_key().sign_roster(&next)).await.unwrap();
    is_at(&member, 2).await;
    assert_eq!(member.verifier.seen().unwrap().number, 2);
}

#[tokio::test]
async fn a_roster_that_was_not_signed_by_the_owner_changes_nothing() {
    let (world, member) = shopper().await;
    let first = Roster::first(&owner_key(), vec![named()], clock::now());
    let broker = world.connect(&Who::Operator("broker")).await;
    let tell = async |signed: &SignedStatement| {
        let subject = format!("otp.v1.standing.{}.1", owner());
        broker.client().publish(subject, codec::encode(signed).into()).await.unwrap();
        broker.flush().await;
    };
    let right = owner_key().sign_roster(&first);
    tell(&IdentityKey::from_seed(&[9; 32].into()).sign_roster(&first)).await;
    tell(&SignedStatement { signature: [0; 64], ..right.clone() }).await;
    broker.client().publish(format!("otp.v1.standing.{}.1", owner()), "nonsense".into()).await.unwrap();
    // What comes in order after all of these is taken.
    tell(&right).await;
    is_at(&member, 1).await;
    assert_eq!(member.verifier.recent(clock::now()), None, "nobody has asked");
    assert_eq!(member.verifier.standing(clock::now()).unwrap().digest, right.digest());
}

async fn shopper() -> (World, Member) {
    let who = Who::Member { owner: owner(), role: Role::Agent, name: name("shopper") };
    let world = World::start(std::slice::from_ref(&who)).await;
    let login = world.login(&who);
    let member = Member::connect(&login, Role::Agent, name("shopper"), pin(), None).await.unwrap();
    (world, member)
}

/// Waits until the member goes by this roster.
async fn is_at(member: &Member, number: u64) {
    eventually(async || {
        let standing = member.verifier.standing(clock::now()).ok()?;
        (standing.number == number).then_some(())
    })
    .await;
}

fn named() -> Named {
    Named::new(Role::Agent, name("shopper"), IdentityKey::from_seed(&[2; 32].into()).public())
}

fn owner_key() -> IdentityKey {
    IdentityKey::from_seed(&[1; 32].into())
}

fn pin() -> KeyId {
    owner_key().id()
}

fn owner() -> OwnerId {
    OwnerId::of(&pin())
}
