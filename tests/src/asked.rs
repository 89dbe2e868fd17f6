//! `agent-otp request`, from the moment at which the request stands.

use std::ops::{Deref, DerefMut};

use crate::process::Process;
use crate::wait::eventually;

/// A request that stands, and the program that waits for its code.
#[derive(Debug)]
pub struct Asked {
    process: Process,
    /// The request's id.
    pub id: String,
}

impl Asked {
    pub(crate) async fn standing(mut process: Process) -> Self {
        let id = eventually("the request to stand", async || {
            let said = process.said();
            let line = said.lines().find(|line| line.starts_with("requested  "));
            let id = line.and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned);
            assert!(id.is_some() || !process.has_ended(), "nothing was asked:\n{said}");
            id
        })
        .await;
        Self { process, id }
    }
}

impl Deref for Asked {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Asked {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
