//! `capture`: the user hands in a code that no source brings.

use std::process::ExitCode;

use agent_otp_domain::{Code, MemberId, Role};
use agent_otp_user::{Awaited, Paste, PasteError};
use anyhow::{Context as _, bail};

use crate::asked::{self, patiently};
use crate::hidden::{self, Line};
use crate::place::Place;
use crate::print;
use crate::way::As;

/// How often a person may try; a script's line is what it is.
const TRIES: u32 = 3;
const NOTHING: &str = "nothing was captured";

pub(crate) async fn run(place: &Place, by: &As, id: &str) -> anyhow::Result<ExitCode> {
    let id = asked::id(id)?;
    let name = place.meant(Role::Capturer, by)?;
    tokio::task::block_in_place(|| place.unlock([&place.member(Role::Capturer, &name)]))?;
    let mut paste = patiently(paste(place, name)).await?;
    let found = patiently(paste.find(id)).await.context(NOTHING)?;
    print::say(&asked::view(place, &found.request).to_string());
    let agent = found.request.key.agent.clone();
    let awaited = paste.awaited(found).context(NOTHING)?;
    let code = tokio::task::block_in_place(|| ask(&awaited)).context(NOTHING)?;
    patiently(paste.capture(awaited, code)).await.map_err(|error| {
        let is_kept = matches!(error, PasteError::Kept(_));
        let error = anyhow::Error::new(error);
        if is_kept { error } else { error.context(NOTHING) }
    })?;
    print::out(&format!("captured {id}"));
    let program = place.typed_by(Role::Auditor);
    print::say(&format!("{agent} alone can open it, and takes it by itself: {program} audit show {id}"));
    Ok(ExitCode::SUCCESS)
}

fn ask(awaited: &Awaited) -> anyhow::Result<Code> {
    let mut tries = if hidden::is_terminal() { TRIES } else { 1 };
    loop {
        tries -= 1;
        match hidden::line("Code (it is not shown): ")? {
            Line::Typed(text) => match awaited.read(&text) {
                Ok(code) => return Ok(code),
                Err(unfit) if tries > 0 => print::say(&format!("{unfit}; try again")),
                Err(unfit) => return Err(unfit.into()),
            },
            Line::Interrupted => bail!("interrupted"),
            Line::End => bail!("the input ended before a code came"),
        }
    }
}

async fn paste(place: &Place, name: MemberId) -> anyhow::Result<Paste> {
    let login = place.member_login(Role::Capturer, &name)?;
    Ok(Paste::connect(&login, place.member(Role::Capturer, &name), name).await?)
}
