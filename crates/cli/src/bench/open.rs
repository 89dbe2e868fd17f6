//! What one command costs beside ever more open requests.

use std::path::Path;

use agent_otp_agent::{Agent, Asking};
use agent_otp_domain::{MemberId, RequestKey, Ttl};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::floor::Floor;
use anyhow::ensure;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bench::bare::EVENT_BYTES;
use crate::bench::figures::{self, Spread, Tally};
use crate::bench::stage::Ground;
use crate::print;

/// How many commands are timed.
const COMMANDS: usize = 1_000;
/// How many run unmeasured first.
const WARM_UP: usize = 100;

/// One command, beside so many open requests.
#[derive(Debug, Serialize)]
pub(super) struct Crowd {
    pub(super) open: u32,
    pub(super) command_ms: Spread,
}

pub(super) fn ratio(crowds: &[Crowd]) -> f64 {
    let medians = crowds.iter().map(|crowd| crowd.command_ms.p50);
    let (low, high) = medians.fold((f64::MAX, 0.0_f64), |(low, high), p50| (low.min(p50), high.max(p50)));
    if low > 0.0 && low < f64::MAX { figures::rounded(high / low) } else { 1.0 }
}

/// Times commands at each of the sizes, on a broker that is filled further and further.
pub(super) async fn commands(nats_server: &Path, dir: &Path, sizes: &[u32]) -> anyhow::Result<Vec<Crowd>> {
    let ground = Ground::start(nats_server, dir).await?;
    let (mut parties, stop) = (JoinSet::new(), CancellationToken::new());
    ground.serve(&mut parties, &stop).await?;
    let agent = ground.agent().await?;
    let floor = Floor::new(ground.operator("relay").await?);
    let crowd: MemberId = "crowd".parse()?;
    let (mut filled, mut crowds) = (0, Vec::new());
    for &open in sizes {
        ensure!(open >= filled, "the numbers of open requests must rise: {open} follows {filled}");
        print::say(&format!("one command beside {open} open requests; storing {} more", open - filled));
        let expires_at = clock::now().after(Ttl::MAX);
        let keys = (filled..open).map(|_| RequestKey {
            owner: ground.owner.clone(),
            agent: crowd.clone(),
            request: clock::request_id(),
        });
        floor.fill(keys, &vec![0; EVENT_BYTES[0]].into(), expires_at).await?;
        filled = open;
        timed(&agent, WARM_UP).await?;
        crowds.push(Crowd { open, command_ms: timed(&agent, COMMANDS).await? });
    }
    stop.cancel();
    while let Some(ended) = parties.join_next().await {
        ended??;
    }
    ground.broker.stop().await?;
    Ok(crowds)
}

/// Times the command that asks; each request is taken back at once, so that no more are open than before.
async fn timed(agent: &Agent, count: usize) -> anyhow::Result<Spread> {
    let begun = Instant::now();
    let mut taken = Vec::new();
    for _ in 0..count {
        let asking = Asking::code_by_email("Measure one command", "service.example")?;
        let one = Instant::now();
        let pending = agent.request(asking).await?;
        taken.push(one.elapsed());
        pending.canceller().cancel().await?;
    }
    Ok(Tally::new(taken, begun.elapsed()).spread())
}
