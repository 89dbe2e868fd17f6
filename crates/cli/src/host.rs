//! The broker of a data directory: run with the keys that lie there, provisioned, and replaced when it dies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_broker::{Broker, Config, StartError};
use agent_otp_jetstream::provision::{ProvisionError, Settings, provision};
use agent_otp_jetstream::{Connection, Who};
use anyhow::bail;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::exit;
use crate::place::{BROKER_PORT, Hold, Part, Place, Run};
use crate::setup::{self, Setup};

/// How long a broker that died again at once is left alone.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// How often the broker is asked for its streams; each time takes 2 s if it does not answer.
const PROVISIONS_MAX: u32 = 5;

/// The broker, and what is said of it in `run.json`.
#[derive(Debug)]
pub(crate) struct Host {
    place: Place,
    nats_server: PathBuf,
    config: Config,
    /// None only while a dead broker is being replaced.
    broker: Option<Broker>,
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
        nats_server: PathBuf,
        nats_port: Option<u16>,
        command: &'static str,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        let hold = place.hold(Part::Broker, command)?;
        let Setup { owner, users, creds, is_first } = setup::run(place)?;
        if let Some(pid) = agent_otp_broker::stop_orphan(&place.nats()).await? {
            say(&format!("stopped the nats-server (pid {pid}) that an `{command}` before left behind"));
        }
        let port = nats_port.or(place.ports().get(BROKER_PORT).copied());
        let mut config = Config { dir: place.nats(), port, users };
        let broker = match Broker::start(&nats_server, config.clone()).await {
            Err(StartError::PortTaken { .. }) if nats_port.is_none() => {
                config.port = None;
                Broker::start(&nats_server, config.clone()).await?
            }
            started => started?,
        };
        config.port = Some(broker.port());
        place.remember_ports([(BROKER_PORT.to_owned(), broker.port())])?;
        let run = Run {
            nats_url: broker.url(),
            owner: owner.to_string(),
            sources: BTreeMap::new(),
            creds,
            pid: std::process::id(),
            nats_pid: broker.pid(),
            nats_store: place.nats().join("store"),
        };
        let place = place.clone();
        let host = Self { place, nats_server, config, broker: Some(broker), run, is_first, _hold: hold };
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
        let login = Place::login(&self.run.nats_url, &self.place.operator_user("provision"))?;
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

    /// Keeps a broker running until `stop` is cancelled: one that dies is replaced.
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
            }
        }
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
