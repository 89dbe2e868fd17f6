//! `agent-otp request`: asks as an agent, and prints the code alone.

use std::process::ExitCode;

use agent_otp_agent::{Agent, Asking, Newer, Pending, Progress, WaitError};
use agent_otp_domain::{Code, Filter, MemberId, Role, Sought};
use agent_otp_jetstream::{Interrupt, Login};
use agent_otp_keyring::Home;
use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::Request;
use crate::place::Place;
use crate::{exit, print};

pub(crate) async fn run(place: &Place, asked: Request) -> anyhow::Result<ExitCode> {
    let as_json = asked.json;
    let (id, outcome) = ask(place, asked).await;
    match outcome {
        Ok((code, newer)) => {
            let printed = if as_json {
                print_json(&code, id.as_deref())
            } else {
                print::secret(code.expose().as_bytes())
            };
            drop(code);
            printed.context("the code was claimed, and could not be written to stdout: ask again")?;
            match newer {
                Some(newer) => stay(newer, id.as_deref(), as_json).await,
                None => Ok(ExitCode::SUCCESS),
            }
        }
        Err(error) if as_json => {
            let state = state(exit::code(&error));
            print::out(&json!({ "id": id, "state": state, "error": exit::chain(&error) }).to_string());
            Ok(ExitCode::from(exit::code(&error)))
        }
        Err(error) => Err(error),
    }
}

fn print_json(code: &Code, id: Option<&str>) -> std::io::Result<()> {
    // Room for any link with every character escaped: a line that grows would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(2 * Code::LINK_BYTES_MAX + 256));
    serde_json::to_writer(&mut *line, &Consumed { code: code.expose(), id, state: "consumed" })?;
    print::secret(&line)
}

/// Stays for a newer code, until the request's deadline or Ctrl-C.
async fn stay(newer: Newer, id: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut interrupt = Interrupt::new()?;
    let came = tokio::select! {
        came = newer.came() => came,
        () = interrupt.came() => false,
    };
    if !came {
        return Ok(ExitCode::SUCCESS);
    }
    if as_json {
        print::out(&json!({ "id": id, "state": "newer" }).to_string());
    }
    print::say("newer      another code came; if the service refuses the first, ask again");
    Ok(ExitCode::from(exit::NEWER))
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

/// A code, and who hears of a newer one if that is wanted.
type Answer = (Code, Option<Newer>);

async fn ask(place: &Place, asked: Request) -> (Option<String>, anyhow::Result<Answer>) {
    let stays = asked.stay;
    let (pending, interrupt) = match standing(place, asked).await {
        Ok(standing) => standing,
        Err(error) => return (None, Err(error)),
    };
    let id = pending.key().request.to_string();
    print::say(&format!("requested  {id}  (until {})", pending.expires_at()));
    print::say(&format!("           the user decides: {} approve {id}", place.typed_by(Role::Approver)));
    (Some(id), wait(pending, interrupt, stays).await)
}

/// The request once it stands, and what has listened for Ctrl-C since before it did.
async fn standing(place: &Place, asked: Request) -> anyhow::Result<(Pending, Interrupt)> {
    let begun = prepare(place, asked)?;
    // Not before: Ctrl-C at the prompt is the prompt's.
    let mut interrupt = Interrupt::new()?;
    tokio::select! {
        pending = begun.ask() => Ok((pending?, interrupt)),
        () = interrupt.came() => {
            print::say("cancelled  before the request was known to stand; if it does, it lapses by itself");
            Err(WaitError::Cancelled.into())
        }
    }
}

/// All that a request needs, before anybody is asked.
struct Prepared {
    login: Login,
    home: Home,
    agent: MemberId,
    asking: Asking,
}

impl Prepared {
    async fn ask(self) -> anyhow::Result<Pending> {
        let agent = Agent::connect(&self.login, self.home, self.agent).await?;
        agent.request(self.asking).await.context("the request was not made")
    }
}

fn prepare(place: &Place, asked: Request) -> anyhow::Result<Prepared> {
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
    Ok(Prepared {
        login: place.member_login(Role::Agent, &asked.agent)?,
        home: place.member(Role::Agent, &asked.agent),
        agent: asked.agent,
        asking: Asking { reason: asked.reason, filter, ttl: asked.ttl },
    })
}

async fn wait(pending: Pending, mut interrupt: Interrupt, stays: bool) -> anyhow::Result<Answer> {
    let canceller = pending.canceller();
    let newer = if stays { Some(pending.newer().await?) } else { None };
    tokio::select! {
        code = pending.wait_telling(teller()) => Ok((code?, newer)),
        () = interrupt.came() => {
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
