//! The programs that are started here: none of them is handed the secrets that stand in this one's environment.

use std::ffi::OsStr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use tokio::process::Child;

/// How often it is looked whether a program has ended that was killed, and how long that takes each time: a second in all.
const LOOKS_MAX: u32 = 1_000;
const LOOK: Duration = Duration::from_millis(1);

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

/// Kills a program and waits until it is gone, for where nothing can be awaited: it writes to no file any more then.
pub(crate) fn kill(child: &mut Child) {
    // It fails for one that was waited for.
    if child.start_kill().is_err() {
        return;
    }
    for _ in 0..LOOKS_MAX {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(LOOK);
    }
}
