//! `agent-otp revoke`: a member is one no more, at once.

use std::process::ExitCode;
use std::time::Duration;

use agent_otp_domain::{KeyId, OwnerId, Role};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::nats_user::Whose;
use agent_otp_trust::Roster;
use agent_otp_user::{Approver, Owner};
use anyhow::{Context as _, bail};
use tokio::time::timeout;

use crate::named::Named;
use crate::place::{NotRunning, Place};
use crate::{admitted, print, setup};

const LATER: &str = "not everyone has heard of it yet; type the same once more";
const ADMITTED: &str = "NATS may still admit it; type the same once more";
/// How long a member that is to go may hear that its requests are denied; then it is cut off all the same.
const HEARS_WITHIN: Duration = Duration::from_secs(1);

/// Steps, each of which leaves a state from which the same command goes on: the roster is signed, what rests on the
/// member's word is denied, NATS cuts it off, and the relay gets the roster. In this order nobody takes what is denied for
/// a lie.
pub(crate) async fn run(place: &Place, member: &Named) -> anyhow::Result<ExitCode> {
    setup::has_keys(place)?;
    let local = setup::local()?;
    if member.role != Role::Agent && member.name == local {
        bail!(
            "{member} is this machine's own, and needed here; give it a new key: agent-otp keys rotate {member}"
        );
    }
    let homes = [place.owner(), place.member(Role::Approver, &local)];
    tokio::task::block_in_place(|| place.unlock(&homes))?;
    let owner = setup::owner_of(place)?;
    let key = revoked(place, &owner, member)?;
    print::out(&format!("revoked {member}: what its key {key} signs is refused from now on"));

    let owner_id = OwnerId::of(&place.owner().pin()?.owner_key);
    let whose = Whose::Member { owner: owner_id, role: member.role, name: member.name.clone() };
    end(place, &owner, &key, &whose).await?;
    Ok(ExitCode::SUCCESS)
}

/// Denies, cuts off, and tells everyone of the roster that is signed. A NATS server that somebody else runs cuts nobody
/// off for us; the rest is done all the same.
async fn end(place: &Place, owner: &Owner, key: &KeyId, whose: &Whose) -> anyhow::Result<()> {
    let approver = approver(place).await;
    let mut denied = match &approver {
        Ok(approver) => {
            timeout(HEARS_WITHIN, approver.deny_all_of(key)).await.map_or(0, Result::unwrap_or_default)
        }
        Err(_) => 0,
    };
    let withdrawn = admitted::withdraw(place, whose).await.context(ADMITTED);
    if withdrawn.is_ok() {
        print::out("NATS admits it no more");
    }
    let approver = match approver {
        Err(error) if error.is::<NotRunning>() => {
            print::say("Nothing runs here: everyone hears of it when `agent-otp up` is started.");
            return withdrawn.map(drop);
        }
        approver => approver.context(LATER)?,
    };
    // What came in between. The roster goes out whatever comes of it: it is what protects.
    let rest = approver.deny_all_of(key).await;
    owner.publish(approver.bus()).await.context(LATER)?;
    denied += rest.context(LATER)?;
    print::out(&format!("open requests that rested on its word, denied: {denied}"));
    withdrawn.map(drop)
}

/// Has the next roster revoke the member's key, unless it was revoked before.
fn revoked(place: &Place, owner: &Owner, member: &Named) -> anyhow::Result<KeyId> {
    let Named { role, name } = member;
    let (_, latest) = owner.latest()?;
    if let Some(standing) = latest.named(*role, name) {
        let key = standing.key.clone();
        let now = clock::now();
        owner.advance(now, |next| next.parted(*role, name, now))?;
        return Ok(key);
    }
    // Broken off the last time, perhaps; what is left to do is done again.
    let before = agent_otp_user::rosters(&place.rosters())?;
    let known = before.iter().rev().find_map(|roster: &Roster| roster.named(*role, name));
    match known {
        Some(known) => Ok(known.key.clone()),
        None => bail!("the rosters name no `{member}`; `agent-otp members` lists those that they name"),
    }
}

async fn approver(place: &Place) -> anyhow::Result<Approver> {
    let local = setup::local()?;
    let login = place.run()?.access(place)?.member(Role::Approver, &local)?;
    Ok(Approver::connect(&login, place.member(Role::Approver, &local), local).await?)
}
