//! `agent-otp up`: the main job.

use std::process::ExitCode;

use agent_otp_user::Unverified;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::Up;
use crate::place::Place;
use crate::print;
use crate::stack::{Options, Stack};

pub(crate) async fn run(place: &Place, up: Up) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stopping = stop.clone();
    let signals = tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        stopping.cancel();
    });
    let mut say = |line: &str| print::say(line);
    let served = tokio::select! {
        started = start(place, up, &mut say) => {
            let mut stack = started?;
            let served = stack.serve(stop, &mut |line| print::say(line)).await;
            print::say("stopping");
            stack.stop().await?;
            served
        }
        // A start that is broken off drops what it has started; the broker's process goes with it.
        () = stop.cancelled() => Ok(()),
    };
    signals.abort();
    served.map(|()| ExitCode::SUCCESS)
}

async fn start(place: &Place, up: Up, say: &mut dyn FnMut(&str)) -> anyhow::Result<Stack> {
    let found = agent_otp_broker::find_or_install(up.nats_server.as_deref(), say)?;
    for passed in &found.passed_over {
        say(&format!("passed over: {passed}"));
    }
    let unverified = if up.accept_unverified_mail { Unverified::Accept } else { Unverified::Refuse };
    let options =
        Options { nats_server: found.path, nats_port: up.nats_port, smtp_port: up.smtp_port, unverified };
    let stack = Stack::start(place, options, say).await?;
    greet(place, &stack, unverified);
    Ok(stack)
}

/// Says what listens where, and what to type next.
fn greet(place: &Place, stack: &Stack, unverified: Unverified) {
    let run = &stack.run;
    let data = place.dir().display();
    let made = if stack.is_first { " (made now, with one agent: shopper)" } else { "" };
    print::say(&format!("Agent OTP is up. Data: {data}{made}"));
    print::say(&format!("  broker   {}  (pid {})", run.nats_url, run.nats_pid));
    print::say(&format!("  mail     smtp://{}  (any recipient; forward your mail here)", run.smtp));
    print::say(&format!("  owner    {}", run.owner));
    match unverified {
        Unverified::Accept => {
            print::say("  Mail is taken without proof of its sender; the audit trail says `unverified`.");
        }
        Unverified::Refuse => {
            print::say(
                "  Mail is refused, because this version can verify no sender yet: to take it without proof,",
            );
            print::say("  start with --accept-unverified-mail.");
        }
    }
    let program = std::env::args().next().unwrap_or_else(|| "agent-otp".to_owned());
    let program = if place.is_default() { program } else { format!("{program} --data '{data}'") };
    print::say("Next, in another terminal:");
    print::say(&format!(
        "  {program} request --agent shopper --from github.com --reason 'Sign in to GitHub'"
    ));
    print::say(&format!("  {program} pending        # what is asked, and the id to approve"));
    print::say(&format!("  {program} approve ID"));
    print::say("Ctrl-C stops everything.");
}
