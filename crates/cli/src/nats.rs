//! `agent-otp nats`: what an existing NATS server has to know of Agent OTP.

mod existing;
mod permissions;

use std::process::ExitCode;

use crate::args::Nats;
use crate::place::Place;

pub(crate) use existing::{Existing, ServerOption};
pub(crate) use permissions::Permissions;

pub(crate) fn run(place: impl FnOnce() -> anyhow::Result<Place>, verb: Nats) -> anyhow::Result<ExitCode> {
    match verb {
        Nats::Permissions(asked) => permissions::run(place, asked),
    }
}
