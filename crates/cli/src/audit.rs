//! `agent-otp audit`: reads the trail, which also works while nothing runs.

pub(crate) mod follow;
pub(crate) mod only;
mod rebuild;

use std::process::ExitCode;
use std::time::Duration;

use agent_otp_audit::{Entry, Filter, RequestHistory, RequestSummary, Trail};
use agent_otp_domain::{OwnerId, Role, compact, excerpt};
use agent_otp_jetstream::{Connection, Replay, Who};
use agent_otp_user::{quoted, row};
use anyhow::bail;

use crate::args::Audit;
use crate::place::Place;
use crate::way::As;
use crate::{asked, print};

/// How long a reader waits for the trail to reach the log's end.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How many events are read at once.
const PAGE: u32 = 1_000;

pub(crate) async fn run(place: &Place, verb: Audit) -> anyhow::Result<ExitCode> {
    match verb {
        Audit::List { only, limit, json } => {
            let filter = only.filter()?;
            read(place, async |trail| list(trail, &filter, limit, json).await).await
        }
        Audit::Show { id, json } => read(place, async |trail| show(trail, &id, json).await).await,
        Audit::Events { only, limit, json } => {
            let filter = only.filter()?;
            read(place, async |trail| events(trail, &filter, limit, json).await).await
        }
        Audit::Follow(follow) => follow::run(place, follow).await,
        Audit::Rebuild { json } => rebuild::run(place, json).await,
    }
}

