//! `agent-otp nats`: what an existing NATS server has to know of Agent OTP.

mod existing;
mod permissions;

use std::process::ExitCode;

use clap::Subcommand;

use crate::place::Place;

pub(crate) use existing::{Existing, ServerOption};

#[derive(Debug, Subcommand)]
pub(crate) enum Nats {
    /// Prints the NATS users of Agent OTP, or the roles for operator mode: what each may do, and nothing else.
    ///
    /// `config` is for a server whose users stand in its configuration: they log in with the keys of this data directory.
    /// `operator` and `operator-json` are for operator mode: one scoped signing key for each role, with the owner's id in
    /// its template, so that whoever holds the owner's keys makes users of that owner and of no other.
    Permissions(permissions::Permissions),
}

pub(crate) fn run(place: impl FnOnce() -> anyhow::Result<Place>, verb: Nats) -> anyhow::Result<ExitCode> {
    match verb {
        Nats::Permissions(asked) => permissions::run(place, asked),
    }
}
