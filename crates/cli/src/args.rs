//! What can be typed.

mod audit;
pub(crate) mod heading;
mod keys;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;

use agent_otp_domain::{
    Channels, CodeShape, ContentPattern, IdError, MemberId, Purpose, Reason, Role, Ttl, Wanted,
};
use agent_otp_user::Unverified;
use agent_otp_user::mail::authentication::{Authenticator, AuthenticatorError, AuthservId, Dns};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

pub(crate) use audit::Audit;
pub(crate) use keys::{Keys, Recovery};
pub(crate) use serve::{Serve, ServeAt, ServeAudit, ServeBroker, ServeCapturer, ServeRelay, ServeUser};

use crate::listen::Listening;
use crate::named::{Named, ROLES};
use crate::nats::{Nats, ServerOption};
use crate::sources::{SourcePorts, Sources};
use crate::way::As;

/// Relays exactly the one one-time code that an agent asked for and its user approved: end-to-end encrypted, once.
#[derive(Debug, Parser)]
#[command(name = "agent-otp", version, max_term_width = 110)]
pub(crate) struct Cli {
    /// Where keys, store and audit trail are kept [default: the platform's data directory].
    #[arg(help_heading = heading::DATA, long, global = true, env = "AGENT_OTP_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// The passphrase of sealed keys, as the file's first line [default: what `AGENT_OTP_PASSPHRASE` holds, or asked
    /// for].
    #[arg(help_heading = heading::DATA, long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs broker, relay, the user's side and the audit trail on this machine, until Ctrl-C.
    Up(Up),
    /// Runs one part of what `up` runs, in a process of its own: for a service manager, or another machine.
    ///
    /// The parts share the keys of one data directory, which `serve broker` or `up` makes. Start the broker first and
    /// the others in any order, and restart each that ends: it goes on where it was.
    Serve {
        #[command(subcommand)]
        part: Serve,
    },
    /// Shows the whole way of a code in a temporary directory, step by step, and checks each step.
    Demo(Demo),
    /// Asks for a code as an agent, waits for it, and prints it.
    ///
    /// Progress goes to stderr, the code alone to stdout. Exit codes: 0 the code was printed, 10 denied, 11 expired,
    /// 12 cancelled, 13 refused, 14 unavailable, 15 not believed, 18 another code came (with --stay); 1 anything else, 2
    /// wrong usage.
    Request(Request),
    /// Lists the requests that wait for you, and what each asks.
    Pending {
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        by: As,
    },
    /// Approves a request: the one code that it asks for will be released.
    ///
    /// The request is shown first, and exactly what was shown is approved. At a terminal it is asked whether to: nothing but
    /// `yes` approves. Where stdin or stderr is none, whoever names the id is not asked.
    Approve(Approve),
    /// Denies a request, or takes an approval back as long as the code was not consumed.
    Deny {
        /// The request's id, as `pending` shows it.
        id: String,
        #[command(flatten)]
        by: As,
    },
    /// Hands in a code by hand: reads it without showing it, and seals it on this machine.
    ///
    /// For a code that no source brings. The request has to be approved, and the audit trail says `pasted`. The code may
    /// be typed or pasted, alone or with the whole line that it stands in. From a pipe, one line is read.
    Capture {
        /// The request's id, as `pending` shows it.
        id: String,
        #[command(flatten)]
        by: As,
    },
    /// Makes a token by which another machine becomes a member, and waits for it.
    ///
    /// The token is the one line on stdout, and a QR code where there is a terminal. It is good for one try within ten
    /// minutes. Then both machines show six words: compare them, and only if they are the same, confirm. From a pipe, one
    /// line is read: the six words that the other machine shows. `agent-otp up` has to run, with --listen for another
    /// machine. Ctrl-C makes the token void.
    Enroll(Enroll),
    /// Becomes the member that a token of `agent-otp enroll` names.
    ///
    /// The member's key is made here and never leaves. Type `-` rather than the token, and paste it when it is asked for:
    /// what stands on a command line is seen by the other users of this machine, and kept by the shell. After that, the
    /// commands of the member's role work here as they do on the owner's machine. Broken off, the same command goes on.
    Join {
        /// The token, or `-` for one line on stdin.
        #[arg(value_name = "TOKEN", allow_hyphen_values = true)]
        token: String,
    },
    /// Lists who belongs to the owner, where and since when, and who was revoked.
    Members {
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
    /// Ends a membership at once: NATS cuts the member off, everyone refuses what its key signs, and its open requests are
    /// denied.
    ///
    /// Its name is free then, for another key. Broken off, the same command goes on.
    Revoke {
        /// Which member, such as `agent:shopper`.
        member: Named,
    },
    /// Turns NATS messages on stdin into JSON, one object a line, as they come. Nothing is verified.
    ///
    /// For what `nats sub --raw` prints, and for any other messages of Agent OTP one after the other, with or without a
    /// line feed between them. What signed statements say is told too; whether it is true is for the audit trail to say.
    /// What is no message is told on stderr and passed over, and the exit code is 1.
    Decode {
        /// Prints each object on several lines [default: if stdout is a terminal].
        #[arg(long)]
        pretty: bool,
    },
    /// Measures, on a broker of its own, what a request costs: beside the bare NATS operations below it.
    Bench(Bench),
    /// Reads the audit trail.
    Audit {
        #[command(subcommand)]
        verb: Audit,
    },
    /// Says what an existing NATS server has to know of Agent OTP.
    Nats {
        #[command(subcommand)]
        verb: Nats,
    },
    /// Shows, protects and replaces the keys of a data directory.
    Keys {
        #[command(subcommand)]
        verb: Keys,
    },
    /// Shows, changes and tries where messages come from.
    Sources {
        #[command(subcommand)]
        verb: Sources,
    },
    /// Lists what is wrong with the log, the rosters or single requests, as each party found it.
    ///
    /// Exit codes: 0 there is no alarm, 16 there are alarms.
    Alarms {
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The request's id, as `pending` shows it.
    pub(crate) id: String,
    /// Approves at a terminal, too, without being asked.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) by: As,
}

#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// What the new member will be.
    #[arg(value_name = "ROLE", value_parser = member_role())]
    pub(crate) role: Role,
    /// What it will be called: 1 to 32 characters of a-z, 0-9 and hyphens.
    #[arg(value_name = "NAME")]
    pub(crate) name: MemberId,
    /// Where the other machine reaches the broker [default: what `up --listen` advertises].
    #[arg(long, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
}

fn member_role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(ROLES.map(|role| role.to_string()))
        .try_map(|role| role.parse::<Role>().map_err(|error: IdError| error))
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Up {
    /// The nats-server to run [default: `$AGENT_OTP_NATS_SERVER`, found on PATH or in the cache, or installed].
    #[arg(help_heading = heading::BROKER, long, value_name = "PATH")]
    pub(crate) nats_server: Option<PathBuf>,
    /// The broker's port [default: that of --listen, the last one, or a free one].
    #[arg(help_heading = heading::BROKER, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) nats_port: Option<u16>,
    #[command(flatten)]
    pub(crate) listening: Listening,
    #[command(flatten)]
    pub(crate) server: ServerOption,
    #[command(flatten)]
    pub(crate) source_ports: SourcePorts,
    #[command(flatten)]
    pub(crate) mail: MailProof,
}

/// What proves the sender of a mail.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct MailProof {
    /// Takes also mail that nothing proves to be from its sender; the audit trail says `unverified`.
    #[arg(help_heading = heading::MESSAGES, long)]
    pub(crate) accept_unverified_mail: bool,
    /// Believes the results (RFC 8601) of the mail server that forwards to here, by the name that it puts first in its
    /// Authentication-Results, unless a peer elsewhere hands the mail over. It must add them above those that a mail
    /// brings along.
    #[arg(help_heading = heading::MESSAGES, long, value_name = "AUTHSERV-ID")]
    pub(crate) trust_authentication_results: Option<AuthservId>,
    /// The DNS server that is asked for keys and policies [default: those of this machine's configuration].
    #[arg(help_heading = heading::MESSAGES, long, value_name = "IP:PORT")]
    pub(crate) dns_server: Option<SocketAddr>,
}

