//! `sources check` and `sources test`: try every source, and say what to do about what fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use agent_otp_user::Judge;
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

/// `sources check`: tries every source as far as that leaves no message.
pub(crate) async fn check(
    place: &Place,
    name: Option<&str>,
    mail: &MailProof,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let configured = config::read(&place.source_config())?;
    let chosen = chosen(&configured, name)?;
    let mut checked = Vec::new();
    if name.is_none() {
        let findings = vec![mail.authenticator()?.check().await];
        checked.push(Checked { source: "sender".to_owned(), findings });
        checked.extend(listening(place).await);
    }
    let check =
        async |source: &dyn Configured| Checked { source: called(source), findings: source.check().await };
    checked.extend(join_all(chosen.into_iter().map(check)).await);
    show(&checked, as_json)
}

/// `sources test`: how a mail would be judged that lies in a source, or is delivered to it.
pub(crate) async fn test(
    place: &Place,
    name: Option<&str>,
    mail: &MailProof,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let configured = config::read(&place.source_config())?;
    let chosen = chosen(&configured, name)?;
    let judge = Judge::new(mail.unverified(), mail.authenticator()?);
    let mut tested = Vec::new();
    if name.is_none() {
        let ports = place.ports();
        for (kind, loopback) in loopbacks() {
            if let (Some(test), Some(&port)) = (loopback.test, ports.get(kind)) {
                let findings = test(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
                tested.push(Checked { source: kind.to_owned(), findings });
            }
        }
    }
    for source in chosen {
        tested.push(Checked { source: called(source), findings: source.test(judge.clone()).await });
    }
    show(&tested, as_json)
}

/// The source of this name, or all.
fn chosen<'a>(
    configured: &'a [Box<dyn Configured>],
    name: Option<&str>,
) -> anyhow::Result<Vec<&'a dyn Configured>> {
    let is_chosen = |source: &&dyn Configured| name.is_none_or(|name| source.label().to_string() == name);
    let chosen: Vec<&dyn Configured> = configured.iter().map(AsRef::as_ref).filter(is_chosen).collect();
    match name {
        Some(name) if chosen.is_empty() => {
            bail!("there is no source {name}; `agent-otp sources list` names them")
        }
        Some(_) | None => Ok(chosen),
    }
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

/// Prints what was found, and gives the exit code that belongs to it.
fn show(checked: &[Checked], as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        print::out(&print::json(&checked)?);
    } else {
        for Checked { source, findings } in checked {
            print::out(source);
            for finding in findings {
                print::out(&format!("  {finding}"));
            }
        }
    }
    let mut findings = checked.iter().flat_map(|checked| &checked.findings);
    let fails = findings.any(|finding| finding.outcome == Outcome::Fails);
    Ok(if fails { ExitCode::from(exit::SOURCE_FAILS) } else { ExitCode::SUCCESS })
}
