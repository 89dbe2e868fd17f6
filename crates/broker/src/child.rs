//! The programs that are started here: none of them is handed the secrets that stand in this one's environment.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
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

/// Runs a program to its end, and takes what it says on stderr. Dropped before, it is killed, and gone.
///
/// It is in a process group of its own, so that Ctrl-C at a terminal does not end it before us.
pub(crate) async fn run(command: Command) -> io::Result<Output> {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut running = Running(command.spawn()?);
    let mut stderr = Vec::new();
    if let Some(pipe) = &mut running.0.stderr {
        pipe.read_to_end(&mut stderr).await?;
    }
    let status = running.0.wait().await?;
    Ok(Output { status, stdout: Vec::new(), stderr })
}

/// A program that does not outlive this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        kill(&mut self.0);
    }
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
