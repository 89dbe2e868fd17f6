//! A program that runs: what it prints goes to files, and it does not outlive its test.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

use crate::wait::within;

/// How long a program has to end in order before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    line: String,
    /// What it prints for programs.
    pub stdout: PathBuf,
    /// What it prints for people.
    pub stderr: PathBuf,
}

/// How a program ended, and what it had printed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed for programs.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
}

impl Process {
    /// Starts `command`; what it prints goes to `prints.stdout` and `prints.stderr`.
    pub(crate) fn spawn(mut command: Command, prints: &std::path::Path) -> Self {
        command.stdin(Stdio::null());
        Self::started(command, prints)
    }

    /// The same, with the end of a pipe into it.
    pub(crate) fn spawn_piped(mut command: Command, prints: &std::path::Path) -> (Self, ChildStdin) {
        command.stdin(Stdio::piped());
        let mut process = Self::started(command, prints);
        let stdin = process.child.stdin.take().expect("it was asked for");
        (process, stdin)
    }

    fn started(mut command: Command, prints: &std::path::Path) -> Self {
        let line = format!("{:?}", command.as_std());
        let (stdout, stderr) = (prints.with_extension("stdout"), prints.with_extension("stderr"));
        let child = command
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{line} does not start: {error}"));
        Self { child, line, stdout, stderr }
    }

    /// Its pid, while it is not known to have ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended", self.line))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// What it has printed for people so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// What it has printed for programs so far.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, however long it takes.
    pub(crate) async fn exited(&mut self) {
        self.child.wait().await.unwrap();
        assert!(!self.said().contains("panicked at"), "{}:\n{}", self.line, self.said());
    }

    /// Waits for its end. Whatever happened, it must not have panicked.
    pub async fn ended(&mut self) -> Ended {
        let status = within(format!("the end of {}", self.line), self.child.wait()).await.unwrap();
        let stdout = fs::read_to_string(&self.stdout).unwrap();
        let stderr = self.said();
        assert!(!stderr.contains("panicked at"), "{}:\n{stderr}", self.line);
        Ended { code: status.code(), stdout, stderr }
    }
}

impl Ended {
    /// Its standard output as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, after it is certain that it went well.
    #[expect(
        clippy::must_use_candidate,
        clippy::return_self_not_must_use,
        reason = "that it went well is often all that is asked"
    )]
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // A stopped process hears nothing else.
        for signal in [Signal::TERM, Signal::CONT] {
            self.signal(signal);
        }
        for _ in 0..ENDS_WITHIN.as_millis() / 10 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.signal(Signal::KILL);
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap_or_else(|error| panic!("no {signal:?} for {pid:?}: {error}"));
}
