//! The programs that are started here: none of them is handed the secrets that stand in this one's environment.

use std::ffi::OsStr;
use std::process::Command;

/// The variables that are meant for this program alone.
const SECRETS: [&str; 1] = ["AGENT_OTP_PASSPHRASE"];

/// A program, to be started without them.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for secret in SECRETS {
        command.env_remove(secret);
    }
    command
}
