//! `agent-otp audit`: reads the trail, which also works while nothing runs.

use std::process::ExitCode;
use std::time::Duration;

use agent_otp_audit::{Entry, Trail};
use agent_otp_domain::Role;
use agent_otp_jetstream::{Connection, Replay, Who};
use anyhow::bail;

use crate::args::Audit;
use crate::place::Place;
use crate::{decide, print, setup};

/// How long a reader waits for the trail to reach the log's end.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How many events are read at once.
const PAGE: u32 = 1_000;

pub(crate) async fn run(place: &Place, verb: Audit) -> anyhow::Result<ExitCode> {
    let mut trail = Trail::open(&place.audit()).await?;
    catch_up(place, &mut trail).await;
    match verb {
        Audit::List { limit, json } => list(&mut trail, limit, json).await,
        Audit::Show { id, json } => show(&mut trail, &id, json).await,
        Audit::Events { json } => events(&mut trail, json).await,
    }
}

/// Where a relay runs, the trail is to hold everything that the log holds now.
async fn catch_up(place: &Place, trail: &mut Trail) {
    let last = async {
        let run = place.run()?;
        let local = setup::local()?;
        let login = Place::login(&run.nats_url, &place.member_user(Role::Auditor, &local))?;
        let who = Who::Member { owner: run.owner.parse()?, role: Role::Auditor, name: local };
        anyhow::Ok(Replay::new(Connection::open(&login, &who).await?).last().await?)
    };
    match last.await {
        Ok(last) => match trail.wait_for(last, CATCH_UP).await {
            Ok(true) => {}
            Ok(false) | Err(_) => print::say("the trail is behind the log; ask again for what is missing"),
        },
        Err(error) => tracing::debug!(%error, "the trail is read as it stands"),
    }
}

async fn list(trail: &mut Trail, limit: u32, as_json: bool) -> anyhow::Result<ExitCode> {
    let requests = trail.requests(limit).await?;
    if as_json {
        print::out(&print::json(&requests)?);
        return Ok(ExitCode::SUCCESS);
    }
    if requests.is_empty() {
        print::out("Nothing was asked yet.");
        return Ok(ExitCode::SUCCESS);
    }
    print::out(&format!(
        "{:<36}  {:<9}  {:<12}  {:<20}  {:<24}  reason",
        "request", "state", "agent", "sender", "changed"
    ));
    for request in requests {
        print::out(&format!(
            "{:<36}  {:<9}  {:<12}  {:<20}  {:<24}  {}",
            request.request,
            request.state,
            request.agent,
            request.sender.unwrap_or_default(),
            request.changed_at,
            request.reason.unwrap_or_default(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(trail: &mut Trail, id: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let id = decide::parse(id)?;
    let histories = trail.show(&id).await?;
    if histories.is_empty() {
        bail!("the trail knows no request {id}; `agent-otp audit list` shows those that it knows");
    }
    for history in histories {
        if as_json {
            print::out(&print::json(&history)?);
            continue;
        }
        let summary = &history.summary;
        print::out(&format!("Request   {}  ({})", summary.request, summary.state));
        print::out(&format!("Agent     {}", summary.agent));
        print::out(&format!("It says   “{}”", summary.reason.as_deref().unwrap_or("")));
        print::out(&format!("Sender    {}", summary.sender.as_deref().unwrap_or("")));
        if let Some(evidence) = history.events.iter().find_map(evidence) {
            print::out(&format!("Evidence  {evidence}"));
        }
        print::out(&format!("Proof     {}", summary.verification));
        history.events.iter().for_each(|entry| print::out(&line(entry)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn events(trail: &mut Trail, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut after = 0;
    loop {
        let page = trail.events(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(ExitCode::SUCCESS) };
        after = last.position;
        for entry in &page {
            print::out(&if as_json { print::json(entry)? } else { line(entry) });
        }
    }
}

/// What the capture rests on, if this is one.
fn evidence(entry: &Entry) -> Option<String> {
    let evidence = entry.data.get("statement")?.get("evidence")?;
    let word = |name| evidence.get(name)?.as_str();
    Some(format!(
        "{} by {}, sender {}, received {}",
        word("channel")?,
        word("source")?,
        word("sender")?,
        word("received_at")?
    ))
}

fn line(entry: &Entry) -> String {
    format!(
        "{:>6}  {}  {:<9}  v{}  {:<16}  {}  {}",
        entry.position,
        entry.time,
        entry.kind.as_deref().unwrap_or("?"),
        entry.version.unwrap_or_default(),
        entry.actor.as_deref().unwrap_or("?"),
        entry.request.as_deref().unwrap_or("?"),
        entry.verification,
    )
}
