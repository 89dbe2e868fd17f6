//! Binds every kind of source that there is: where `up` was told to, where it was bound last, or anywhere.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use agent_otp_user::source::{KINDS, Kind, Source, SourceError};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::place::Ports;

/// The ports that were asked for, by the name of the kind: `--NAME-port`.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourcePorts(BTreeMap<&'static str, u16>);

impl Args for SourcePorts {
    fn augment_args(command: Command) -> Command {
        command.args(KINDS.iter().map(|kind| {
            Arg::new(kind.name)
                .long(format!("{}-port", kind.name))
                .value_name("PORT")
                .value_parser(value_parser!(u16).range(1..))
                .help(format!("The port on 127.0.0.1 {} [default: the last one, or a free one]", kind.port))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SourcePorts {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let asked = |kind: &Kind| Some((kind.name, *matches.get_one(kind.name)?));
        Ok(Self(KINDS.iter().filter_map(asked).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

/// Binds one source of each kind; `dir` is where they keep what they keep.
pub(crate) async fn bind(
    asked: &SourcePorts,
    last: &Ports,
    dir: &Path,
) -> Result<Vec<Box<dyn Source>>, SourceError> {
    let mut sources = Vec::with_capacity(KINDS.len());
    for kind in KINDS {
        let (asked, last) = (asked.0.get(kind.name).copied(), last.get(kind.name).copied());
        sources.push(bind_one(kind, asked, last, dir).await?);
    }
    Ok(sources)
}

/// Takes the port that was asked for, or the last one if it is free, or any.
async fn bind_one(
    kind: &Kind,
    asked: Option<u16>,
    last: Option<u16>,
    dir: &Path,
) -> Result<Box<dyn Source>, SourceError> {
    let on = |port| (kind.bind)(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), dir.to_owned());
    match (asked, last) {
        (Some(port), _) => on(port).await,
        (None, Some(port)) => match on(port).await {
            Err(SourceError::Occupied { .. }) => on(0).await,
            bound => bound,
        },
        (None, None) => on(0).await,
    }
}
