//! `agent-otp alarms`: what the auditor found wrong, for people and for whatever watches the exit code.

use std::process::ExitCode;

use agent_otp_audit::{Alarm, Trail};
use agent_otp_domain::visible;

use crate::audit;
use crate::place::Place;
use crate::print;

/// The exit code where there is an alarm.
pub(crate) const ALARM: u8 = 16;

pub(crate) async fn run(place: &Place, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut trail = Trail::open(&place.audit()).await?;
    audit::catch_up(place, &mut trail).await;
    let alarms = trail.alarms().await?;
    if as_json {
        print::out(&print::json(&alarms)?);
    } else if alarms.is_empty() {
        print::out("No alarms.");
    } else {
        print::out(&format!("{:>6}  {:<24}  alarm", "event", "noticed"));
        for alarm in &alarms {
            print::out(&row(alarm));
        }
    }
    Ok(if alarms.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(ALARM) })
}

fn row(alarm: &Alarm) -> String {
    let noticed_at = alarm.noticed_at.as_deref().unwrap_or("not believed");
    format!("{:>6}  {noticed_at:<24}  {}", alarm.position, visible(&alarm.what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_a_line_that_nothing_in_it_can_break() {
        let noticed_at = Some("2026-01-31T12:00:00.000Z".to_owned());
        let alarms = [
            Alarm { position: 2, what: "events 1 to 2 are missing from the log".to_owned(), noticed_at },
            Alarm { position: 7, what: "the signature is wrong\u{1b}[2J".to_owned(), noticed_at: None },
        ];
        insta::assert_snapshot!(alarms.iter().map(row).collect::<Vec<_>>().join("\n"), @r"
             2  2026-01-31T12:00:00.000Z  events 1 to 2 are missing from the log
             7  not believed              the signature is wrong<U+001B>[2J
        ");
    }
}
