//! `sources check`: tries every source as far as that leaves no message, and says what to do about what fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use agent_otp_user::source::Loopback;
use agent_otp_user::source::config::{self, Configured};
use agent_otp_user::source::finding::{Finding, Outcome};
use anyhow::bail;
use futures_util::future::join_all;
use serde::Serialize;

use crate::args::MailProof;
use crate::place::Place;
use crate::{exit, print};

use super::{called, loopbacks};

/// What was found of one source.
#[derive(Debug, Serialize)]
struct Checked {
    source: String,
    findings: Vec<Finding>,
}

pub(crate) async fn run(
    place: &Place,
    name: Option<&str>,
    mail: &MailProof,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let configured = config::read(&place.source_config())?;
    let is_chosen = |source: &&dyn Configured| name.is_none_or(|name| source.label().to_string() == name);
    let chosen: Vec<&dyn Configured> = configured.iter().map(AsRef::as_ref).filter(is_chosen).collect();
    let mut checked = Vec::new();
    match name {
        Some(name) if chosen.is_empty() => {
            bail!("there is no source {name}; `agent-otp sources list` names them")
        }
        Some(_) => {}
        None => {
            let findings = vec![mail.authenticator()?.check().await];
            checked.push(Checked { source: "sender".to_owned(), findings });
            checked.extend(listening(place).await);
        }
    }
    let check =
        async |source: &dyn Configured| Checked { source: called(source), findings: source.check().await };
    checked.extend(join_all(chosen.into_iter().map(check)).await);
    show(&checked, as_json)?;
    let mut findings = checked.iter().flat_map(|checked| &checked.findings);
    let fails = findings.any(|finding| finding.outcome == Outcome::Fails);
    Ok(if fails { ExitCode::from(exit::SOURCE_FAILS) } else { ExitCode::SUCCESS })
}

/// Those that are there whatever is configured, where they listened last.
async fn listening(place: &Place) -> Vec<Checked> {
    let ports = place.ports();
    let check = async |(name, loopback): (&'static str, &'static Loopback)| {
        let findings = match ports.get(name) {
            Some(&port) => {
                (loopback.check)(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), place.sources()).await
            }
            None => vec![Finding::fails("listens", "it never has; start `agent-otp up`")],
        };
        Checked { source: name.to_owned(), findings }
    };
    join_all(loopbacks().map(check)).await
}

fn show(checked: &[Checked], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        print::out(&print::json(&checked)?);
        return Ok(());
    }
    for Checked { source, findings } in checked {
        print::out(source);
        for finding in findings {
            print::out(&format!("  {finding}"));
        }
    }
    Ok(())
}
