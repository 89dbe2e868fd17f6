//! The `agent-otp` program: everything that a person types.

mod access;
mod admitted;
mod alarms;
mod args;
mod asked;
mod audit;
mod bench;
mod capture;
mod confirm;
mod decide;
mod decode;
mod demo;
mod enroll;
mod exit;
mod hidden;
mod host;
mod interrupt;
mod join;
mod keys;
mod listen;
mod members;
mod named;
mod nats;
mod party;
mod passphrase;
mod place;
mod print;
mod qr;
mod request;
mod revoke;
mod scratch;
mod serve;
mod server;
mod setup;
mod sources;
mod stack;
mod typed;
mod up;
mod way;

use std::alloc::System;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use agent_otp_jetstream::process::hide_memory;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;
use zeroizing_alloc::ZeroAlloc;

use crate::args::{Cli, Verb};
use crate::place::Place;

/// Memory that is given back is cleared first: a library that reads a message copies it, and drops its copies as they are.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

#[tokio::main]
async fn main() -> ExitCode {
    let hidden = hide_memory();
    let environment = passphrase::from_environment();
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(log_filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A terminal that is gone is no reason to break down.
        .log_internal_errors(false)
        .init();
    if let Err(error) = hidden {
        tracing::warn!(%error, "the memory of this process is not hidden");
    }
    match run(cli, environment).await {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

/// What is logged, by `$AGENT_OTP_LOG`. The NATS client would log what it receives, sealed codes too, and every attempt
/// to connect; what matters of it comes as an event.
fn log_filter() -> EnvFilter {
    let asked = std::env::var("AGENT_OTP_LOG").unwrap_or_else(|_| "warn".to_owned());
    EnvFilter::new(format!("{asked},async_nats=off"))
}

async fn run(cli: Cli, environment: Option<Zeroizing<String>>) -> anyhow::Result<ExitCode> {
    let passphrase = passphrase::given(cli.passphrase_file.as_deref(), environment)?;
    let place = || anyhow::Ok(Place::at(cli.data)?.with(passphrase.clone()));
    match cli.verb {
        Verb::Up(options) => up::run(&place()?, options).await,
        Verb::Serve { part } => serve::run(&place()?, part).await,
        Verb::Demo(options) => demo::run(options, passphrase).await,
        Verb::Bench(options) => bench::run(options).await,
        Verb::Request(asked) => request::run(&place()?, asked).await,
        Verb::Pending { json, by } => decide::pending(&place()?, &by, json).await,
        Verb::Approve(asked) => decide::approve(&place()?, asked).await,
        Verb::Deny { id, by } => decide::deny(&place()?, &by, &id).await,
        Verb::Capture { id, by } => capture::run(&place()?, &by, &id).await,
        Verb::Enroll(asked) => enroll::run(&place()?, asked).await,
        Verb::Join { token } => join::run(&place()?, &Zeroizing::new(token)).await,
        Verb::Members { json } => members::run(&place()?, json),
        Verb::Revoke { member } => revoke::run(&place()?, &member).await,
        Verb::Decode { pretty } => decode::run(pretty),
        Verb::Audit { verb } => audit::run(&place()?, verb).await,
        Verb::Nats { verb } => nats::run(place, verb),
        Verb::Keys { verb } => keys::run(&place()?, verb),
        Verb::Sources { verb } => sources::run(&place()?, verb).await,
        Verb::Alarms { json } => alarms::run(&place()?, json).await,
    }
}
