//! Everything on one machine: broker, relay, user's side and audit trail, started in order and stopped together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_audit::Projector;
use agent_otp_broker::{Broker, Config, StartError};
use agent_otp_domain::Role;
use agent_otp_jetstream::provision::{Settings, provision};
use agent_otp_jetstream::{Connection, Member, Who};
use agent_otp_relay::Relay;
use agent_otp_user::source::smtp::Smtp;
use agent_otp_user::source::{Source, SourceError};
use agent_otp_user::{Approver, Capturer, Intake, Notices, Unverified};
use anyhow::{Context as _, bail};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::place::{Hold, Place, Ports, Run};
use crate::setup::{self, Setup};

/// How long the parties have to end what is under way.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long the relay has to answer for the first time.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a broker that died again at once is left alone.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// How the stack is to run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) nats_server: PathBuf,
    pub(crate) nats_port: Option<u16>,
    pub(crate) smtp_port: Option<u16>,
    pub(crate) unverified: Unverified,
}

/// A running stack.
pub(crate) struct Stack {
    place: Place,
    nats_server: PathBuf,
    config: Config,
    /// None only while a dead broker is being replaced.
    broker: Option<Broker>,
    parties: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    /// The trail ends last, so that it holds everything.
    stop_trail: CancellationToken,
    pub(crate) run: Run,
    pub(crate) is_first: bool,
    _hold: Hold,
}

