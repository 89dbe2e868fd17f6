//! A member's key that another one replaces.

use std::fs;

use agent_otp_domain::Role;
use agent_otp_tests::Place;

use super::{MEMBERS, PASSPHRASE, carries_a_code, keys, killed, latest, made, sealed, until_hit};

#[tokio::test]
async fn a_member_is_rotated_and_its_old_key_is_refused() {
    let place = sealed().await;
    place.set_passphrase(Some(PASSPHRASE));
    let up = place.up().await;
    let running = place.agent_otp(&["keys", "rotate", "agent:shopper"]).await;
    let said = format!("another `agent-otp up` (pid {}) runs on", up.pid());
    assert!(running.code == Some(1) && running.stderr.contains(&said), "{running:?}");
    carries_a_code(&place).await;
    up.stop().await.well();

    let old = fs::read(place.home(Role::Agent, "shopper").dir().join("identity.key")).unwrap();
    let (before, number) = (keys(&place), latest(&place));
    for member in &MEMBERS[1..] {
        place.agent_otp(&["keys", "rotate", member]).await.well();
    }
    let after = keys(&place);
    assert!(MEMBERS[1..].iter().all(|member| before[*member] != after[*member]));
    assert_eq!(latest(&place), number + 4, "one roster for each");
    let unknown = place.agent_otp(&["keys", "rotate", "agent:nobody"]).await;
    assert!(unknown.stderr.contains("names no `agent:nobody`; it names agent:shopper, "), "{unknown:?}");

    let up = place.up().await;
    carries_a_code(&place).await;
    fs::write(place.home(Role::Agent, "shopper").dir().join("identity.key"), old).unwrap();
    let refused = place.start_request(&[]).ended().await;
    assert!(refused.stderr.contains("does not name this agent's key"), "{refused:?}");
    assert_eq!(place.agent_otp(&["alarms"]).await.well().stdout, "No alarms.\n");
    up.stop().await.well();
}

#[tokio::test]
async fn a_rotation_that_is_killed_between_any_two_steps_goes_on() {
    let place = Place::new();
    made(&place).await;
    let home = place.home(Role::Agent, "shopper");
    let next = home.dir().join("identity.next");
    let rotate = ["keys", "rotate", "agent:shopper"];
    for (middle, signed) in [("the new key is kept", 0), ("the roster names it", 1)] {
        until_hit(middle, async || {
            let (before, number) = (keys(&place), latest(&place));
            let stands = || next.exists() && latest(&place) == number + signed;
            killed(place.start(&rotate), stands).await;
            let (is_hit, is_half_done) = (stands(), next.exists());
            let rotated = place.agent_otp(&rotate).await.well();
            assert!(!next.exists());
            if is_half_done {
                assert_eq!(latest(&place), number + 1, "the one roster: {rotated:?}");
            }
            assert_ne!(keys(&place)["agent:shopper"], before["agent:shopper"]);
            is_hit
        })
        .await;
    }
    let _up = place.up().await;
    carries_a_code(&place).await;
}
