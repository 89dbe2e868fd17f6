//! A broker, a relay, a user's side that approves everything, and an agent: all real, in this one process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agent_otp_agent::Agent;
use agent_otp_broker::{Broker, Config, Listen};
use agent_otp_domain::{EventType, MemberId, OwnerId, Recorded, Role};
use agent_otp_jetstream::provision::{Settings, provision};
use agent_otp_jetstream::{Connection, Feed, Login, Server, Who};
use agent_otp_relay::Relay;
use agent_otp_user::source::{Source as _, smtp};
use agent_otp_user::{Approver, Capturer, Intake, Notices, Owner, Unverified};
use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::args::MailProof;
use crate::party::tell;
use crate::place::Place;
use crate::setup::{self, Setup};

/// The agent that asks.
const AGENT: &str = "shopper";

/// A broker with everything provisioned, and the keys to it.
pub(super) struct Ground {
    pub(super) broker: Broker,
    pub(super) owner: OwnerId,
    place: Place,
    roster: Arc<Owner>,
}

impl Ground {
    pub(super) async fn start(nats_server: &Path, dir: &Path) -> anyhow::Result<Self> {
        let place = Place::at(Some(dir.to_owned()))?;
        let Setup { owner, users, .. } = setup::run(&place)?;
        let roster = setup::owner_of(&place)?;
        let broker = Broker::start(
            nats_server,
            Config { dir: place.nats(), listen: Listen::Loopback, port: None, users },
        )
        .await?;
        let ground = Self { broker, owner, place, roster: Arc::new(roster) };
        provision(&ground.operator("provision").await?, Settings::default()).await?;
        Ok(ground)
    }

    /// A connection of a program that belongs to no owner.
    pub(super) async fn operator(&self, name: &'static str) -> anyhow::Result<Connection> {
        let login = self.access().operator(name)?;
        Ok(Connection::open(&login, &Who::Operator(name)).await?)
    }

    fn access(&self) -> Access {
        Access::new(&self.place, Server::plain(self.broker.url()), BTreeMap::new())
    }

    fn login(&self, role: Role, name: &MemberId) -> anyhow::Result<Login> {
        self.access().member(role, name)
    }

    /// Starts a relay, and has the owner's roster taken.
    pub(super) async fn serve(
        &self,
        parties: &mut JoinSet<anyhow::Result<()>>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Approver> {
        let relay = Relay::new(self.operator("relay").await?, Settings::default());
        let (ready, is_ready) = oneshot::channel();
        let stopped = stop.clone();
        parties.spawn(async move { Ok(relay.serve(stopped, || tell(ready)).await?) });
        is_ready.await.context("the relay does not start")?;

        let local = setup::local()?;
        let (login, home) = (self.login(Role::Approver, &local)?, self.place.member(Role::Approver, &local));
        let approver = Approver::connect(&login, home, local).await?;
        let (ready, is_ready) = oneshot::channel();
        let (bus, owner, stopped) = (approver.bus().clone(), self.roster.clone(), stop.clone());
        parties.spawn(async move { Ok(owner.keep_fresh(&bus, stopped, || tell(ready)).await?) });
        is_ready.await.context("the roster is not taken")?;
        Ok(approver)
    }

    pub(super) async fn agent(&self) -> anyhow::Result<Agent> {
        let name: MemberId = AGENT.parse()?;
        let (login, home) = (self.login(Role::Agent, &name)?, self.place.member(Role::Agent, &name));
        Ok(Agent::connect(&login, home, name).await?)
    }
}

/// Everything that a request goes through.
pub(super) struct Stage {
    pub(super) ground: Ground,
    pub(super) agent: Agent,
    pub(super) intake: Intake,
    pub(super) smtp: SocketAddr,
    parties: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    lives: AtomicU64,
}

impl Stage {
    pub(super) async fn start(nats_server: &Path, dir: &Path) -> anyhow::Result<Self> {
        let ground = Ground::start(nats_server, dir).await?;
        let (mut parties, stop) = (JoinSet::new(), CancellationToken::new());
        let local = setup::local()?;
        let approver = ground.serve(&mut parties, &stop).await?;
        let feed = Feed::of_owner(approver.bus().connection(), approver.bus().owner()).await?;
        parties.spawn(approve_all(Arc::new(approver), feed, stop.clone()));

        let capturer = Capturer::connect(
            &ground.login(Role::Capturer, &local)?,
            ground.place.member(Role::Capturer, &local),
            local,
            Notices::open(ground.place.notices()),
        )
        .await?;
        let (intake, messages) = Intake::new(Unverified::Accept, MailProof::default().authenticator()?);
        let stopped = stop.clone();
        parties.spawn(async move {
            capturer.run(messages, stopped).await;
            Ok(())
        });
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let smtp = smtp::Smtp::bind(free).await?;
        let address = smtp.local_addr().context("it listens")?;
        let running = Box::new(smtp).run(intake.clone(), stop.clone());
        parties.spawn(async move { Ok(running.await?) });

        let agent = ground.agent().await?;
        Ok(Self { ground, agent, intake, smtp: address, parties, stop, lives: AtomicU64::new(0) })
    }

    /// A number that no other life has.
    pub(super) fn next(&self) -> u64 {
        self.lives.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        drop(self.intake);
        while let Some(ended) = self.parties.join_next().await {
            ended??;
        }
        self.ground.broker.stop().await?;
        Ok(())
    }
}

/// Approves whatever is asked, as soon as it is.
async fn approve_all(approver: Arc<Approver>, mut feed: Feed, stop: CancellationToken) -> anyhow::Result<()> {
    let mut approvals = JoinSet::new();
    while let Some(hint) = stop.run_until_cancelled(feed.next()).await {
        while let Some(ended) = approvals.try_join_next() {
            ended??;
        }
        let hint = hint.context("the connection to the broker was closed")?;
        if hint.recorded.event.kind() == EventType::Requested {
            approvals.spawn(approve(approver.clone(), hint.recorded));
        }
    }
    Ok(())
}

async fn approve(approver: Arc<Approver>, requested: Recorded) -> anyhow::Result<()> {
    let request = approver.learn(&requested).await?;
    approver.approve(&request).await?;
    Ok(())
}
