//! A process of this machine, told apart from a later one with the same pid.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod ps;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

#[cfg(target_os = "linux")]
use linux::observe;
#[cfg(not(target_os = "linux"))]
use ps::observe;

/// How long a process has to follow a signal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Why a process could not be looked at or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The system does not say what it is.
    #[error("cannot look at process {pid}")]
    Unobservable {
        /// Its pid.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// It may not be signalled.
    #[error("cannot signal process {pid}")]
    Unsignalled {
        /// Its pid.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// It is there after SIGKILL.
    #[error("process {pid} does not end, not even by SIGKILL")]
    Immortal {
        /// Its pid.
        pid: u32,
    },
}

/// A process as it was when looked at.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When it began, in words of the system's own; together with the pid it is unique.
    pub(crate) started: String,
    /// Its program.
    pub(crate) exe: PathBuf,
    /// Its command line, joined by spaces.
    pub(crate) command: String,
}

impl Process {
    /// The living process with this pid; one that has ended and is not waited for yet counts as gone.
    pub(crate) fn with_pid(pid: u32) -> Result<Option<Process>, ProcessError> {
        observe(pid).map_err(|source| ProcessError::Unobservable { pid, source })
    }

    /// Whether the command line names this file.
    pub(crate) fn was_given(&self, path: &Path) -> bool {
        self.command.contains(&*path.to_string_lossy())
    }

    /// Asks it to end, then makes it, and waits until it is gone.
    pub(crate) async fn end(&self) -> Result<(), ProcessError> {
        for with in [Signal::TERM, Signal::KILL] {
            signal(self.pid, with)?;
            if let Ok(gone) = timeout(PATIENCE, self.gone()).await {
                return gone;
            }
        }
        Err(ProcessError::Immortal { pid: self.pid })
    }

    async fn gone(&self) -> Result<(), ProcessError> {
        while Process::with_pid(self.pid)?.is_some_and(|process| process.started == self.started) {
            sleep(POLL).await;
        }
        Ok(())
    }
}

/// Sends a signal; to one who is gone it is no error.
pub(crate) fn signal(pid: u32, signal: Signal) -> Result<(), ProcessError> {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        let source = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(ProcessError::Unsignalled { pid, source });
    };
    match kill_process(raw, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(ProcessError::Unsignalled { pid, source: errno.into() }),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    #[test]
    fn a_process_is_seen_as_it_was_started() {
        let this = Process::with_pid(std::process::id()).unwrap().unwrap();
        let program = std::env::current_exe().unwrap();
        assert!(this.was_given(&program), "{this:?}");
        assert!(!this.was_given(Path::new("/somewhere/else")), "{this:?}");
        assert_eq!(this.exe.file_name(), program.file_name());
        assert!(!this.started.is_empty());
    }

    #[tokio::test]
    async fn an_ended_process_is_gone_before_its_parent_has_waited() {
        let mut sleep = sleeper();
        let process = Process::with_pid(sleep.id()).unwrap().unwrap();
        process.end().await.unwrap();
        assert!(Process::with_pid(sleep.id()).unwrap().is_none());
        sleep.wait().unwrap();
        process.end().await.unwrap();
    }

    #[tokio::test]
    async fn two_processes_are_not_taken_for_one_another() {
        let mut sleep = sleeper();
        let mut process = Process::with_pid(sleep.id()).unwrap().unwrap();
        process.started.push('0');
        process.gone().await.unwrap();
        sleep.kill().unwrap();
        sleep.wait().unwrap();
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("300").spawn().unwrap()
    }
}
