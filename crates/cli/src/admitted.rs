//! Which NATS users the broker admits: those whose members the roster names, and no others.

use agent_otp_domain::{MemberId, OwnerId, Role};
use agent_otp_jetstream::nats_user::{Applied, NatsUser, Whose};
use agent_otp_trust::Roster;
use agent_otp_user::latest_roster;
use anyhow::Context as _;

use crate::place::Place;

/// Admits a user from now on.
///
/// # Errors
///
/// If no broker runs here: nobody could connect.
pub(crate) async fn admit(place: &Place, user: &NatsUser) -> anyhow::Result<()> {
    place.nats_users().add(user)?;
    match place.nats_users().apply().await? {
        Applied::Now => Ok(()),
        Applied::AtStart => anyhow::bail!("no broker runs here; start `agent-otp up --listen ADDRESS` first"),
    }
}

/// Cuts a user off; whether it was admitted.
pub(crate) async fn withdraw(place: &Place, whose: &Whose) -> anyhow::Result<bool> {
    let was_admitted = place.nats_users().remove(whose)?;
    place.nats_users().apply().await?;
    Ok(was_admitted)
}

/// Takes back what enrolments and revocations have left that broke off: the users of tokens, and those of members whom a
/// roster that was signed since does not name. No enrolment may be under way. The broker takes it at its next start, or
/// with the next change.
pub(crate) fn sweep(place: &Place, owner: &OwnerId) -> anyhow::Result<()> {
    let (_, latest) = latest_roster(&place.rosters())?;
    let users = place.nats_users();
    for NatsUser { whose, made_at, .. } in users.list().context("the admitted NATS users cannot be read")? {
        let is_left = match &whose {
            Whose::Enrolment { owner: of, .. } => of == owner,
            Whose::Member { owner: of, role, name } => {
                of == owner && latest.named(*role, name).is_none() && latest.made_at > made_at
            }
        };
        if is_left {
            users.remove(&whose)?;
        }
    }
    Ok(())
}

/// Whether a member joined from another machine, where its key is. One that joined on this one has it here.
pub(crate) fn is_elsewhere(
    place: &Place,
    latest: &Roster,
    role: Role,
    name: &MemberId,
) -> anyhow::Result<bool> {
    if place.member(role, name).exists() && stands(place, latest, role, name)? {
        return Ok(false);
    }
    let users = place.nats_users().list().context("the admitted NATS users cannot be read")?;
    Ok(users.iter().any(|user| match &user.whose {
        Whose::Member { role: known, name: named, .. } => *known == role && named == name,
        Whose::Enrolment { .. } => false,
    }))
}

/// Whether the roster names a member of this machine with the key that lies here, or with the one that is to come: one
/// that was revoked is not admitted, though its files are still there.
pub(crate) fn stands(place: &Place, latest: &Roster, role: Role, name: &MemberId) -> anyhow::Result<bool> {
    let Some(member) = latest.named(role, name) else { return Ok(false) };
    let home = place.member(role, name);
    Ok(home.public()? == member.public_key || home.next_public()?.as_ref() == Some(&member.public_key))
}
