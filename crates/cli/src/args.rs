//! What can be typed.

use std::path::PathBuf;

use agent_otp_domain::{
    Channels, CodeShape, ContentPattern, MemberId, Purpose, Reason, SenderPattern, Ttl, Wanted,
};
use clap::{Args, Parser, Subcommand};

/// Relays exactly the one one-time code that an agent asked for and its user approved: end-to-end encrypted, once.
#[derive(Debug, Parser)]
#[command(name = "agent-otp", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// Where keys, store and audit trail are kept [default: the platform's data directory].
    #[arg(long, global = true, env = "AGENT_OTP_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs broker, relay, the user's side and the audit trail on this machine, until Ctrl-C.
    Up(Up),
    /// Shows the whole way of a code in a temporary directory, step by step, and checks each step.
    Demo(Demo),
    /// Asks for a code as an agent, waits for it, and prints it.
    ///
    /// Progress goes to stderr, the code alone to stdout. Exit codes: 0 the code was printed, 10 denied, 11 expired,
    /// 12 cancelled, 13 refused, 14 unavailable, 15 not believed; 1 anything else, 2 wrong usage.
    Request(Request),
    /// Lists the requests that wait for you, and what each asks.
    Pending {
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
    /// Approves a request: the one code that it asks for will be released.
    Approve {
        /// The request's id, as `pending` shows it.
        id: String,
    },
    /// Denies a request, or takes an approval back as long as the code was not consumed.
    Deny {
        /// The request's id, as `pending` shows it.
        id: String,
    },
    /// Reads the audit trail.
    Audit {
        #[command(subcommand)]
        verb: Audit,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Up {
    /// The nats-server to run [default: found on PATH or in the cache, or installed].
    #[arg(long, value_name = "PATH")]
    pub(crate) nats_server: Option<PathBuf>,
    /// The broker's port on 127.0.0.1 [default: the last one, or a free one].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) nats_port: Option<u16>,
    /// The port on 127.0.0.1 where mail is taken [default: the last one, or a free one].
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) smtp_port: Option<u16>,
    /// Takes mail whose sender nobody vouches for; the audit trail says `unverified`.
    #[arg(long)]
    pub(crate) accept_unverified_mail: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The nats-server to run [default: found on PATH or in the cache, or installed].
    #[arg(long, value_name = "PATH")]
    pub(crate) nats_server: Option<PathBuf>,
    /// Prints one JSON object a step instead.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// Which agent asks.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: MemberId,
    /// Whose message: a domain (github.com), an address, a number (+15551234567) or an SMS sender id.
    #[arg(long, value_name = "SENDER")]
    pub(crate) from: SenderPattern,
    /// How the message comes: email, sms or any.
    #[arg(long, default_value = "email")]
    pub(crate) channel: Channels,
    /// What the code is for, in a sentence; the user reads it.
    #[arg(long)]
    pub(crate) reason: Reason,
    /// A regular expression that subject or text must contain (case-insensitive, at most 200 characters).
    #[arg(long, value_name = "PATTERN")]
    pub(crate) matching: Option<ContentPattern>,
    /// The code's shape: digits:6, letters:5, alnum:4-10.
    #[arg(long)]
    pub(crate) shape: Option<CodeShape>,
    /// What is asked for: code or link.
    #[arg(long, default_value = "code", value_name = "WHAT")]
    pub(crate) wanted: Wanted,
    /// What the service will let the agent do: login, sign-up, reset, payment, change or pairing.
    #[arg(long)]
    pub(crate) purpose: Option<Purpose>,
    /// For how long the request stands, from 1s to 1h.
    #[arg(long, default_value = "5m")]
    pub(crate) ttl: Ttl,
    /// Prints one JSON object instead of the bare code.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Lists the requests, the latest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
    /// Shows everything that happened to one request.
    Show {
        /// The request's id.
        id: String,
        /// Prints a JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Prints every event in the order in which it was stored.
    Events {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
}
