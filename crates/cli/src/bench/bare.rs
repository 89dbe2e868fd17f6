//! The NATS operations of a life, and nothing else, on a broker of their own.

use std::path::Path;
use std::time::Duration;

use agent_otp_domain::{MemberId, RequestKey, SealedCode};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::floor::{Bodies, Floor};
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::bench::figures::Tally;
use crate::bench::stage::Ground;

/// How large the events of an ordinary life are, in bytes: `requested`, `approved`, `captured`, `consumed`.
pub(super) const EVENT_BYTES: [usize; 4] = [1_090, 1_000, 880, 740];
/// How large a sealed code is: HPKE's `enc`, the padded code, the tag.
const SEALED_BYTES: usize = 32 + 256 + 16;

pub(super) struct Bare {
    ground: Ground,
    floor: Floor,
    agent: MemberId,
    bodies: Bodies,
}

impl Bare {
    pub(super) async fn start(nats_server: &Path, dir: &Path) -> anyhow::Result<Self> {
        let ground = Ground::start(nats_server, dir).await?;
        let floor = Floor::new(ground.operator("relay").await?);
        let bodies = Bodies {
            events: EVENT_BYTES.map(|bytes| vec![0; bytes].into()),
            sealed: SealedCode::new(clock::random::<SEALED_BYTES>().to_vec()),
        };
        Ok(Self { ground, floor, agent: "bare".parse()?, bodies })
    }

    /// As many lives as fit, `in_flight` at a time.
    pub(super) async fn during(&self, in_flight: usize, time: Duration) -> anyhow::Result<Tally> {
        let begun = Instant::now();
        let runners = (0..in_flight).map(|_| async {
            let mut taken = Vec::new();
            while begun.elapsed() < time {
                let one = Instant::now();
                self.floor.life(&self.key(), &self.bodies).await?;
                taken.push(one.elapsed());
            }
            anyhow::Ok(taken)
        });
        let taken = try_join_all(runners).await?;
        Ok(Tally::new(taken.concat(), begun.elapsed()))
    }

    fn key(&self) -> RequestKey {
        RequestKey {
            owner: self.ground.owner.clone(),
            agent: self.agent.clone(),
            request: clock::request_id(),
        }
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.ground.broker.stop().await?;
        Ok(())
    }
}
