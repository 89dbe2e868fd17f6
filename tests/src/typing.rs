//! A script that pipes into our program, and a person who sits at a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::Signal;
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{self, LocalModes};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::place::Place;
use crate::process::{Ended, kill};
use crate::programs;
use crate::wait::{eventually, within};

impl Place {
    /// Types `agent-otp --data DIR …` with this on its standard input, and waits for its end.
    pub async fn piped(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self.with_input(arguments, Stdio::piped(), Stdio::piped(), Stdio::piped());
        let mut stdin = child.stdin.take().unwrap();
        // A program that has seen enough closes its end.
        stdin.write_all(input).await.ok();
        drop(stdin);
        let output = within("the end of a pipe", child.wait_with_output()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(!stderr.contains("panicked at"), "{stderr}");
        Ended { code: output.status.code(), stdout, stderr }
    }

    /// Types the same with both ends of it in the hands of the story.
    pub fn pipe(&self, arguments: &[&str]) -> Child {
        self.with_input(arguments, Stdio::piped(), Stdio::piped(), Stdio::inherit())
    }

    /// Types the same at a terminal.
    pub fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = pty::openpt(flags).unwrap();
        pty::grantpt(&master).unwrap();
        pty::unlockpt(&master).unwrap();
        let side = || Stdio::from(pty::ioctl_tiocgptpeer(&master, flags).unwrap());
        let child = self.with_input(arguments, side(), side(), side());
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut shown, kept) = (File::from(master.try_clone().unwrap()), screen.clone());
        thread::spawn(move || {
            let mut part = [0; 1_024];
            // Reading fails once nobody is at the other side any more.
            while let Ok(length @ 1..) = shown.read(&mut part) {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(part.get(..length).unwrap_or_default());
            }
        });
        Terminal { master, child, screen }
    }

    /// Types the same where nothing can be written to standard output, and waits for its end.
    pub async fn on_a_full_disk(&self, arguments: &[&str]) -> Ended {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let child = self.with_input(arguments, Stdio::null(), full.into(), Stdio::piped());
        let output = within("the end on a full disk", child.wait_with_output()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        Ended { code: output.status.code(), stdout: String::new(), stderr }
    }

    fn with_input(&self, arguments: &[&str], stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Child {
        let mut command = Command::new(programs::program("agent-otp"));
        command.arg("--data").arg(self.dir()).args(arguments);
        self.environment(&mut command);
        command.stdin(stdin).stdout(stdout).stderr(stderr).kill_on_drop(true).spawn().unwrap()
    }
}

/// A program at a terminal of its own.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    child: Child,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Everything that was shown so far.
    #[must_use]
    pub fn screen(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&screen).replace("\r\n", "\n")
    }

    /// Waits until this was shown so many times.
    pub async fn until(&self, text: &str, times: usize) {
        eventually(format!("`{text}` on the screen"), async || {
            (self.screen().matches(text).count() >= times).then_some(())
        })
        .await;
    }

    /// Types these keys.
    pub fn types(&self, keys: &str) {
        File::from(self.master.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
    }

    /// The program's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends the program a signal. It has no controlling terminal, so that no key does.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Waits for the program's end: its exit code, and all that was shown.
    pub async fn ended(&mut self) -> (Option<i32>, String) {
        let status = within("the end of a program at a terminal", self.child.wait()).await.unwrap();
        // Its last words may still be on their way: the reader lets go of the screen when it has read them all.
        eventually("the end of what a terminal shows", async || {
            (Arc::strong_count(&self.screen) == 1).then_some(())
        })
        .await;
        (status.code(), self.screen())
    }

    /// Whether what is typed is shown again.
    #[must_use]
    pub fn shows_what_is_typed(&self) -> bool {
        termios::tcgetattr(&self.master).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}
