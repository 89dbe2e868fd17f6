//! An enrolment, from the token to the end: what the owner types, and what is typed on the other machine.

use std::ops::{Deref, DerefMut};

use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;

use crate::place::Place;
use crate::process::{Ended, Process};
use crate::wait::eventually;

/// `agent-otp enroll`, which waits for whoever has the token.
#[derive(Debug)]
pub struct Enrolling {
    process: Process,
    stdin: Option<ChildStdin>,
    /// The token that it has printed.
    pub token: String,
}

/// `agent-otp join -`, to which the token was piped.
#[derive(Debug)]
pub struct Joining {
    process: Process,
}

impl Place {
    /// Types `enroll ROLE NAME`, and returns when the token is there.
    pub async fn enroll(&self, role: &str, name: &str) -> Enrolling {
        Enrolling::waiting(self.start_piped(&["enroll", role, name], [])).await
    }

    /// Types the same with the URL at which the other machine reaches the broker.
    pub async fn enroll_at(&self, url: &str, role: &str, name: &str) -> Enrolling {
        Enrolling::waiting(self.start_piped(&["enroll", role, name, "--nats-url", url], [])).await
    }

    /// Types the same where the clock is off.
    pub async fn enroll_off(&self, off: &str, role: &str, name: &str) -> Enrolling {
        Enrolling::waiting(self.start_piped(&["enroll", role, name], Self::clock(off))).await
    }

    /// Types `join -`, and pipes the token.
    pub async fn join(&self, token: &str) -> Joining {
        let (process, mut stdin) = self.start_piped(&["join", "-"], []);
        stdin.write_all(format!("{token}\n").as_bytes()).await.ok();
        Joining { process }
    }

    /// Has another machine join, and the owner confirm that the words are the same.
    pub async fn enrolled(&self, other: &Self, role: &str, name: &str) {
        let mut enrolling = self.enroll(role, name).await;
        let mut joining = other.join(&enrolling.token).await;
        let words = joining.words().await;
        assert_eq!(enrolling.words().await, words);
        enrolling.answer(&words).await;
        joining.ended().await.well();
        enrolling.ended().await.well();
    }
}

impl Enrolling {
    async fn waiting((mut process, stdin): (Process, ChildStdin)) -> Self {
        let token = eventually("a token", async || {
            let printed = process.printed();
            assert!(!printed.is_empty() || !process.has_ended(), "no token:\n{}", process.said());
            printed.strip_suffix('\n').map(str::to_owned)
        })
        .await;
        Self { process, stdin: Some(stdin), token }
    }

    /// The words that it shows.
    pub async fn words(&mut self) -> String {
        words(&mut self.process).await
    }

    /// Pipes what the other machine shows, or says.
    pub async fn answer(&mut self, line: &str) {
        let mut stdin = self.stdin.take().expect("there is one answer");
        stdin.write_all(format!("{line}\n").as_bytes()).await.ok();
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        self.process.ended().await
    }
}

impl Joining {
    /// The words that it shows.
    pub async fn words(&mut self) -> String {
        words(&mut self.process).await
    }
}

impl Deref for Enrolling {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Enrolling {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Deref for Joining {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Joining {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The one line that is indented so.
async fn words(process: &mut Process) -> String {
    eventually("six words", async || {
        let said = process.said();
        let words = said.lines().find_map(|line| line.strip_prefix("    ")).map(str::to_owned);
        assert!(words.is_some() || !process.has_ended(), "no words:\n{said}");
        words
    })
    .await
}