/// Prints what the trail says, and then whether something is wrong.
async fn read(
    place: &Place,
    print: impl AsyncFnOnce(&mut Trail) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let mut trail = Trail::open(&place.audit()).await?;
    catch_up(place, &mut trail).await;
    print(&mut trail).await?;
    point_at_alarms(&mut trail).await?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn point_at_alarms(trail: &mut Trail) -> anyhow::Result<()> {
    match trail.alarms().await?.len() {
        0 => {}
        1 => print::say("ALARM: something is wrong; `agent-otp alarms` says what"),
        count => print::say(&format!("ALARM: {count} things are wrong; `agent-otp alarms` says what")),
    }
    Ok(())
}

/// Where a relay runs, the trail is to hold everything that the log holds now.
pub(crate) async fn catch_up(place: &Place, trail: &mut Trail) {
    let last = async {
        let name = place.meant(Role::Auditor, &As::default())?;
        let login = place.member_login(Role::Auditor, &name)?;
        let owner = OwnerId::of(&place.member(Role::Auditor, &name).pin()?.owner_key);
        let who = Who::Member { owner, role: Role::Auditor, name };
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

async fn list(trail: &mut Trail, filter: &Filter, limit: u32, as_json: bool) -> anyhow::Result<()> {
    let requests = trail.requests(filter, limit).await?;
    if as_json {
        print::out(&print::json(&requests)?);
        return Ok(());
    }
    if requests.is_empty() {
        let is_all = *filter == Filter::default();
        print::out(if is_all { "Nothing was asked yet." } else { "No such request is in the trail." });
        return Ok(());
    }
    print::out(HEADING);
    for request in &requests {
        print::out(&listed(request));
    }
    Ok(())
}

/// What stands above the rows of a list.
const HEADING: &str = "request                               state      agent         sender                changed                   reason";

fn listed(request: &RequestSummary) -> String {
    format!(
        "{:<36}  {:<9}  {:<12}  {:<20}  {:<24}  {}",
        request.request,
        request.state,
        request.agent,
        request.sender.as_deref().unwrap_or_default(),
        request.changed_at,
        request.reason.as_deref().unwrap_or_default(),
    )
}

async fn show(trail: &mut Trail, id: &str, as_json: bool) -> anyhow::Result<()> {
    let id = asked::id(id)?;
    let histories = trail.show(&id).await?;
    if histories.is_empty() {
        bail!("the trail knows no request {id}; `agent-otp audit list` shows those that it knows");
    }
    for history in histories {
        if as_json {
            print::out(&print::json(&history)?);
            continue;
        }
        for line in lines(&history) {
            print::out(&line);
        }
    }
    Ok(())
}

/// A request with everything that happened to it.
fn lines(history: &RequestHistory) -> Vec<String> {
    let RequestHistory { summary, events } = history;
    let evidence = events.iter().find_map(evidence).map(|evidence| format!("Evidence  {evidence}"));
    let head = [
        format!("Request   {}  ({})", summary.request, summary.state),
        format!("Agent     {}", summary.agent),
        row("It says   ", &quoted(&compact(summary.reason.as_deref().unwrap_or_default()))),
        format!("Sender    {}", summary.sender.as_deref().unwrap_or_default()),
    ];
    let proof = format!("Proof     {}", excerpt(&summary.verification));
    head.into_iter().chain(evidence).chain([proof]).chain(events.iter().map(line)).collect()
}

async fn events(trail: &mut Trail, filter: &Filter, limit: Option<u32>, as_json: bool) -> anyhow::Result<()> {
    let mut after = match limit {
        Some(limit) => trail.before_last(filter, limit).await?,
        None => 0,
    };
    loop {
        let page = trail.events(filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.position;
        for printed in &page {
            if print::line(&entry(printed, as_json)?).is_err() {
                return Ok(());
            }
        }
    }
}

/// An event on one line.
fn entry(entry: &Entry, as_json: bool) -> anyhow::Result<String> {
    if as_json { print::json(entry) } else { Ok(line(entry)) }
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
        entry.version.map_or("?".to_owned(), |version| version.to_string()),
        entry.actor.as_deref().unwrap_or("?"),
        entry.request.as_deref().unwrap_or("?"),
        excerpt(&entry.verification),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_shown_in_a_list_and_with_everything_that_happened_to_it() {
        let history = RequestHistory { summary: summary(), events: vec![captured(), unreadable()] };
        let list = [HEADING.to_owned(), listed(&summary())].join("\n");
        insta::assert_snapshot!([list, lines(&history).join("\n")].join("\n\n"), @r"
        request                               state      agent         sender                changed                   reason
        019c13ec-9e00-7707-8707-070707070707  captured   shopper       github.com            2026-01-31T12:00:20.000Z  sign in to GitHub

        Request   019c13ec-9e00-7707-8707-070707070707  (captured)
        Agent     shopper
        It says   “sign in to GitHub”
        Sender    github.com
        Evidence  email by smtp, sender unverified, received 2026-01-31T12:00:19.000Z
        Proof     the signature is wrong
            17  2026-01-31T12:00:20.000Z  captured   v3  capturer:home     019c13ec-9e00-7707-8707-070707070707  the signature is wrong
            18  2026-01-31T12:00:20.000Z  ?          v?  ?                 ?  the event cannot be read
        ");
    }

    /// As an earlier version stored it: with the words of whoever wrote the event.
    #[test]
    fn nothing_in_a_reason_to_doubt_breaks_a_row_or_writes_another() {
        let raw = format!("\r\u{1b}[2K     9  verified\n{}", "x".repeat(70_000));
        let event = Entry { verification: raw.clone(), ..captured() };
        let summary = RequestSummary { verification: raw, ..summary() };
        let lines = lines(&RequestHistory { summary, events: vec![event] });
        for line in lines.iter().rev().take(2) {
            assert!(line.contains("<U+000D><U+001B>[2K 9 verified<U+000A>xxx"), "{line}");
            assert!(line.chars().count() < 420, "{line}");
        }
    }

    fn summary() -> RequestSummary {
        RequestSummary {
            owner: "m3qxx72p7nh6f64m3dc7sv3nsk4l7jaa".to_owned(),
            agent: "shopper".to_owned(),
            request: "019c13ec-9e00-7707-8707-070707070707".to_owned(),
            state: "captured".to_owned(),
            reason: Some("sign in to GitHub".to_owned()),
            sender: Some("github.com".to_owned()),
            channel: Some("email".to_owned()),
            purpose: None,
            requested_at: Some("2026-01-31T12:00:00.000Z".to_owned()),
            expires_at: Some("2026-01-31T12:05:00.000Z".to_owned()),
            changed_at: "2026-01-31T12:00:20.000Z".to_owned(),
            version: 3,
            verification: "the signature is wrong".to_owned(),
        }
    }

    fn captured() -> Entry {
        let evidence = json!({
            "channel": "email", "source": "smtp", "sender": "unverified", "received_at": "2026-01-31T12:00:19.000Z"
        });
        Entry {
            position: 17,
            id: Some("07020000-0000-4000-8000-000000000000".to_owned()),
            kind: Some("captured".to_owned()),
            time: "2026-01-31T12:00:20.000Z".to_owned(),
            actor: Some("capturer:home".to_owned()),
            version: Some(3),
            owner: Some("m3qxx72p7nh6f64m3dc7sv3nsk4l7jaa".to_owned()),
            agent: Some("shopper".to_owned()),
            request: Some("019c13ec-9e00-7707-8707-070707070707".to_owned()),
            verification: "the signature is wrong".to_owned(),
            data: json!({ "statement": { "evidence": evidence } }),
        }
    }

    fn unreadable() -> Entry {
        Entry {
            position: 18,
            id: None,
            kind: None,
            actor: None,
            version: None,
            owner: None,
            agent: None,
            request: None,
            verification: "the event cannot be read".to_owned(),
            data: json!({}),
            ..captured()
        }
    }
}
