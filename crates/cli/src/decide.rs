//! `pending`, `approve` and `deny`: the user sees exactly what is asked, and decides.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use agent_otp_domain::{RequestId, Role};
use agent_otp_jetstream::clock;
use agent_otp_trust::VerifiedRequest;
use agent_otp_user::{Approver, Notices, View};
use anyhow::Context as _;

use crate::place::Place;
use crate::print;
use crate::way::As;

/// After how long a person is told that the relay does not answer; it is asked for some seconds more.
const SILENCE: Duration = Duration::from_secs(1);

/// Does what was typed, and tells if it takes long because nobody answers.
pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(SILENCE) => {}
    }
    print::say("the relay does not answer yet; still trying (is `agent-otp up` running?)");
    work.await
}

pub(crate) async fn pending(place: &Place, by: &As, as_json: bool) -> anyhow::Result<ExitCode> {
    let open = approver(place, by).await?.open().await?;
    let views: Vec<View> = open.iter().map(|request| view(place, request)).collect();
    if as_json {
        print::out(&print::json(&views)?);
        return Ok(ExitCode::SUCCESS);
    }
    for view in &views {
        print::out(&format!("{view}\n"));
    }
    let program = place.typed();
    print::out(&match views.as_slice() {
        [] => "Nothing is asked of you.".to_owned(),
        _ => format!("{program} approve ID  or  {program} deny ID"),
    });
    for (id, notice) in Notices::open(place.notices()).outlasting(clock::now()) {
        if open.iter().all(|request| request.key.request != id) {
            print::out(&format!("\nNotice about {id}: {}", notice.text));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn approve(place: &Place, by: &As, id: &str) -> anyhow::Result<ExitCode> {
    let id = parse(id)?;
    let approver = approver(place, by).await?;
    let request = approver.find(id).await?;
    print::say(&view(place, &request).to_string());
    if request.approval.is_some() {
        print::out(&format!("{id} was approved before"));
        return Ok(ExitCode::SUCCESS);
    }
    approver.approve(&request).await.context("not approved")?;
    print::out(&format!("approved {id}"));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn deny(place: &Place, by: &As, id: &str) -> anyhow::Result<ExitCode> {
    let id = parse(id)?;
    let approver = approver(place, by).await?;
    let request = approver.find(id).await?;
    print::say(&view(place, &request).to_string());
    approver.deny(&request).await.context("not denied")?;
    print::out(&format!("denied {id}"));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn parse(id: &str) -> anyhow::Result<RequestId> {
    id.trim().parse().map_err(|error: agent_otp_domain::IdError| {
        anyhow::anyhow!("{error}; `agent-otp pending` lists open requests, `agent-otp audit list` all")
    })
}

pub(crate) fn view(place: &Place, request: &VerifiedRequest) -> View {
    let view = View::new(request, &Notices::open(place.notices()), clock::now());
    match place.services() {
        Ok(services) => view.among(&services, request),
        Err(error) => {
            print::say(&format!("{error:#}"));
            view
        }
    }
}

async fn approver(place: &Place, by: &As) -> anyhow::Result<Approver> {
    let name = place.meant(Role::Approver, by)?;
    let login = place.member_login(Role::Approver, &name)?;
    tokio::task::block_in_place(|| place.unlock([&place.member(Role::Approver, &name)]))?;
    Ok(Approver::connect(&login, place.member(Role::Approver, &name), name).await?)
}
