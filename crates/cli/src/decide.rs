//! `pending`, `approve` and `deny`: the user sees exactly what is asked, and decides.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use agent_otp_domain::{MemberId, RequestId, Role, visible};
use agent_otp_jetstream::{Login, clock};
use agent_otp_trust::VerifiedRequest;
use agent_otp_user::{Approver, ApproverError, Notices, View, advice};
use anyhow::{Context as _, bail};

use crate::args::Approve;
use crate::asked::{self, patiently};
use crate::place::Place;
use crate::way::As;
use crate::{confirm, hidden, print};

pub(crate) async fn pending(place: &Place, by: &As, as_json: bool) -> anyhow::Result<ExitCode> {
    let user = User::of(place, by)?;
    let open = patiently(async { user.connect(place).await?.open().await }).await?;
    let views: Vec<View> = open.iter().map(|request| asked::view(place, request)).collect();
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
            print::out(&format!("\n{}", advice(&format!("Notice about {id}: "), &visible(&notice.text))));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn approve(place: &Place, asked: Approve) -> anyhow::Result<ExitCode> {
    let id = asked::id(&asked.id)?;
    let (approver, request) = find(place, &asked.by, id).await?;
    if request.approval.is_some() {
        print::out(&format!("{id} was approved before"));
        return Ok(ExitCode::SUCCESS);
    }
    let is_asked = !asked.yes && hidden::is_terminal() && io::stderr().is_terminal();
    if is_asked && !confirm::approves().await? {
        bail!("not approved: nothing but yes approves; to deny it: {} deny {id}", place.typed());
    }
    // Its digest is what is signed: whatever the relay shows meanwhile is approved by nobody.
    patiently(approver.approve(&request)).await.context("not approved")?;
    print::out(&format!("approved {id}"));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn deny(place: &Place, by: &As, id: &str) -> anyhow::Result<ExitCode> {
    let id = asked::id(id)?;
    let (approver, request) = find(place, by, id).await?;
    patiently(approver.deny(&request)).await.context("not denied")?;
    print::out(&format!("denied {id}"));
    Ok(ExitCode::SUCCESS)
}

/// The request with this id, which is shown before anything is decided.
async fn find(place: &Place, by: &As, id: RequestId) -> anyhow::Result<(Approver, VerifiedRequest)> {
    let user = User::of(place, by)?;
    let found = async {
        let approver = user.connect(place).await?;
        let request = approver.find(id).await?;
        Ok::<_, ApproverError>((approver, request))
    };
    let (approver, request) = patiently(found).await?;
    print::say(&asked::view(place, &request).to_string());
    Ok((approver, request))
}

/// Who decides, once no passphrase is asked for any more.
struct User {
    name: MemberId,
    login: Login,
}

impl User {
    fn of(place: &Place, by: &As) -> anyhow::Result<Self> {
        let name = place.meant(Role::Approver, by)?;
        let login = place.member_login(Role::Approver, &name)?;
        tokio::task::block_in_place(|| place.unlock([&place.member(Role::Approver, &name)]))?;
        Ok(Self { name, login })
    }

    async fn connect(&self, place: &Place) -> Result<Approver, ApproverError> {
        let home = place.member(Role::Approver, &self.name);
        Approver::connect(&self.login, home, self.name.clone()).await
    }
}
