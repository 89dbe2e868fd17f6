//! The relay as a program of its own, for servers.

mod owner;

use std::io::IsTerminal as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent_otp_domain::Digest;
use agent_otp_jetstream::process::hide_memory;
use agent_otp_jetstream::provision::provision;
use agent_otp_jetstream::{ClientCertificate, Connection, Credentials, Interrupt, Login, Server, Trust, Who};
use agent_otp_relay::owners::Owners;
use agent_otp_relay::{Relay, Streams};
use anyhow::{Context as _, ensure};
use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::owner::Owner;

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
    /// Serves until it is told to stop (SIGINT, SIGTERM or SIGHUP); any number of relays may serve side by side.
    Serve(Serve),
    /// Says whom the relays serve: they read the list anew within a second.
    Owner {
        #[command(subcommand)]
        verb: Owner,
    },
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    broker: Broker,
    /// Serves the owners on this list and nobody else; `owner add` makes it [default: whomever the broker admits].
    #[arg(long, env = "AGENT_OTP_OWNERS", value_name = "FILE")]
    owners: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Broker {
    /// The NATS server, 2.12 or newer with JetStream.
    #[arg(long, env = "AGENT_OTP_NATS_URL", default_value = "nats://127.0.0.1:4222")]
    nats_url: String,
    /// The file with the seed (`SU…`) of the NATS user, or its credentials (`.creds`): that of `provision`, or of the relay.
    #[arg(long, env = "AGENT_OTP_NATS_NKEY_FILE")]
    nkey_file: PathBuf,
    /// Takes the one broker whose TLS key has this SHA-256, as `run.json` names it.
    #[arg(long, value_name = "SHA256", conflicts_with = "tls_ca")]
    nats_pin: Option<Digest>,
    /// Takes a broker whose certificate an authority in this PEM file vouches for [default, with tls:// in the URL: one
    /// that this machine trusts].
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The certificate to show to a broker that asks for one, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    #[command(flatten)]
    streams: Streams,
}

impl Broker {
    fn server(&self) -> Server {
        let own = self.tls_cert.clone().zip(self.tls_key.clone());
        let certificate = own.map(|(chain, key)| ClientCertificate { chain, key });
        let trust = match (self.nats_pin, &self.tls_ca) {
            (Some(pin), _) => Trust::Pinned(pin),
            (None, Some(path)) => Trust::Authority(path.clone()),
            (None, None) if certificate.is_some() || self.nats_url.starts_with("tls:") => Trust::Platform,
            (None, None) => Trust::Plain,
        };
        Server { url: self.nats_url.clone(), trust, certificate }
    }

    async fn connect(&self, who: &'static str) -> anyhow::Result<Connection> {
        let seed = read_seed(&self.nkey_file)?;
        let login = Login { server: self.server(), credentials: Credentials::read(&seed) };
        Ok(Connection::open(&login, &Who::Operator(who)).await?)
    }
}

/// The NATS user's seed or credentials, which nobody else may read.
fn read_seed(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read the NATS user's seed from {}", path.display());
    let mode = std::fs::metadata(path).with_context(cannot)?.permissions().mode() & 0o777;
    let is_open = mode & 0o077 != 0;
    ensure!(!is_open, "{0} is open to others (mode {mode:04o}): type chmod 600 {0}", path.display());
    std::fs::read_to_string(path).with_context(cannot)
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
        // A terminal that is gone is no reason to break down.
        .log_internal_errors(false)
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
            let done = provision(&connection, broker.streams.settings()).await?;
            info!(created = ?done.created, kept = ?done.kept, "provisioned");
        }
        Verb::Owner { verb } => owner::run(verb).await?,
        Verb::Serve(Serve { broker, owners }) => {
            let stop = CancellationToken::new();
            let owners = owners.map(|path| Owners::open(&path)).transpose()?;
            let relay = Relay::new(broker.connect("relay").await?, broker.streams.settings());
            let relay = match owners {
                Some(owners) => relay.for_owners(owners),
                None => relay,
            };
            let mut interrupt = Interrupt::new()?;
            let stopping = stop.clone();
            let signals = async move {
                interrupt.came().await;
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
