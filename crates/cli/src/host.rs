//! The broker of a data directory: run with the keys that lie there, provisioned, and replaced when it dies; or one that
//! somebody else runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_broker::{Broker, Config, ReloadError, StartError, User};
use agent_otp_domain::OwnerId;
use agent_otp_jetstream::nats_user::Changes;
use agent_otp_jetstream::provision::{ProvisionError, Settings, provision};
use agent_otp_jetstream::{ConnectError, Connection, Server, Who};
use anyhow::{Context as _, anyhow, bail};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::listen::{self, Listening};
use crate::nats::Existing;
use crate::place::{BROKER_PORT, Hold, Part, Place, Run};
use crate::server::RunTls;
use crate::setup::{self, Setup};
use crate::{admitted, exit};

/// How long a broker that died again at once is left alone.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// How often the broker is asked for its streams; each time takes 2 s if it does not answer.
const PROVISIONS_MAX: u32 = 5;

/// What an existing server lacks that knows none of our users.
const STRANGER: &str = "this server has to be told of the NATS users of this data directory: put what `agent-otp nats \
     permissions` prints into its configuration and reload it, or name credentials with --creds";

/// Which broker.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    /// One that is run here.
    Own(Own),
    /// One that is there.
    Existing(Existing),
}

/// How the broker is to run.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) nats_server: PathBuf,
    pub(crate) nats_port: Option<u16>,
    pub(crate) listening: Listening,
}

/// The broker, and what is said of it in `run.json`.
#[derive(Debug)]
pub(crate) struct Host {
    place: Place,
    /// None if somebody else runs the broker.
    running: Option<Running>,
    changes: Changes,
    /// How the streams are kept.
    pub(crate) settings: Settings,
    pub(crate) run: Run,
    pub(crate) is_first: bool,
    _hold: Hold,
}

/// A broker that is run here.
#[derive(Debug)]
struct Running {
    nats_server: PathBuf,
    config: Config,
    /// The users of this machine; the others stand in a directory.
    own: Vec<User>,
    /// None only while a dead broker is being replaced.
    broker: Option<Broker>,
}

impl Host {
    /// Makes the keys that are missing, and starts and provisions the broker; `command` is what was typed.
    ///
    /// Nobody is told yet: see [`Host::say_running`].
    pub(crate) async fn start(
        place: &Place,
        which: Which,
        command: &'static str,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        let hold = place.hold(Part::Broker, command)?;
        let Setup { owner, users, creds, is_first } = setup::run(place)?;
        tidy(place, &owner, command, say).await?;
        let changes = place.nats_users().changes().context("cannot listen for changes of the NATS users")?;
        let (running, settings, run) = match which {
            Which::Own(own) => {
                let public = own.listening.clone();
                let running = Running::start(place, own, users).await?;
                let broker = running.broker()?;
                let server = listen::server(broker.url(), &running.config.listen);
                let run = Run {
                    nats_public_url: public.public_url(broker.port()),
                    nats_pid: Some(broker.pid()),
                    nats_store: Some(place.nats().join("store")),
                    ..run(&owner, &server, creds)
                };
                (Some(running), Settings::default(), run)
            }
            Which::Existing(existing) => {
                (None, existing.settings, run(&owner, &existing.server, existing.files(creds)?))
            }
        };
        let host = Self { place: place.clone(), running, changes, settings, run, is_first, _hold: hold };
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
        let (connection, patience) = self.provisioner().await?;
        let mut tries = 1;
        loop {
            match provision(&connection, self.settings).await {
                Err(error @ ProvisionError::Refused { .. }) if tries < patience => {
                    warn!(error = exit::chain(&error.into()), "asking the broker again");
                    tries += 1;
                }
                Err(error @ ProvisionError::Refused { .. }) if self.running.is_none() => {
                    return Err(error).context(
                        "not every stream of Agent OTP is on this server, and this NATS user may not make it: have \
                         `agent-otp-relay provision` run by one who may, or admit the user `provision`",
                    );
                }
                provisioned => return Ok(provisioned.map(drop)?),
            }
        }
    }

    /// Who makes the streams, and how often it is worth to try. An existing server may have no user for that: then the
    /// relay's sees whether all is there.
    async fn provisioner(&self) -> anyhow::Result<(Connection, u32)> {
        let access = self.run.access(&self.place)?;
        if self.run.creds.contains_key("provision") {
            match Connection::open(&access.operator("provision")?, &Who::Operator("provision")).await {
                Err(ConnectError::NotAdmitted { .. }) if self.running.is_none() => {}
                opened => return Ok((opened?, PROVISIONS_MAX)),
            }
        }
        let opened = Connection::open(&access.operator("relay")?, &Who::Operator("relay")).await;
        let is_stranger = matches!(opened, Err(ConnectError::NotAdmitted { .. }));
        let opened = opened.map_err(|error| {
            let error = anyhow!(error);
            if is_stranger { error.context(STRANGER) } else { error }
        });
        Ok((opened?, 1))
    }

