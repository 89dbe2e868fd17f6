//! `agent-otp up`, from ready to its end.

use std::ops::{Deref, DerefMut};

use rustix::process::Signal;

use crate::place::Place;
use crate::process::{Ended, Process};
use crate::wait::eventually;

/// A running `up`; dropped, it is told to end.
#[derive(Debug)]
pub struct Up {
    process: Process,
}

impl Up {
    pub(crate) async fn ready(place: &Place, mut process: Process) -> Self {
        let pid = process.pid();
        eventually("`up` to be ready", async || {
            assert!(!process.has_ended(), "`up` has ended:\n{}", process.said());
            place.try_run().filter(|run| run.pid == pid)
        })
        .await;
        Self { process }
    }

    /// Ends it as Ctrl-C does.
    pub async fn stop(mut self) -> Ended {
        self.process.signal(Signal::INT);
        self.process.ended().await
    }

    /// Ends it as a crash does: nothing is put in order.
    pub async fn crash(mut self) {
        self.process.signal(Signal::KILL);
        self.process.ended().await;
    }
}

impl Deref for Up {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Up {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
