//! The sources of the user's side: those that listen on this machine whatever happens, and those that are configured.
//!
//! The former are bound where `up` was told to, where they were bound last, or anywhere.

mod check;
mod edit;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use agent_otp_user::source::config::{self, Configured};
use agent_otp_user::source::{KINDS, Loopback, Source, SourceError};
use anyhow::Context as _;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Subcommand, value_parser};

use crate::args::{MailProof, heading};
use crate::place::{Place, Ports};

#[derive(Debug, Subcommand)]
pub(crate) enum Sources {
    /// Shows what can be configured, and how: one example of each kind, with a comment on each field.
    Kinds,
    /// Lists what is configured in sources.toml of the data directory.
    List {
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
    /// Adds a source to sources.toml; what is there stays as it is.
    Add {
        /// Which kind, as `sources kinds` names it.
        kind: String,
        /// Its fields, such as `name=private`.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        /// Asks for the secret that this field names a file of, keeps it in a file of the data directory, and names that.
        #[arg(long, value_name = "FIELD")]
        ask: Option<String>,
    },
    /// Takes a source out of sources.toml, with the secret that was asked for when it was added.
    Remove {
        /// What it is called, as `sources list` shows it.
        name: String,
    },
    /// Tries every source without taking a message: connects, logs in, looks up, and says what to do about what fails.
    ///
    /// Exit codes: 0 everything works, 17 something does not.
    Check {
        /// Only this one, as `sources list` shows it.
        name: Option<String>,
        #[command(flatten)]
        mail: MailProof,
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
    /// Shows how a mail would be judged, without a word of it: sender, proof, and whether a code is found.
    ///
    /// Judged is the newest mail of a mailbox; a listener is delivered one that nobody waits for. Exit codes: 0 nothing
    /// fails, 17 something does.
    Test {
        /// Only this one, as `sources list` shows it.
        name: Option<String>,
        #[command(flatten)]
        mail: MailProof,
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(place: &Place, verb: Sources) -> anyhow::Result<ExitCode> {
    match verb {
        Sources::Kinds => Ok(edit::kinds()),
        Sources::List { json } => edit::list(place, json),
        Sources::Add { kind, fields, ask } => edit::add(place, &kind, &fields, ask.as_deref()),
        Sources::Remove { name } => edit::remove(place, &name),
        Sources::Check { name, mail, json } => check::check(place, name.as_deref(), &mail, json).await,
        Sources::Test { name, mail, json } => check::test(place, name.as_deref(), &mail, json).await,
    }
}

/// The ports that were asked for, by the name of the kind: `--NAME-port`.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourcePorts(BTreeMap<&'static str, u16>);

impl Args for SourcePorts {
    fn augment_args(command: Command) -> Command {
        command.args(loopbacks().map(|(name, loopback)| {
            Arg::new(name)
                .long(format!("{name}-port"))
                .value_name("PORT")
                .help_heading(heading::MESSAGES)
                .value_parser(value_parser!(u16).range(1..))
                .help(format!(
                    "The port on 127.0.0.1 {} [default: the last one, or a free one]",
                    loopback.port
                ))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SourcePorts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let asked = |(name, _): (&'static str, _)| Some((name, *matches.get_one(name)?));
        Ok(Self(loopbacks().filter_map(asked).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

/// The sources that are there whatever is configured, by the names of their kinds.
fn loopbacks() -> impl Iterator<Item = (&'static str, &'static Loopback)> {
    KINDS.iter().filter_map(|kind| Some((kind.name, kind.loopback.as_ref()?)))
}

/// Binds these; `dir` is where they keep what they keep.
pub(crate) async fn bind(
    asked: &SourcePorts,
    last: &Ports,
    dir: &Path,
) -> Result<Vec<Box<dyn Source>>, SourceError> {
    let mut sources = Vec::new();
    for (name, loopback) in loopbacks() {
        let (asked, last) = (asked.0.get(name).copied(), last.get(name).copied());
        sources.push(bind_one(loopback, asked, last, dir).await?);
    }
    Ok(sources)
}

/// Takes the port that was asked for, or the last one if it is free, or any.
async fn bind_one(
    loopback: &Loopback,
    asked: Option<u16>,
    last: Option<u16>,
    dir: &Path,
) -> Result<Box<dyn Source>, SourceError> {
    let on = |port| (loopback.bind)(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), dir.to_owned());
    match (asked, last) {
        (Some(port), _) => on(port).await,
        (None, Some(port)) => match on(port).await {
            Err(SourceError::Occupied { .. }) => on(0).await,
            bound => bound,
        },
        (None, None) => on(0).await,
    }
}

/// Opens the sources that the user has configured in this file.
pub(crate) async fn open(config: &Path) -> anyhow::Result<Vec<Box<dyn Source>>> {
    let mut sources = Vec::new();
    for source in config::read(config)? {
        let opened = source.open().await;
        sources.push(opened.with_context(|| format!("the source {} cannot be opened", called(&*source)))?);
    }
    Ok(sources)
}

/// What the user calls a source, with its kind.
fn called(source: &dyn Configured) -> String {
    format!("{} ({})", source.label(), source.kind())
}
