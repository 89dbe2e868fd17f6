//! The roster: none that is older, of another owner, or beside the one that was seen is gone by, by anybody.
//!
//! What an agent does about a stale one, which is no attack by itself, stands in `crates/agent/tests/agent/roster.rs`.

use std::time::Duration;

use agent_otp_agent::AgentError;
use agent_otp_domain::{Role, SignedStatement};
use agent_otp_jetstream::message::{Ask, Reply};
use agent_otp_jetstream::{VerifyError, clock};
use agent_otp_trust::{Roster, RosterError, Untrusted};
use agent_otp_user::ApproverError;

use crate::forgery::mallory;
use crate::stage::{DESK, PHONE, SHOPPER, Stage, asking, owner, owner_key, refused};
use crate::world::eventually;

#[tokio::test]
async fn a_roster_that_was_rolled_back_is_refused_by_everybody() {
    let mut stage = Box::pin(Stage::start()).await;
    let first = stage.double.store.rosters.read(&owner(), None).await.unwrap().unwrap();
    stage.renew(|_| {}).await;
    everybody_has_seen(&mut stage, 2).await;
    serve(&stage, first);
    let told = "the roster went backwards: 1 is offered as the latest, but 2 was seen";
    everybody_refuses(&mut stage, told, |error| {
        matches!(error, RosterError::Backwards { seen: 2, offered: 1 })
    })
    .await;
}

#[tokio::test]
async fn a_roster_that_another_key_signed_is_refused_by_everybody() {
    let mut stage = Box::pin(Stage::start()).await;
    everybody_has_seen(&mut stage, 1).await;
    let members = Roster::verify(&stage.renew(|_| {}).await).unwrap().members;
    serve(&stage, mallory().sign_roster(&Roster::first(&mallory(), members, clock::now())));
    everybody_refuses(&mut stage, "the roster is signed by", |error| {
        matches!(error, RosterError::OtherOwner { .. })
    })
    .await;
}

#[tokio::test]
async fn a_roster_that_the_relay_altered_is_refused_by_everybody() {
    let mut stage = Box::pin(Stage::start()).await;
    let renewed = stage.renew(|_| {}).await;
    let mut roster = Roster::verify(&renewed).unwrap();
    roster.members.retain(|member| member.role != Role::Capturer);
    serve(&stage, SignedStatement { payload: owner_key().sign_roster(&roster).payload, ..renewed });
    everybody_refuses(&mut stage, "the signature is wrong", |error| {
        matches!(error, RosterError::Untrusted(Untrusted::Signature))
    })
    .await;
}

#[tokio::test]
async fn a_second_roster_of_one_number_is_refused_by_everybody_who_knows_the_first() {
    let mut stage = Box::pin(Stage::start()).await;
    let signed = stage.renew(|_| {}).await;
    everybody_has_seen(&mut stage, 2).await;
    // By the owner's own key, as from a backup that somebody has restored.
    let mut other = Roster::verify(&signed).unwrap();
    other.members.pop();
    serve(&stage, owner_key().sign_roster(&other));
    everybody_refuses(&mut stage, "the rosters do not form one chain at number 2", |error| {
        matches!(error, RosterError::Forked { number: 2 })
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_keeps_the_renewals_back_is_gone_by_for_a_day_at_most() {
    let made_at = clock::now().before(Roster::VALIDITY + Duration::from_mins(1));
    let stage = Box::pin(Stage::with_roster(made_at)).await;
    let error = refused(stage.approver.open()).await;
    let ApproverError::Verify(VerifyError::Roster(RosterError::Stale { since })) = error else {
        panic!("{error}")
    };
    assert_eq!(since, made_at.after(Roster::VALIDITY));
    // An owner whose machine is off looks the same: no alarm.
    assert_eq!(stage.alarms(PHONE), []);
}

/// Everybody fetches the latest roster, and keeps it in mind.
async fn everybody_has_seen(stage: &mut Stage, number: u64) {
    drop(stage.agent(SHOPPER).await.request(asking()).await.unwrap());
    stage.approver().await.open().await.unwrap();
    stage.capture_anew().await;
    for party in [SHOPPER, PHONE, DESK] {
        let home = stage.home(party);
        eventually(async || (home.pin().unwrap().roster?.number == number).then_some(())).await;
    }
    assert_eq!(stage.audited().await, []);
}

/// From now on the relay says that this is the latest roster.
fn serve(stage: &Stage, roster: SignedStatement) {
    stage.double.lie(move |ask, reply| match ask {
        Ask::Roster { number: None } => Reply::Roster { statement: roster.clone() },
        _ => reply,
    });
}

/// Everybody asks for the latest roster anew, refuses it, and keeps an alarm.
async fn everybody_refuses(stage: &mut Stage, told: &str, is_it: impl Fn(&RosterError) -> bool) {
    let error = refused(stage.agent(SHOPPER).await.request(asking())).await;
    let AgentError::Roster(VerifyError::Roster(found)) = &error else { panic!("{error}") };
    assert!(is_it(found), "{found}");
    let error = refused(stage.approver().await.open()).await;
    let ApproverError::Verify(VerifyError::Roster(found)) = &error else { panic!("{error}") };
    assert!(is_it(found), "{found}");
    stage.capture_anew().await;
    for party in [SHOPPER, PHONE, DESK] {
        stage.alarm(party, None, told).await;
    }
    let audited = stage.audited().await;
    assert!(audited.iter().any(|alarm| alarm.what.contains(told)), "{audited:#?}");
}
