//! The end of a membership: at once, for everyone, and for good.

use agent_otp_tests::{Place, strings};

use super::{LISTEN, carries_a_code, members};

#[tokio::test]
async fn a_revoked_agent_is_cut_off_at_once_and_its_name_is_free() {
    let owner = Place::new();
    let up = owner.up_with(&LISTEN).await;
    let agent = Place::new();
    owner.enrolled(&agent, "agent", "booker").await;
    let mut waiting = agent.request(&["--agent", "booker"]).await;
    let mut approved = agent.request(&["--agent", "booker", "--from", "gitlab.com"]).await;
    owner.approve(&approved.id).await;
    let shoppers = owner.request(&[]).await;
    let revoked = owner.agent_otp(&["revoke", "agent:booker"]).await.well();
    assert!(revoked.stdout.contains("open requests that rested on its word, denied: 2"), "{revoked:?}");
    for asked in [&mut waiting, &mut approved] {
        assert_eq!(asked.ended().await.code, Some(10), "its agent hears that it was denied");
    }
    let refused = agent.start_request(&["--agent", "booker"]).ended().await;
    assert!(refused.code == Some(14) && refused.stderr.contains("does not admit this user"), "{refused:?}");
    owner.mail("a@gitlab.com", "Your GitLab verification code is 482913.").await;
    assert_eq!(owner.history(&approved.id).await, strings(["requested", "approved", "denied"]));
    assert!(owner.pending_one(&shoppers.id).await.is_some(), "others are not touched");
    let again = owner.agent_otp(&["revoke", "agent:booker"]).await.well();
    assert!(again.stdout.contains("denied: 0"), "{again:?}");
    assert_eq!(owner.agent_otp(&["alarms"]).await.well().stdout, "No alarms.\n");

    let anew = Place::new();
    owner.enrolled(&anew, "agent", "booker").await;
    carries_a_code(&owner, &anew, "booker").await;
    let shown = members(&owner).await;
    let bookers: Vec<bool> = shown
        .iter()
        .filter(|shown| shown["member"] == "agent:booker")
        .map(|shown| shown["revoked_at"].is_string())
        .collect();
    assert_eq!(bookers, [false, true]);
    // A restart admits nobody again.
    up.stop().await.well();
    let _up = owner.up_with(&LISTEN).await;
    let refused = agent.start_request(&["--agent", "booker"]).ended().await;
    assert!(refused.stderr.contains("does not admit this user"), "{refused:?}");
    carries_a_code(&owner, &anew, "booker").await;
}

#[tokio::test]
async fn the_agent_of_the_owners_own_machine_can_be_revoked_and_live_elsewhere() {
    let owner = Place::new();
    let up = owner.up_with(&LISTEN).await;
    owner.agent_otp(&["revoke", "agent:shopper"]).await.well();
    let refused = owner.start_request(&[]).ended().await;
    assert!(refused.code == Some(14) && refused.stderr.contains("does not admit this user"), "{refused:?}");
    let elsewhere = Place::new();
    owner.enrolled(&elsewhere, "agent", "shopper").await;
    carries_a_code(&owner, &elsewhere, "shopper").await;
    up.stop().await.well();
    // Revoked while nothing runs: it counts from the next start on.
    let offline = owner.agent_otp(&["revoke", "agent:shopper"]).await.well();
    assert!(offline.stderr.contains("everyone hears of it when `agent-otp up` is started"), "{offline:?}");
    let _up = owner.up_with(&LISTEN).await;
    for place in [&owner, &elsewhere] {
        let refused = place.start_request(&[]).ended().await;
        assert!(refused.stderr.contains("does not admit this user"), "{refused:?}");
    }
}
