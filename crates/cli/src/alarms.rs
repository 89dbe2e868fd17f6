//! `agent-otp alarms`: what the parties of this data directory found wrong, for people and for whatever watches the exit
//! code.

use std::process::ExitCode;

use agent_otp_audit::{OpenError, Trail};
use agent_otp_domain::{Alarm, Role, visible};

use crate::place::Place;
use crate::{audit, exit, print};

/// Who keeps alarms in a home; an auditor's stand in its trail.
const ROLES: [Role; 3] = [Role::Agent, Role::Approver, Role::Capturer];

pub(crate) async fn run(place: &Place, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut alarms = of_members(place)?;
    match Trail::open(&place.audit()).await {
        Ok(mut trail) => {
            audit::catch_up(place, &mut trail).await;
            alarms.extend(trail.alarms().await?);
        }
        // Where an agent lives alone, nobody audits.
        Err(OpenError::Missing { .. }) if ROLES.iter().any(|role| !place.names(*role).is_empty()) => {}
        Err(error) => return Err(error.into()),
    }
    if as_json {
        print::out(&print::json(&alarms)?);
    } else if alarms.is_empty() {
        print::out("No alarms.");
    } else {
        print::out(&format!("{:<24}  {:<16}  {:>6}  {:<36}  alarm", "noticed", "by", "event", "request"));
        for alarm in &alarms {
            print::out(&row(alarm));
        }
    }
    Ok(if alarms.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::ALARM) })
}

/// What the members found wrong that live here.
fn of_members(place: &Place) -> anyhow::Result<Vec<Alarm>> {
    let mut alarms = Vec::new();
    for role in ROLES {
        for name in place.names(role) {
            alarms.extend(place.member(role, &name).alarms()?);
        }
    }
    Ok(alarms)
}

fn row(alarm: &Alarm) -> String {
    let noticed_at = alarm.noticed_at.as_deref().unwrap_or("not believed");
    let position = alarm.position.map(|position| position.to_string()).unwrap_or_default();
    let request = alarm.request.map(|request| request.to_string()).unwrap_or_default();
    format!(
        "{noticed_at:<24}  {:<16}  {position:>6}  {request:<36}  {}",
        alarm.noticed_by,
        visible(&alarm.what)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_a_line_that_nothing_in_it_can_break() {
        let of = |noticed_by: &str, what: &str| Alarm {
            noticed_by: noticed_by.to_owned(),
            position: None,
            request: None,
            what: what.to_owned(),
            noticed_at: Some("2026-01-31T12:00:00.000Z".to_owned()),
        };
        let request = "019c13ec-9e00-7707-8707-070707070707".parse().ok();
        let alarms = [
            Alarm { request, ..of("agent:shopper", "the sealed code does not open") },
            Alarm { position: Some(2), ..of("auditor", "events 1 to 2 are missing from the log") },
            Alarm {
                position: Some(7),
                request,
                noticed_at: None,
                ..of("auditor", "the signature is wrong\u{1b}[2J")
            },
        ];
        insta::assert_snapshot!(alarms.iter().map(row).collect::<Vec<_>>().join("\n"), @r"
        2026-01-31T12:00:00.000Z  agent:shopper             019c13ec-9e00-7707-8707-070707070707  the sealed code does not open
        2026-01-31T12:00:00.000Z  auditor                2                                        events 1 to 2 are missing from the log
        not believed              auditor                7  019c13ec-9e00-7707-8707-070707070707  the signature is wrong<U+001B>[2J
        ");
    }
}
