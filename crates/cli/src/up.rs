//! `agent-otp up`: the main job.

use std::process::ExitCode;

use agent_otp_broker::find_or_install;
use agent_otp_user::Unverified;
use agent_otp_user::source::Told;
use tokio_util::sync::CancellationToken;

use crate::args::Up;
use crate::host::{Own, Which};
use crate::place::{Place, Run};
use crate::server::RunTls;
use crate::stack::{Options, Stack};
use crate::{asked, interrupt, print, setup};

pub(crate) async fn run(place: &Place, up: Up) -> anyhow::Result<ExitCode> {
    // Before signals are listened to: Ctrl-C at the prompt is the prompt's.
    place.unlock(&setup::of_the_user(place)?)?;
    interrupt::until(async |stop| serve(place, up, &stop).await).await??;
    Ok(ExitCode::SUCCESS)
}

async fn serve(place: &Place, up: Up, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut say = |line: &str| print::say(line);
    // A start that is broken off drops what it has started; the broker's process goes with it.
    let Some(started) = stop.run_until_cancelled(start(place, up, &mut say)).await else { return Ok(()) };
    let mut stack = started?;
    let asked = stack.asked.take();
    let served = tokio::select! {
        served = stack.serve(stop, &mut say) => served,
        () = asked::announce(place, asked) => Ok(()),
    };
    say("stopping");
    let stopped = stack.stop().await;
    served.and(stopped)
}

async fn start(place: &Place, up: Up, say: &mut dyn FnMut(&str)) -> anyhow::Result<Stack> {
    let unverified = up.mail.unverified();
    let options = Options {
        broker: which(&up, say).await?,
        source_ports: up.source_ports,
        mail: up.mail,
        command: "agent-otp up",
    };
    let stack = Stack::start(place, options, say).await?;
    greet(place, &stack, unverified);
    Ok(stack)
}

async fn which(up: &Up, say: &mut dyn FnMut(&str)) -> anyhow::Result<Which> {
    if let Some(existing) = up.server.clone().existing()? {
        return Ok(Which::Existing(existing));
    }
    let found = find_or_install(up.nats_server.as_deref(), say).await?;
    Ok(Which::Own(Own { nats_server: found.path, nats_port: up.nats_port, listening: up.listening.clone() }))
}

/// Says what listens where, and what to type next.
fn greet(place: &Place, stack: &Stack, unverified: Unverified) {
    let run = &stack.host.run;
    let data = place.dir().display();
    let made = if stack.host.is_first { " (made now, with one agent: shopper)" } else { "" };
    print::say(&format!("Agent OTP is up. Data: {data}{made}"));
    let whose = run.nats_pid.map_or("an existing server".to_owned(), |pid| format!("pid {pid}"));
    print::say(&format!("  broker   {}  ({whose})", run.nats_url));
    greet_others(run);
    print::say(&format!("  owner    {}", run.owner));
    greet_sources(&stack.told, unverified);
    let program = place.typed();
    print::say("Next, in another terminal:");
    print::say(&format!(
        "  {program} request --agent shopper --from github.com --reason 'Sign in to GitHub'"
    ));
    print::say(&format!("  {program} pending        # what is asked, and the id to approve"));
    print::say(&format!("  {program} approve ID"));
    print::say("Ctrl-C stops everything.");
}

/// Says how other machines reach the broker, if they do.
pub(crate) fn greet_others(run: &Run) {
    if let (Some(url), Some(pin)) = (&run.nats_public_url, run.nats_tls.as_ref().and_then(RunTls::pin)) {
        print::say(&format!("  others   {url}  (TLS key sha256:{pin}; another name: --advertise HOST)"));
    }
}

/// Says where messages are taken, and which.
pub(crate) fn greet_sources(told: &[Told], unverified: Unverified) {
    for (heading, line) in told.iter().flat_map(|told| &told.greeting) {
        print::say(&format!("  {heading:<8} {line}"));
    }
    match unverified {
        Unverified::Accept => {
            print::say(
                "  Mail is taken also where nothing proves its sender; the audit trail says `unverified` then.",
            );
        }
        Unverified::Refuse => {
            print::say(
                "  Mail is taken if DKIM, or SPF, proves its sender as DMARC has it; otherwise it is refused.",
            );
        }
    }
}
