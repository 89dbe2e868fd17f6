//! `agent-otp demo`: the whole way of a code, told step by step, each step checked.

use std::process::ExitCode;

use crate::args::Demo;

pub(crate) async fn run(_demo: Demo) -> anyhow::Result<ExitCode> {
    anyhow::bail!("to be written")
}
