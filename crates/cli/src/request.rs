//! `agent-otp request`: asks as an agent, and prints the code alone.

use std::process::ExitCode;

use agent_otp_agent::{Agent, Asking, Pending, Progress, WaitError};
use agent_otp_domain::{Code, Filter, Role, Sought};
use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::args::Request;
use crate::place::Place;
use crate::{exit, print};

pub(crate) async fn run(place: &Place, asked: Request) -> anyhow::Result<ExitCode> {
    let as_json = asked.json;
    let (id, outcome) = ask(place, asked).await;
    match outcome {
        Ok(code) if as_json => {
            // Room for any link with every character escaped: a line that grows would leave copies behind.
            let mut line = Zeroizing::new(Vec::with_capacity(2 * Code::LINK_BYTES_MAX + 256));
            let consumed = Consumed { code: code.expose(), id: id.as_deref(), state: "consumed" };
            serde_json::to_writer(&mut *line, &consumed)?;
            print::secret(&line);
            Ok(ExitCode::SUCCESS)
        }
        Ok(code) => {
            print::secret(code.expose().as_bytes());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if as_json => {
            let state = state(exit::code(&error));
            print::out(&json!({ "id": id, "state": state, "error": exit::chain(&error) }).to_string());
            Ok(ExitCode::from(exit::code(&error)))
        }
        Err(error) => Err(error),
    }
}

/// What `--json` prints of a code that came.
#[derive(Serialize)]
struct Consumed<'a> {
    code: &'a str,
    id: Option<&'a str>,
    state: &'static str,
}

fn state(code: u8) -> &'static str {
    match code {
        exit::DENIED => "denied",
        exit::EXPIRED => "expired",
        exit::CANCELLED => "cancelled",
        exit::REFUSED => "refused",
        exit::UNAVAILABLE => "unavailable",
        exit::NOT_BELIEVED => "not_believed",
        _ => "failed",
    }
}

async fn ask(place: &Place, asked: Request) -> (Option<String>, anyhow::Result<Code>) {
    let pending = match begin(place, asked).await {
        Ok(pending) => pending,
        Err(error) => return (None, Err(error)),
    };
    let id = pending.key().request.to_string();
    print::say(&format!("requested  {id}  (until {})", pending.expires_at()));
    print::say(&format!("           the user decides: agent-otp approve {id}"));
    (Some(id), wait(pending).await)
}

async fn begin(place: &Place, asked: Request) -> anyhow::Result<Pending> {
    let Sought { sender, content } =
        place.services()?.sought(&asked.from, asked.channel).context("--from names nobody")?;
    if sender.to_string() != asked.from {
        print::say(&format!("           {} is {sender}", asked.from));
    }
    let filter = Filter {
        channels: asked.channel,
        sender,
        content: asked.matching.or(content),
        shape: asked.shape,
        wanted: asked.wanted,
        purpose: asked.purpose,
    };
    // Said before anything is looked up: it is wrong wherever the relay is.
    filter.check()?;
    let home = place.member(Role::Agent, &asked.agent);
    if !home.exists() {
        place.run()?;
        let known: Vec<String> = place.names(Role::Agent).iter().map(ToString::to_string).collect();
        bail!("there is no agent `{}` here; known: {}", asked.agent, known.join(", "));
    }
    tokio::task::block_in_place(|| place.unlock([&home]))?;
    let home = place.member(Role::Agent, &asked.agent);
    let login = place.member_login(Role::Agent, &asked.agent)?;
    let agent = Agent::connect(&login, home, asked.agent).await?;
    let asking = Asking { reason: asked.reason, filter, ttl: asked.ttl };
    agent.request(asking).await.context("the request was not made")
}

async fn wait(pending: Pending) -> anyhow::Result<Code> {
    let canceller = pending.canceller();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        code = pending.wait_telling(teller()) => Ok(code?),
        () = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } } => {
            print::say("cancelling");
            canceller.cancel().await.context("the request could not be cancelled; it lapses by itself")?;
            Err(WaitError::Cancelled.into())
        }
    }
}

/// Tells what comes about. That the request stands was said with its id when it was made.
fn teller() -> impl FnMut(Progress) {
    let mut was_gone = false;
    move |progress| {
        print::say(match progress {
            Progress::Requested if !was_gone => return,
            Progress::Requested => "requested  the relay answers again; waiting for the user",
            Progress::Approved => "approved   waiting for the message",
            Progress::Captured => "captured   claiming the code",
            Progress::Disconnected => "           the broker is gone; waiting for it to come back",
            Progress::Unreachable => "           the relay does not answer; still trying",
        });
        was_gone = matches!(progress, Progress::Disconnected | Progress::Unreachable);
    }
}
