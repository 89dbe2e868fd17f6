//! The relay as a program of its own, for servers.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use agent_otp_jetstream::process::hide_memory;
use agent_otp_jetstream::provision::{Settings, VaultStorage, provision};
use agent_otp_jetstream::{Connection, Login, Who};
use agent_otp_relay::Relay;
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// Carries, orders and forgets one-time codes. It can read none of them.
#[derive(Debug, Parser)]
#[command(name = "agent-otp-relay", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes the streams and durables that are missing, and says what differs from what is there.
    Provision(Broker),
    /// Serves until it is told to stop (SIGINT or SIGTERM); any number of relays may serve side by side.
    Serve(Broker),
}

#[derive(Debug, Args)]
struct Broker {
    /// The NATS server, 2.12 or newer with JetStream.
    #[arg(long, env = "AGENT_OTP_NATS_URL", default_value = "nats://127.0.0.1:4222")]
    nats_url: String,
    /// The file with the seed (`SU…`) of the NATS user: that of `provision`, or of the relay.
    #[arg(long, env = "AGENT_OTP_NATS_NKEY_FILE")]
    nkey_file: PathBuf,
    /// On how many servers each stream is kept: 1, 3 or 5.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Where sealed codes are kept until they are erased.
    #[arg(long, value_enum, default_value_t = Vault::Memory)]
    vault: Vault,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Vault {
    /// In memory: no byte of them reaches a file.
    Memory,
    /// In files: they outlive a restart of the broker.
    File,
}

impl Broker {
    fn settings(&self) -> Settings {
        let vault = match self.vault {
            Vault::Memory => VaultStorage::Memory,
            Vault::File => VaultStorage::File,
        };
        Settings { replicas: self.replicas, vault }
    }

    async fn connect(&self, who: &'static str) -> anyhow::Result<Connection> {
        let seed = std::fs::read_to_string(&self.nkey_file)
            .with_context(|| format!("cannot read the NATS user's seed from {}", self.nkey_file.display()))?;
        let login = Login::plain(&self.nats_url, seed.trim().to_owned());
        Ok(Connection::open(&login, &Who::Operator(who)).await?)
    }
}

/// What is logged, by `$AGENT_OTP_LOG`. The NATS client would log what it receives at `debug`, sealed codes too.
fn log_filter() -> EnvFilter {
    let asked = std::env::var("AGENT_OTP_LOG").unwrap_or_else(|_| "info".to_owned());
    EnvFilter::new(format!("{asked},async_nats=off"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let hidden = hide_memory();
    tracing_subscriber::fmt()
        .with_env_filter(log_filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Err(error) = hidden {
        warn!(%error, "the memory of this process is not hidden");
    }
    match run(Cli::parse().verb).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Neither `Debug` nor a backtrace: whoever reads it runs a server, and has no source before them.
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Provision(broker) => {
            let connection = broker.connect("provision").await?;
            let done = provision(&connection, broker.settings()).await?;
            info!(created = ?done.created, kept = ?done.kept, "provisioned");
        }
        Verb::Serve(broker) => {
            let stop = CancellationToken::new();
            let relay = Relay::new(broker.connect("relay").await?, broker.settings());
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let stopping = stop.clone();
            let signals = async move {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                stopping.cancel();
            };
            tokio::select! {
                served = relay.serve(stop.clone(), || info!("serving")) => served?,
                // It only asks to stop; what is under way is still answered.
                () = async { signals.await; std::future::pending().await } => {}
            }
        }
    }
    Ok(())
}
