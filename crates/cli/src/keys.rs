//! `agent-otp keys`: what keys there are, how they rest, and what takes their place.

mod protect;
mod recovery;
mod rotate;

use std::process::ExitCode;

use agent_otp_domain::{KeyId, MemberId};
use agent_otp_keyring::Home;
use serde::Serialize;

use crate::args::{Keys, Recovery};
use crate::named::{Named, ROLES};
use crate::place::Place;
use crate::print;

pub(crate) fn run(place: &Place, verb: Keys) -> anyhow::Result<ExitCode> {
    match verb {
        Keys::Show { json } => show(place, json)?,
        Keys::Protect { change: None } => protect::protect(place)?,
        Keys::Protect { change: Some(to) } => protect::change(place, to.as_deref())?,
        Keys::Unprotect => protect::unprotect(place)?,
        Keys::Rotate { member } => rotate::run(place, &member)?,
        Keys::Recovery { verb: Recovery::New { to, recovery_file } } => {
            recovery::new(place, to.as_deref(), recovery_file.as_deref())?;
        }
        Keys::Recover { recovery_file } => recovery::recover(place, recovery_file.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The homes of a data directory that hold keys, each as it is called.
pub(crate) fn homes(place: &Place) -> Vec<(String, Home)> {
    let owner = std::iter::once(("owner".to_owned(), place.owner()));
    let members = ROLES.iter().flat_map(|role| {
        let named = |name: MemberId| {
            let home = place.member(*role, &name);
            (Named { role: *role, name }.to_string(), home)
        };
        place.names(*role).into_iter().map(named).collect::<Vec<_>>()
    });
    owner.chain(members).filter(|(_, home)| home.exists()).collect()
}

/// The same; where there are none, it is said what makes them. A machine that joined has no owner's.
fn present(place: &Place) -> anyhow::Result<Vec<(String, Home)>> {
    let homes = homes(place);
    if homes.is_empty() || place.rosters().exists() {
        crate::setup::has_keys(place)?;
    }
    Ok(homes)
}

/// What `keys show` says of one key.
#[derive(Serialize)]
struct Shown {
    member: String,
    key: KeyId,
    sealed: bool,
    /// The key that is to come, if a rotation was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<KeyId>,
}

fn show(place: &Place, as_json: bool) -> anyhow::Result<()> {
    let shown = present(place)?.into_iter().map(|(member, home)| {
        let next = home.next_public()?.map(|next| next.id());
        Ok(Shown { member, key: home.public()?.id(), sealed: home.is_sealed()?, next })
    });
    let shown: Vec<Shown> = shown.collect::<anyhow::Result<_>>()?;
    let has_owner = place.owner().exists();
    let recovery = if has_owner { agent_otp_user::latest_roster(&place.rosters())?.1.recovery } else { None };
    let recovery = recovery.map(|key| key.id());
    if as_json {
        print::out(&print::json(&serde_json::json!({ "keys": shown, "recovery": recovery }))?);
        return Ok(());
    }
    for Shown { member, key, sealed, next } in shown {
        let rests = if sealed { "sealed" } else { "not sealed" };
        let next = next.map(|next| format!("  (to be {next}: a rotation was broken off; begin it again)"));
        print::out(&format!("{member:<18}  {key}  {rests}{}", next.unwrap_or_default()));
    }
    match recovery {
        Some(key) => print::out(&format!("{:<18}  {key}  offline", "recovery")),
        None if has_owner => print::out("There is no recovery key; `agent-otp keys recovery new` makes one."),
        None => {}
    }
    Ok(())
}
