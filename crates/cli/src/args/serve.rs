//! What can be typed behind `serve`.

use std::path::PathBuf;

use agent_otp_relay::Streams;
use clap::{Args, Subcommand};

use super::{MailProof, heading};
use crate::listen::Listening;
use crate::server::Tls;
use crate::sources::SourcePorts;
use crate::way::As;

#[derive(Debug, Subcommand)]
pub(crate) enum Serve {
    /// Runs nats-server with the streams and users that the others need, and restarts it when it dies.
    Broker(ServeBroker),
    /// Runs a relay; any number of them may serve side by side.
    Relay(ServeRelay),
    /// Runs the user's side: takes messages, captures the codes that were approved, renews the roster.
    User(ServeUser),
    /// Takes messages and captures the codes that were approved, on a machine without the owner's keys.
    Capturer(ServeCapturer),
    /// Keeps the audit trail.
    Audit(ServeAudit),
}

#[derive(Debug, Args)]
pub(crate) struct ServeBroker {
    /// The nats-server to run [default: `$AGENT_OTP_NATS_SERVER`, found on PATH or in the cache, or installed].
    #[arg(help_heading = heading::BROKER, long, value_name = "PATH")]
    pub(crate) nats_server: Option<PathBuf>,
    /// The broker's port [default: that of --listen, the last one, or a free one].
    #[arg(help_heading = heading::BROKER, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) nats_port: Option<u16>,
    #[command(flatten)]
    pub(crate) listening: Listening,
}

#[derive(Debug, Args)]
pub(crate) struct ServeAt {
    /// Where the broker listens, such as `nats://127.0.0.1:4222` [default: the one that this member joined, or that runs on
    /// this data directory].
    #[arg(help_heading = heading::BROKER, long, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
    #[command(flatten)]
    pub(crate) tls: Tls,
}

#[derive(Debug, Args)]
pub(crate) struct ServeRelay {
    #[command(flatten)]
    pub(crate) at: ServeAt,
    #[command(flatten, next_help_heading = heading::BROKER)]
    pub(crate) streams: Streams,
}

#[derive(Debug, Args)]
pub(crate) struct ServeUser {
    #[command(flatten)]
    pub(crate) at: ServeAt,
    #[command(flatten)]
    pub(crate) source_ports: SourcePorts,
    #[command(flatten)]
    pub(crate) mail: MailProof,
}

#[derive(Debug, Args)]
pub(crate) struct ServeCapturer {
    #[command(flatten)]
    pub(crate) at: ServeAt,
    #[command(flatten)]
    pub(crate) by: As,
    #[command(flatten)]
    pub(crate) source_ports: SourcePorts,
    #[command(flatten)]
    pub(crate) mail: MailProof,
}

#[derive(Debug, Args)]
pub(crate) struct ServeAudit {
    #[command(flatten)]
    pub(crate) at: ServeAt,
    #[command(flatten)]
    pub(crate) by: As,
}
