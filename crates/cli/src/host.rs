//! The broker of a data directory: run with the keys that lie there, provisioned, and replaced when it dies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_broker::{Broker, Config, StartError, User};
use agent_otp_jetstream::nats_user::Changes;
use agent_otp_jetstream::provision::{ProvisionError, Settings, provision};
use agent_otp_jetstream::{Connection, Who};
use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::exit;
use crate::listen::{self, Listening};
use crate::place::{BROKER_PORT, Hold, Part, Place, Run};
use crate::server::RunTls;
use crate::setup::{self, Setup};

/// How long a broker that died again at once is left alone.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// How often the broker is asked for its streams; each time takes 2 s if it does not answer.
const PROVISIONS_MAX: u32 = 5;

/// How the broker is to run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) nats_server: PathBuf,
    pub(crate) nats_port: Option<u16>,
    pub(crate) listening: Listening,
    /// What was typed.
    pub(crate) command: &'static str,
}

/// The broker, and what is said of it in `run.json`.
#[derive(Debug)]
pub(crate) struct Host {
    place: Place,
    nats_server: PathBuf,
    config: Config,
    /// The users of this machine; the others stand in a directory.
    own: Vec<User>,
    /// None only while a dead broker is being replaced.
    broker: Option<Broker>,
    changes: Changes,
    pub(crate) run: Run,
    pub(crate) is_first: bool,
    _hold: Hold,
}

impl Host {
    /// Makes the keys that are missing, and starts and provisions the broker; `command` is what was typed.
    ///
    /// Nobody is told yet: see [`Host::say_running`].
    pub(crate) async fn start(
        place: &Place,
        options: Options,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        let Options { nats_server, nats_port, listening, command } = options;
        let hold = place.hold(Part::Broker, command)?;
        let Setup { owner, users: own, creds, is_first } = setup::run(place)?;
        if let Some(pid) = agent_otp_broker::stop_orphan(&place.nats()).await? {
            say(&format!("stopped the nats-server (pid {pid}) that an `{command}` before left behind"));
        }
        let asked = listening.port().or(nats_port);
        let port = asked.or(place.ports().get(BROKER_PORT).copied());
        let changes = place.nats_users().changes().context("cannot listen for changes of the NATS users")?;
        let users = setup::with_admitted(place, &own)?;
        let mut config = Config { dir: place.nats(), listen: listening.listen(place)?, port, users };
        let broker = match Broker::start(&nats_server, config.clone()).await {
            Err(StartError::PortTaken { .. }) if asked.is_none() && !listening.is_public() => {
                config.port = None;
                Broker::start(&nats_server, config.clone()).await?
            }
            started => started?,
        };
        config.port = Some(broker.port());
        place.remember_ports([(BROKER_PORT.to_owned(), broker.port())])?;
        let server = listen::server(broker.url(), &config.listen);
        let run = Run {
            nats_tls: RunTls::of(&server),
            nats_public_url: listening.public_url(broker.port()),
            nats_url: server.url,
            owner: owner.to_string(),
            sources: BTreeMap::new(),
            creds,
            pid: std::process::id(),
            nats_pid: broker.pid(),
            nats_store: place.nats().join("store"),
        };
        let place = place.clone();
        let broker = Some(broker);
        let host = Self { place, nats_server, config, own, broker, changes, run, is_first, _hold: hold };
        host.provision().await?;
        Ok(host)
    }

    /// Says in `run.json` what runs.
    pub(crate) fn say_running(&self) -> anyhow::Result<()> {
        self.place.say_running(&self.run)
    }

    /// Makes the streams that are missing. A broker on a busy disk may take longer than it is waited for: then it is
    /// asked again, which is harmless.
    async fn provision(&self) -> anyhow::Result<()> {
        let login = Place::login(&self.run.server()?, &self.place.operator_user("provision"))?;
        let connection = Connection::open(&login, &Who::Operator("provision")).await?;
        let mut tries = 1;
        loop {
            match provision(&connection, Settings::default()).await {
                Err(error @ ProvisionError::Refused { .. }) if tries < PROVISIONS_MAX => {
                    warn!(error = exit::chain(&error.into()), "asking the broker again");
                    tries += 1;
                }
                provisioned => return Ok(provisioned.map(drop)?),
            }
        }
    }

    /// Keeps a broker running until `stop` is cancelled: one that dies is replaced, and whoever says that its users have
    /// changed is answered once it has taken them.
    pub(crate) async fn keep(
        &mut self,
        stop: &CancellationToken,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        loop {
            let Some(broker) = &mut self.broker else { bail!("there is no broker") };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                exited = broker.exited() => {
                    let status = exited.map_or_else(|error| error.to_string(), |status| status.to_string());
                    say(&format!("nats-server has died ({status}); it is started again"));
                    self.replace(stop).await?;
                    say(&format!("nats-server runs again as pid {}", self.run.nats_pid));
                }
                change = self.changes.next() => {
                    let change = change.context("cannot hear of changes of the NATS users")?;
                    let taken = self.admit().await;
                    change.answer(taken.map_err(|error| exit::chain(&error))).await;
                }
            }
        }
    }

    /// Has the broker take its users as they stand: those who were added may connect, those who were removed are cut off.
    async fn admit(&mut self) -> anyhow::Result<()> {
        let users = setup::with_admitted(&self.place, &self.own)?;
        let broker = self.broker.as_mut().context("there is no broker")?;
        broker.reload(users.clone()).await?;
        self.config.users = users;
        Ok(())
    }

    async fn replace(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        // Its directory is let go of before the next one takes it.
        drop(self.broker.take());
        loop {
            match Broker::start(&self.nats_server, self.config.clone()).await {
                Ok(broker) => {
                    self.run.nats_pid = broker.pid();
                    self.broker = Some(broker);
                    self.provision().await?;
                    return self.say_running();
                }
                Err(error) => warn!(%error, "nats-server does not start"),
            }
            tokio::select! {
                () = stop.cancelled() => bail!("stopped while nats-server did not start"),
                () = tokio::time::sleep(RESTART_AFTER) => {}
            }
        }
    }

    /// Stops the broker, and says that nothing runs any more.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(broker) = self.broker.take() {
            broker.stop().await?;
        }
        self.place.say_stopped()
    }
}
