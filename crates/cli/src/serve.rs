//! `agent-otp serve`: one part of what `up` runs, in a process of its own, as a service manager wants it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::args::{Serve, ServeAt, ServeBroker, ServeUser};
use crate::host::{Host, Own, Which};
use crate::party::Parties;
use crate::place::Place;
use crate::{interrupt, print, setup, up};

pub(crate) async fn run(place: &Place, part: Serve) -> anyhow::Result<ExitCode> {
    // Before signals are listened to: Ctrl-C at the prompt is the prompt's.
    if matches!(part, Serve::User(_)) {
        place.unlock(&setup::of_the_user(place)?)?;
    }
    interrupt::until(async |stop| match part {
        Serve::Broker(options) => broker(place, options, stop).await,
        Serve::Relay(at) => relay(place, at, stop).await,
        Serve::User(options) => user(place, options, stop).await,
        Serve::Audit(at) => audit(place, at, stop).await,
    })
    .await??;
    Ok(ExitCode::SUCCESS)
}

async fn broker(place: &Place, options: ServeBroker, stop: CancellationToken) -> anyhow::Result<()> {
    let mut say = |line: &str| print::say(line);
    let nats_server = up::find(options.nats_server.as_deref(), &mut say)?;
    let own = Own { nats_server, nats_port: options.nats_port, listening: options.listening };
    let starting = Host::start(place, Which::Own(own), "agent-otp serve broker", &mut say);
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let mut host = started?;
    host.say_running()?;
    ready(place, "The broker", &host.run.nats_url);
    up::greet_others(&host.run);
    let kept = host.keep(&stop, &mut say).await;
    print::say("stopping");
    host.stop().await?;
    kept
}

async fn relay(place: &Place, at: ServeAt, stop: CancellationToken) -> anyhow::Result<()> {
    setup::has_keys(place)?;
    let access = access(place, at)?;
    let url = access.server.url.clone();
    let mut parties = Parties::new(place, access, "agent-otp serve relay");
    let Some(started) = stop.run_until_cancelled(parties.relay()).await else { return Ok(()) };
    started?;
    ready(place, "The relay", &url);
    serve(parties, stop).await
}

async fn user(place: &Place, options: ServeUser, stop: CancellationToken) -> anyhow::Result<()> {
    let owner = setup::owner_of(place)?;
    let access = access(place, options.at)?;
    let url = access.server.url.clone();
    let mut parties = Parties::new(place, access, "agent-otp serve user");
    let starting = parties.user(owner, &options.source_ports, &options.mail);
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let told = started?;
    ready(place, "The user's side", &url);
    up::greet_sources(&told, options.mail.unverified());
    serve(parties, stop).await
}

async fn audit(place: &Place, at: ServeAt, stop: CancellationToken) -> anyhow::Result<()> {
    setup::has_keys(place)?;
    let access = access(place, at)?;
    let url = access.server.url.clone();
    let mut parties = Parties::new(place, access, "agent-otp serve audit");
    let Some(started) = stop.run_until_cancelled(parties.audit()).await else { return Ok(()) };
    started?;
    ready(place, "The audit trail", &url);
    serve(parties, stop).await
}

async fn serve(mut parties: Parties, stop: CancellationToken) -> anyhow::Result<()> {
    let served = tokio::select! {
        () = stop.cancelled() => Ok(()),
        error = parties.ended() => Err(error),
    };
    print::say("stopping");
    parties.stop().await;
    served
}

fn access(place: &Place, at: ServeAt) -> anyhow::Result<Access> {
    let ServeAt { nats_url, tls } = at;
    let Some(url) = nats_url else {
        return place.run().and_then(|run| run.access(place)).context(
            "it is not known where the broker listens: name it with --nats-url, or start it with `agent-otp serve broker`",
        );
    };
    Ok(Access::new(place, tls.server(url)?, BTreeMap::new()))
}

fn ready(place: &Place, what: &str, url: &str) {
    print::say(&format!("{what} is ready at {url}. Data: {}", place.dir().display()));
}