impl Stack {
    /// Starts everything, and returns when everything answers.
    pub(crate) async fn start(
        place: &Place,
        options: Options,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        let hold = place.hold()?;
        let Setup { owner, roster, users, creds, is_first } = setup::run(place)?;
        if let Some(pid) = agent_otp_broker::stop_orphan(&place.nats()).await? {
            say(&format!("stopped the nats-server (pid {pid}) that an `up` before left behind"));
        }
        let last = place.ports();
        let smtp = bind(options.smtp_port, last.smtp).await?;
        let mut config = Config { dir: place.nats(), port: options.nats_port.or(last.nats), users };
        let broker = match Broker::start(&options.nats_server, config.clone()).await {
            Err(StartError::PortTaken { .. }) if options.nats_port.is_none() => {
                config.port = None;
                Broker::start(&options.nats_server, config.clone()).await?
            }
            started => started?,
        };
        config.port = Some(broker.port());
        place.remember_ports(Ports { nats: config.port, smtp: Some(smtp.local_addr().port()) })?;

        let run = Run {
            nats_url: broker.url(),
            owner: owner.to_string(),
            smtp: smtp.local_addr().to_string(),
            creds,
            pid: std::process::id(),
            nats_pid: broker.pid(),
            nats_store: place.nats().join("store"),
        };
        let mut stack = Self {
            place: place.clone(),
            nats_server: options.nats_server,
            config,
            broker: Some(broker),
            parties: JoinSet::new(),
            stop: CancellationToken::new(),
            stop_trail: CancellationToken::new(),
            run,
            is_first,
            _hold: hold,
        };
        // Every source of messages, and nothing else, stands in this list.
        let sources: Vec<Box<dyn Source>> = vec![Box::new(smtp)];
        let started = stack.start_parties(roster, sources, options.unverified).await;
        match started.and_then(|()| stack.place.say_running(&stack.run)) {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await?;
                Err(error)
            }
        }
    }

    async fn start_parties(
        &mut self,
        owner: agent_otp_user::Owner,
        sources: Vec<Box<dyn Source>>,
        unverified: Unverified,
    ) -> anyhow::Result<()> {
        let url = self.run.nats_url.clone();
        let local = setup::local()?;
        self.provision().await?;

        let login = Place::login(&url, &self.place.operator_user("relay"))?;
        let relay = Relay::new(Connection::open(&login, &Who::Operator("relay")).await?, Settings::default());
        let (ready, relay_ready) = oneshot::channel();
        let stop = self.stop.clone();
        self.parties
            .spawn(async move { relay.serve(stop, || tell(ready)).await.context("the relay has stopped") });
        self.ready(relay_ready).await?;

        let place = self.place.clone();
        let user = |role| Place::login(&url, &place.member_user(role, &local));
        let home = |role| place.member(role, &local);
        let approver = Approver::connect(&user(Role::Approver)?, home(Role::Approver), local.clone()).await?;
        let bus = approver.bus().clone();
        let (ready, roster_ready) = oneshot::channel();
        let stop = self.stop.clone();
        self.parties.spawn(async move {
            let fresh = owner.keep_fresh(&bus, stop, || tell(ready)).await;
            fresh.context("the roster cannot be renewed")
        });
        self.ready(roster_ready).await?;

        let notices = Notices::open(self.place.notices());
        let login = user(Role::Capturer)?;
        let capturer = Capturer::connect(&login, home(Role::Capturer), local.clone(), notices).await?;
        let (intake, messages) = Intake::new(unverified);
        let stop = self.stop.clone();
        self.parties.spawn(async move {
            capturer.run(messages, stop).await;
            Ok(())
        });
        for source in sources {
            let (name, running) = (source.name(), source.run(intake.clone(), self.stop.clone()));
            self.parties.spawn(async move {
                running.await.with_context(|| format!("the source {name} has stopped"))
            });
        }
        drop(intake);

        let (login, pin) = (user(Role::Auditor)?, home(Role::Auditor).pin()?);
        let auditor =
            Member::connect(&login, Role::Auditor, local.clone(), pin.owner_key.clone(), pin.roster).await?;
        let projector = Projector::open(&place.audit(), auditor.bus, pin.owner_key).await?;
        let stop = self.stop_trail.clone();
        self.parties.spawn(async move {
            projector.run(stop).await;
            Ok(())
        });
        Ok(())
    }

    /// Waits until a party says that it is ready; one that ends instead says why.
    async fn ready(&mut self, ready: oneshot::Receiver<()>) -> anyhow::Result<()> {
        tokio::select! {
            told = ready => if told.is_ok() { return Ok(()) },
            () = tokio::time::sleep(READY_WITHIN) => bail!("a party was not ready within {READY_WITHIN:?}"),
        }
        match self.parties.join_next().await {
            Some(Ok(Err(error))) => Err(error),
            Some(_) | None => bail!("a party ended before it was ready"),
        }
    }

    async fn provision(&self) -> anyhow::Result<()> {
        let login = Place::login(&self.run.nats_url, &self.place.operator_user("provision"))?;
        let connection = Connection::open(&login, &Who::Operator("provision")).await?;
        provision(&connection, Settings::default()).await?;
        Ok(())
    }

    /// Runs until `stop` is cancelled; replaces a broker that dies. A party that ends is an error.
    pub(crate) async fn serve(
        &mut self,
        stop: CancellationToken,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        loop {
            let Some(broker) = &mut self.broker else { bail!("there is no broker") };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = self.parties.join_next() => match ended {
                    Some(Ok(Err(error))) => return Err(error),
                    Some(Ok(Ok(()))) | None => bail!("a party has ended"),
                    Some(Err(error)) => return Err(error).context("a party has broken down"),
                },
                exited = broker.exited() => {
                    let status = exited.map_or_else(|error| error.to_string(), |status| status.to_string());
                    say(&format!("nats-server has died ({status}); it is started again"));
                    self.replace_broker(&stop).await?;
                    say(&format!("nats-server runs again as pid {}", self.run.nats_pid));
                }
            }
        }
    }

    async fn replace_broker(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        // Its directory is let go of before the next one takes it.
        drop(self.broker.take());
        loop {
            match Broker::start(&self.nats_server, self.config.clone()).await {
                Ok(broker) => {
                    self.run.nats_pid = broker.pid();
                    self.broker = Some(broker);
                    self.provision().await?;
                    return self.place.say_running(&self.run);
                }
                Err(error) => warn!(%error, "nats-server does not start"),
            }
            tokio::select! {
                () = stop.cancelled() => bail!("stopped while nats-server did not start"),
                () = tokio::time::sleep(RESTART_AFTER) => {}
            }
        }
    }

    /// Stops everything: parties first, so that what is under way is still stored; then the broker.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let ended = tokio::time::timeout(STOP_WITHIN, async {
            while self.parties.len() > 1 && self.parties.join_next().await.is_some() {}
            self.stop_trail.cancel();
            while self.parties.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            warn!("a party does not end, and is ended");
            self.parties.shutdown().await;
        }
        if let Some(broker) = self.broker.take() {
            broker.stop().await?;
        }
        self.place.say_stopped()
    }
}

fn tell(ready: oneshot::Sender<()>) {
    if ready.send(()).is_err() {
        warn!("nobody waits for this party any more");
    }
}

/// Takes the port that was asked for, or the last one if it is free, or any.
async fn bind(asked: Option<u16>, last: Option<u16>) -> Result<Smtp, SourceError> {
    let on = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match (asked, last) {
        (Some(port), _) => Smtp::bind(on(port)).await,
        (None, Some(port)) => match Smtp::bind(on(port)).await {
            Err(SourceError::Occupied { .. }) => Smtp::bind(on(0)).await,
            bound => bound,
        },
        (None, None) => Smtp::bind(on(0)).await,
    }
}
