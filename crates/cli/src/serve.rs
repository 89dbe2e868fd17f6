//! `agent-otp serve`: one part of what `up` runs, in a process of its own, as a service manager wants it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use agent_otp_broker::find_or_install;
use agent_otp_domain::{MemberId, Role};
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::args::{Serve, ServeAt, ServeAudit, ServeBroker, ServeCapturer, ServeRelay, ServeUser};
use crate::host::{Host, Own, Which};
use crate::party::{Capturing, Parties};
use crate::place::Place;
use crate::way::As;
use crate::{asked, interrupt, print, setup, up};

pub(crate) async fn run(place: &Place, part: Serve) -> anyhow::Result<ExitCode> {
    // Before signals are listened to: Ctrl-C at the prompt is the prompt's.
    match &part {
        Serve::User(_) => place.unlock(&setup::of_the_user(place)?)?,
        Serve::Capturer(options) => {
            place.unlock([&place.member(Role::Capturer, &place.meant(Role::Capturer, &options.by)?)])?;
        }
        Serve::Broker(_) | Serve::Relay(_) | Serve::Audit(_) => {}
    }
    interrupt::until(async |stop| match part {
        Serve::Broker(options) => broker(place, options, stop).await,
        Serve::Relay(options) => relay(place, options, stop).await,
        Serve::User(options) => user(place, options, stop).await,
        Serve::Capturer(options) => capturer(place, options, stop).await,
        Serve::Audit(options) => audit(place, options, stop).await,
    })
    .await??;
    Ok(ExitCode::SUCCESS)
}

async fn broker(place: &Place, options: ServeBroker, stop: CancellationToken) -> anyhow::Result<()> {
    let mut say = |line: &str| print::say(line);
    let starting = async {
        let found = find_or_install(options.nats_server.as_deref(), &mut say).await?;
        let (nats_port, listening) = (options.nats_port, options.listening);
        let own = Own { nats_server: found.path, nats_port, listening };
        Host::start(place, Which::Own(own), "agent-otp serve broker", &mut say).await
    };
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let mut host = started?;
    host.say_running()?;
    ready(place, "The broker", &host.run.nats_url);
    up::greet_others(&host.run);
    let kept = host.keep(&stop, &mut say).await;
    print::say("stopping");
    let stopped = host.stop().await;
    kept.and(stopped)
}

async fn relay(place: &Place, options: ServeRelay, stop: CancellationToken) -> anyhow::Result<()> {
    setup::has_keys(place)?;
    let access = access(place, options.at, || place.run()?.access(place))?;
    let url = access.server.url.clone();
    let mut parties = Parties::new(place, access, "agent-otp serve relay");
    let starting = parties.relay(options.streams.settings());
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    started?;
    ready(place, "The relay", &url);
    serve(parties, stop).await
}

async fn user(place: &Place, options: ServeUser, stop: CancellationToken) -> anyhow::Result<()> {
    let owner = setup::owner_of(place)?;
    let access = access(place, options.at, || place.run()?.access(place))?;
    let url = access.server.url.clone();
    let mut parties = Parties::new(place, access, "agent-otp serve user");
    let starting = parties.user(owner, &options.source_ports, &options.mail);
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let Capturing { told, asked } = started?;
    ready(place, "The user's side", &url);
    up::greet_sources(&told, options.mail.unverified());
    tokio::select! {
        served = serve(parties, stop) => served,
        () = asked::announce(place, Some(asked)) => Ok(()),
    }
}

async fn capturer(place: &Place, options: ServeCapturer, stop: CancellationToken) -> anyhow::Result<()> {
    let ServeCapturer { at, by, source_ports, mail } = options;
    let name = member(place, Role::Capturer, &by)?;
    let access = access(place, at, || place.access_of(Role::Capturer, &name))?;
    let url = access.server.url.clone();
    let mut parties = Parties::new(place, access, "agent-otp serve capturer");
    let starting = parties.capturer(&name, &source_ports, &mail);
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let Capturing { told, .. } = started?;
    ready(place, "The capturer", &url);
    up::greet_sources(&told, mail.unverified());
    serve(parties, stop).await
}

async fn audit(place: &Place, options: ServeAudit, stop: CancellationToken) -> anyhow::Result<()> {
    let name = member(place, Role::Auditor, &options.by)?;
    let access = access(place, options.at, || place.access_of(Role::Auditor, &name))?;
    let url = access.server.url.clone();
    let mut parties = Parties::new(place, access, "agent-otp serve audit");
    let Some(started) = stop.run_until_cancelled(parties.audit(name)).await else { return Ok(()) };
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

/// The member that acts; without any here, it is said what makes one.
fn member(place: &Place, role: Role, by: &As) -> anyhow::Result<MemberId> {
    let name = place.meant(role, by)?;
    if !place.member(role, &name).exists() {
        setup::has_keys(place)?;
    }
    Ok(name)
}

/// The broker that was named, or else the one that is known.
fn access(
    place: &Place,
    at: ServeAt,
    known: impl FnOnce() -> anyhow::Result<Access>,
) -> anyhow::Result<Access> {
    let ServeAt { nats_url, tls } = at;
    let Some(url) = nats_url else {
        return known().context(
            "it is not known where the broker listens: name it with --nats-url, or start it with `agent-otp serve broker`",
        );
    };
    Ok(Access::new(place, tls.server(url)?, BTreeMap::new()))
}

fn ready(place: &Place, what: &str, url: &str) {
    print::say(&format!("{what} is ready at {url}. Data: {}", place.dir().display()));
}
