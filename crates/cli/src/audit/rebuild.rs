//! `agent-otp audit rebuild`: the trail anew from the log, while everything goes on.

use std::process::ExitCode;
use std::time::Duration;

use agent_otp_audit::Rebuilt;
use agent_otp_domain::{Role, visible};
use agent_otp_jetstream::{Member, clock};
use anyhow::Context as _;
use serde_json::json;

use crate::place::Place;
use crate::way::As;
use crate::{exit, print};

pub(crate) async fn run(place: &Place, as_json: bool) -> anyhow::Result<ExitCode> {
    let started = clock::now();
    let name = place.meant(Role::Auditor, &As::default())?;
    let login = place
        .member_login(Role::Auditor, &name)
        .context("the log cannot be read, and the trail stays as it is")?;
    let pin = place.member(Role::Auditor, &name).pin()?;
    let auditor = Member::connect(&login, Role::Auditor, name, pin.owner_key.clone(), pin.roster).await?;
    let rebuilt = agent_otp_audit::rebuild(&place.audit(), auditor.bus, pin.owner_key).await?;
    let took = clock::now().since(started);
    if as_json {
        print::out(&print::json(&json!({
            "events": rebuilt.events,
            "duration_ms": took.as_millis(),
            "differing": rebuilt.differing,
            "differences": rebuilt.differences,
            "before": rebuilt.before,
        }))?);
    } else {
        tell(&rebuilt, took);
    }
    Ok(if rebuilt.differing == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::ALARM) })
}

fn tell(rebuilt: &Rebuilt, took: Duration) {
    let Rebuilt { events, differing, differences, before } = rebuilt;
    print::out(&format!("rebuilt from {events} events in {:.2} s", took.as_secs_f64()));
    if *differing == 0 {
        print::out("the trail was what the log says, in every row");
        return;
    }
    print::out(&format!("ALARM: the trail was not what the log says, in {differing} rows:"));
    for difference in differences {
        print::out(&format!("  {}", visible(difference)));
    }
    if *differing > differences.len() as u64 {
        print::out("  …");
    }
    if let Some(before) = before {
        print::out(&format!(
            "It says now what the log says. The one of before is kept: {}",
            before.display()
        ));
    }
}