impl MailProof {
    pub(crate) fn unverified(&self) -> Unverified {
        if self.accept_unverified_mail { Unverified::Accept } else { Unverified::Refuse }
    }

    pub(crate) fn authenticator(&self) -> Result<Authenticator, AuthenticatorError> {
        let dns = self.dns_server.map_or(Dns::System, Dns::Server);
        Authenticator::new(dns, self.trust_authentication_results.clone())
    }
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The nats-server to run [default: `$AGENT_OTP_NATS_SERVER`, found on PATH or in the cache, or installed].
    #[arg(long, value_name = "PATH")]
    pub(crate) nats_server: Option<PathBuf>,
    /// Prints one JSON object a step instead.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The nats-server to run [default: `$AGENT_OTP_NATS_SERVER`, found on PATH or in the cache, or installed].
    #[arg(long, value_name = "PATH")]
    pub(crate) nats_server: Option<PathBuf>,
    /// For how long each of the four rates is measured, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// How many mails are timed.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) mails: u32,
    /// With how many open requests a command is timed, in rising order; storing a million takes minutes.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1000,100000,1000000")]
    pub(crate) open: Vec<u32>,
    /// Prints one JSON object instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// Which agent asks.
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: MemberId,
    /// Whose message: a known service (github), a domain (github.com), an address, a number (+15551234567), an SMS sender
    /// id (id:GitHub), or several with commas between them.
    #[arg(long, value_name = "SENDER")]
    pub(crate) from: String,
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
    /// Stays until the request's deadline after the code was printed, and says if another code comes (exit code 18).
    #[arg(long)]
    pub(crate) stay: bool,
    /// Prints one JSON object instead of the bare code.
    #[arg(long)]
    pub(crate) json: bool,
}
