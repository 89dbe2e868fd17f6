//! Enrolments that break off: given up, killed, and what they leave behind.

use agent_otp_domain::Role;
use agent_otp_jetstream::nats_user::{NatsUser, NatsUsers, Whose};
use agent_otp_tests::{Place, Proxy, eventually};
use nkeys::KeyPair;
use rustix::process::Signal;

use super::{LISTEN, admitted, carries_a_code, is_empty, is_void};

#[tokio::test]
async fn whoever_gives_up_makes_the_token_void_on_both_sides() {
    let owner = Place::new();
    let _up = owner.up_with(&LISTEN).await;
    let other = Place::new();
    let enrolling = owner.enroll("agent", "booker").await;
    let mut joining = other.join(&enrolling.token).await;
    joining.words().await;
    joining.signal(Signal::INT);
    let left = joining.ended().await;
    assert!(left.code == Some(1) && left.stderr.contains("given up; the token is void"), "{left:?}");
    is_void(&owner, &other, enrolling.ended().await, "the other machine has given up").await;

    for signal in [Signal::INT, Signal::KILL] {
        let enrolling = owner.enroll("agent", "booker").await;
        let mut joining = other.join(&enrolling.token).await;
        joining.words().await;
        enrolling.signal(signal);
        let said = match signal {
            Signal::INT => "the owner's side has given up",
            _ => "nobody waits for this token",
        };
        let left = joining.ended().await;
        assert!(left.code == Some(1) && left.stderr.contains(said), "{left:?}");
        is_empty(&other);
        let ended = enrolling.ended().await;
        if signal == Signal::INT {
            is_void(&owner, &other, ended, said).await;
        }
    }
    // What the killed one has left is swept away by the next.
    assert_eq!(admitted(&owner), 1);
    owner.enrolled(&other, "agent", "booker").await;
    assert_eq!(admitted(&owner), 1, "the member alone");
}

#[tokio::test]
async fn a_machine_that_is_killed_while_it_joins_goes_on_or_begins_anew() {
    let owner = Place::new();
    let _up = owner.up_with(&LISTEN).await;
    // Before the owner confirms: the next try with this token is a second one.
    let other = Place::new();
    let enrolling = owner.enroll("agent", "booker").await;
    let token = enrolling.token.clone();
    let mut joining = other.join(&token).await;
    joining.words().await;
    joining.signal(Signal::KILL);
    joining.ended().await;
    let again = other.join(&token).await.ended().await;
    assert!(again.code == Some(1) && again.stderr.contains("it was used twice"), "{again:?}");
    is_void(&owner, &other, enrolling.ended().await, "it was used twice").await;
    is_empty(&other);

    // After the owner has confirmed: the same command finds out that it is a member.
    let mut enrolling = owner.enroll("agent", "booker").await;
    let token = enrolling.token.clone();
    let mut joining = other.join(&token).await;
    let words = joining.words().await;
    // What shows them has proven its key, and may be killed.
    enrolling.words().await;
    joining.signal(Signal::KILL);
    joining.ended().await;
    enrolling.answer(&words).await;
    let ended = enrolling.ended().await.well();
    assert!(ended.stderr.contains("It has not said that it knows"), "{ended:?}");
    assert!(!other.dir().join("members/agent-booker/identity.key").exists());
    other.join(&token).await.ended().await.well();
    carries_a_code(&owner, &other, "booker").await;
}

#[tokio::test]
async fn whoever_gives_up_after_the_owner_has_confirmed_is_a_member_all_the_same() {
    let owner = Place::new();
    let _up = owner.up().await;
    for (name, is_back) in [("booker", true), ("reader", false)] {
        let other = Place::new();
        let network = Proxy::to(&owner.run().nats_url).await;
        let mut enrolling = owner.enroll_at(network.url(), "agent", name).await;
        let token = enrolling.token.clone();
        let mut joining = other.join(&token).await;
        let words = enrolling.words().await;
        // The owner's answer is on its way when the person at the other machine has waited for long enough.
        network.stall();
        enrolling.answer(&words).await;
        eventually("the owner", async || enrolling.said().contains("enrolled agent:").then_some(())).await;
        joining.signal(Signal::INT);
        eventually("it to give up", async || joining.said().contains("giving up").then_some(())).await;
        if is_back {
            network.restore();
            joining.ended().await.well();
        } else {
            network.cut();
            let unknown = joining.ended().await;
            let said = unknown.stderr.contains("type the same once more when its broker is there");
            assert!(unknown.code != Some(0) && said, "{unknown:?}");
            network.restore();
            other.join(&token).await.ended().await.well();
        }
        carries_a_code(&owner, &other, name).await;
    }
}

#[tokio::test]
async fn what_an_enrolment_left_behind_is_swept_away_when_the_broker_starts() {
    let owner = Place::new();
    let up = owner.up_with(&LISTEN).await;
    let run = owner.run();
    // Killed after NATS had admitted the new member, and before the roster was signed.
    let users = NatsUsers::at(owner.dir().join("nats-users"));
    let whose = |name: &str| Whose::Member {
        owner: run.owner.parse().unwrap(),
        role: Role::Agent,
        name: name.parse().unwrap(),
    };
    users.add(&NatsUser::new(KeyPair::new_user().public_key(), whose("booker"))).unwrap();
    up.stop().await.well();
    // The next roster does not name it.
    let up = owner.up_with(&LISTEN).await;
    let enrolling = owner.enroll("agent", "reader").await;
    assert_eq!(admitted(&owner), 1, "the token's alone");
    enrolling.signal(Signal::KILL);
    enrolling.ended().await;
    assert_eq!(admitted(&owner), 1);
    up.stop().await.well();
    let _up = owner.up_with(&LISTEN).await;
    assert_eq!(admitted(&owner), 0);
}
