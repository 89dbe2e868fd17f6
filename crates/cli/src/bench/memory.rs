//! How much memory the parties and the broker take, where the system tells (Linux's `/proc`).

use std::fmt;

use serde::Serialize;

use crate::bench::stage::Stage;

/// In MiB of resident memory.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    pub(super) idle: Use,
    pub(super) load: Use,
}

/// At one moment.
#[derive(Debug, Serialize)]
pub(super) struct Use {
    /// Relay, user's side and agent together: they are one process here.
    parties: Option<u64>,
    /// The broker.
    nats_server: Option<u64>,
}

pub(super) fn of(stage: &Stage) -> Use {
    Use { parties: resident("self"), nats_server: resident(&stage.ground.broker.pid().to_string()) }
}

fn resident(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |mib: Option<u64>| mib.map_or("unknown".to_owned(), |mib| format!("{mib} MiB"));
        let Use { parties, nats_server } = &self.idle;
        write!(f, "memory, idle:  parties {}, nats-server {}", said(*parties), said(*nats_server))?;
        let Use { parties, nats_server } = &self.load;
        write!(f, "\nmemory, after the load:  parties {}, nats-server {}", said(*parties), said(*nats_server))
    }
}