    /// Keeps a broker running until `stop` is cancelled: one that dies is replaced, and whoever says that its users have
    /// changed is answered once it has taken them.
    pub(crate) async fn keep(
        &mut self,
        stop: &CancellationToken,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                died = Running::died(self.running.as_mut()) => {
                    let how = died?;
                    self.start_again(&how, stop, say).await?;
                }
                change = self.changes.next() => {
                    let change = change.context("cannot hear of changes of the NATS users")?;
                    let taken = match self.admit().await {
                        // It ended just then: the next one is started with the users as they stand.
                        Err(error) if error.downcast_ref().is_some_and(|error| matches!(error, ReloadError::Ended)) => {
                            self.start_again("while its users changed", stop, say).await?;
                            Ok(())
                        }
                        taken => taken.map_err(|error| exit::chain(&error)),
                    };
                    change.answer(taken).await;
                }
            }
        }
        Ok(())
    }

    async fn start_again(
        &mut self,
        how: &str,
        stop: &CancellationToken,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        say(&format!("nats-server has died ({how}); it is started again"));
        if let Some(pid) = self.replace(stop).await {
            self.say_running()?;
            say(&format!("nats-server runs again as pid {pid}"));
        }
        Ok(())
    }

    /// Has the broker take its users as they stand: those who were added may connect, those who were removed are cut off.
    async fn admit(&mut self) -> anyhow::Result<()> {
        let Some(running) = &mut self.running else {
            bail!(
                "this NATS server is not run by Agent OTP: its administrator admits and removes users, as `agent-otp \
                 nats permissions` prints them"
            )
        };
        let users = setup::with_admitted(&self.place, &running.own)?;
        let reloaded = running.broker.as_mut().context("there is no broker")?.reload(users.clone()).await;
        if matches!(reloaded, Ok(()) | Err(ReloadError::Ended)) {
            running.config.users = users;
        }
        Ok(reloaded?)
    }

    /// Starts brokers until one stays that is provisioned, and says which process it is; none if it is told to stop before.
    async fn replace(&mut self, stop: &CancellationToken) -> Option<u32> {
        loop {
            match stop.run_until_cancelled(self.start_next()).await? {
                Ok(pid) => return Some(pid),
                Err(error) => warn!(error = exit::chain(&error), "nats-server does not start"),
            }
            stop.run_until_cancelled(tokio::time::sleep(RESTART_AFTER)).await?;
        }
    }

    async fn start_next(&mut self) -> anyhow::Result<u32> {
        let running = self.running.as_mut().context("there is no broker")?;
        // Its directory is let go of before the next one takes it.
        drop(running.broker.take());
        let mut broker = Broker::start(&running.nats_server, running.config.clone()).await?;
        tokio::select! {
            provisioned = self.provision() => provisioned?,
            exited = broker.exited() => bail!("it has died before it was provisioned ({})", exited?),
        }
        let pid = broker.pid();
        self.run.nats_pid = Some(pid);
        self.running.as_mut().context("there is no broker")?.broker = Some(broker);
        Ok(pid)
    }

    /// Stops the broker, and says that nothing runs any more.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let stopped = match self.running.and_then(|running| running.broker) {
            Some(broker) => broker.stop().await,
            None => Ok(()),
        };
        let said = self.place.say_stopped();
        stopped?;
        said
    }
}

/// Ends what an earlier program left behind.
async fn tidy(
    place: &Place,
    owner: &OwnerId,
    command: &str,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    if let Some(pid) = agent_otp_broker::stop_orphan(&place.nats()).await? {
        say(&format!("stopped the nats-server (pid {pid}) that an `{command}` before left behind"));
    }
    if let Ok(_hold) = place.hold(Part::Enrol, command) {
        admitted::sweep(place, owner)?;
    }
    Ok(())
}

/// What is said of any broker.
fn run(owner: &OwnerId, server: &Server, creds: BTreeMap<String, PathBuf>) -> Run {
    Run {
        nats_url: server.url.clone(),
        nats_tls: RunTls::of(server),
        nats_public_url: None,
        owner: owner.to_string(),
        sources: BTreeMap::new(),
        creds,
        pid: std::process::id(),
        nats_pid: None,
        nats_store: None,
    }
}

impl Running {
    async fn start(place: &Place, asked: Own, own: Vec<User>) -> anyhow::Result<Self> {
        let Own { nats_server, nats_port, listening } = asked;
        let asked = listening.port().or(nats_port);
        let port = asked.or(place.ports().get(BROKER_PORT).copied());
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
        Ok(Self { nats_server, config, own, broker: Some(broker) })
    }

    fn broker(&self) -> anyhow::Result<&Broker> {
        self.broker.as_ref().context("there is no broker")
    }

    /// Waits until the broker dies, and says how; for ever if somebody else runs it.
    async fn died(running: Option<&mut Self>) -> anyhow::Result<String> {
        let Some(running) = running else { return std::future::pending().await };
        let broker = running.broker.as_mut().context("there is no broker")?;
        let exited = broker.exited().await;
        Ok(exited.map_or_else(|error| error.to_string(), |status| status.to_string()))
    }
}
