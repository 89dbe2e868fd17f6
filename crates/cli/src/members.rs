//! `agent-otp members`: who belongs to the owner, where, since when, and who did.

use std::collections::BTreeMap;
use std::process::ExitCode;

use agent_otp_domain::{KeyId, Timestamp};
use agent_otp_trust::{Member, Roster};
use anyhow::Context as _;
use serde::Serialize;

use crate::place::Place;
use crate::{print, setup};

/// One member, of now or of before.
#[derive(Debug, Serialize)]
struct Shown {
    member: String,
    key: KeyId,
    /// Whether its key is in this data directory.
    here: bool,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

pub(crate) fn run(place: &Place, as_json: bool) -> anyhow::Result<ExitCode> {
    setup::has_keys(place)?;
    let rosters = agent_otp_user::rosters(&place.rosters())?;
    let latest = rosters.last().context("there is no roster yet; start `agent-otp up` once")?;
    let shown: Vec<Shown> = all(&rosters)
        .into_iter()
        .map(|(member, since)| Shown {
            member: format!("{}:{}", member.role, member.name),
            here: is_here(place, member),
            since: since.to_string(),
            revoked_at: latest.revoked_at(&member.key).map(|at| at.to_string()),
            key: member.key.clone(),
        })
        .collect();
    if as_json {
        print::out(&print::json(&shown)?);
    } else {
        for shown in &shown {
            print::out(&line(shown));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Everyone who was ever named, with the time of the first roster that did: those who stand first, by role and name.
fn all(rosters: &[Roster]) -> Vec<(&Member, Timestamp)> {
    let mut first: BTreeMap<&KeyId, (&Member, Timestamp)> = BTreeMap::new();
    for roster in rosters {
        for member in &roster.members {
            first.entry(&member.key).or_insert((member, roster.made_at));
        }
    }
    let mut all: Vec<_> = first.into_values().collect();
    let revoked_at = |member: &Member| rosters.last().and_then(|latest| latest.revoked_at(&member.key));
    all.sort_by_key(|(member, _)| (revoked_at(member), member.role, member.name.clone()));
    all
}

fn is_here(place: &Place, member: &Member) -> bool {
    let home = place.member(member.role, &member.name);
    home.public().is_ok_and(|key| key == member.public_key)
}

fn line(shown: &Shown) -> String {
    let Shown { member, key, here, since, revoked_at } = shown;
    let here = if *here { "here" } else { "elsewhere" };
    let revoked = revoked_at.as_ref().map(|at| format!("  revoked at {at}")).unwrap_or_default();
    format!("{member:<24}  {key}  {here:<9}  since {since}{revoked}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_a_line() {
        let shown = |here, revoked_at: Option<&str>| Shown {
            member: "agent:shopper".to_owned(),
            key: KeyId::of(&[1; 32]),
            here,
            since: "2026-01-31T12:00:00.000Z".to_owned(),
            revoked_at: revoked_at.map(str::to_owned),
        };
        let lines =
            [shown(true, None), shown(false, Some("2026-02-01T12:00:00.000Z"))].map(|shown| line(&shown));
        insta::assert_snapshot!(lines.join("\n"), @r"
        agent:shopper             m26nslxyvswu72tamtgdnbgxidmkrsxi  here       since 2026-01-31T12:00:00.000Z
        agent:shopper             m26nslxyvswu72tamtgdnbgxidmkrsxi  elsewhere  since 2026-01-31T12:00:00.000Z  revoked at 2026-02-01T12:00:00.000Z
        ");
    }
}
