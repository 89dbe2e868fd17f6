//! One party each of what `up` runs together: relay, user's side, audit trail. Each needs a broker that is provisioned.

use std::time::Duration;

use agent_otp_audit::Projector;
use agent_otp_domain::{MemberId, Role};
use agent_otp_jetstream::provision::Settings;
use agent_otp_jetstream::{Connection, Login, Member, Who};
use agent_otp_relay::Relay;
use agent_otp_trust::VerifiedRequest;
use agent_otp_user::source::{Source, Told};
use agent_otp_user::{Approver, Capturer, Intake, Notices, Owner};
use anyhow::{Context as _, anyhow, bail};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::access::Access;
use crate::args::MailProof;
use crate::place::{Hold, Part, Place};
use crate::setup;
use crate::sources::{self, SourcePorts};

/// How long a party has to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long the parties have to end what is under way.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Parties that run in this process, and are stopped together.
#[derive(Debug)]
pub(crate) struct Parties {
    place: Place,
    access: Access,
    /// What was typed: said to whoever finds a part of the data directory held.
    command: &'static str,
    tasks: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    holds: Vec<Hold>,
}

/// What is heard of a capturer that runs.
#[derive(Debug)]
pub(crate) struct Capturing {
    /// What each source says of itself.
    pub(crate) told: Vec<Told>,
    /// The requests that wait for the user, as they come.
    pub(crate) asked: mpsc::Receiver<VerifiedRequest>,
}

impl Parties {
    /// None yet, on that broker.
    pub(crate) fn new(place: &Place, access: Access, command: &'static str) -> Self {
        Self {
            place: place.clone(),
            access,
            command,
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
            holds: Vec::new(),
        }
    }

    /// Starts a relay, and returns when it answers. It holds nothing: any number of them serve side by side.
    pub(crate) async fn relay(&mut self, settings: Settings) -> anyhow::Result<()> {
        let login = self.access.operator("relay")?;
        let relay = Relay::new(Connection::open(&login, &Who::Operator("relay")).await?, settings);
        let (ready, answers) = oneshot::channel();
        let stop = self.stop.clone();
        self.tasks
            .spawn(async move { relay.serve(stop, || tell(ready)).await.context("the relay has stopped") });
        self.ready(answers, "the relay does not answer; is the broker provisioned?").await
    }

    /// Starts the user's side: the owner's roster, the capturer and its sources. Returns when a relay has the roster.
    pub(crate) async fn user(
        &mut self,
        owner: Owner,
        ports: &SourcePorts,
        mail: &MailProof,
    ) -> anyhow::Result<Capturing> {
        self.holds.push(self.place.hold(Part::User, self.command)?);
        let sources = self.bind(ports).await?;
        let local = setup::local()?;
        let login = self.login(Role::Approver, &local)?;
        let home = self.place.member(Role::Approver, &local);
        let approver = Approver::connect(&login, home, local.clone()).await?;
        let bus = approver.bus().clone();
        let (ready, roster_taken) = oneshot::channel();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let fresh = owner.keep_fresh(&bus, stop, || tell(ready)).await;
            fresh.context("the roster cannot be renewed")
        });
        self.ready(roster_taken, "no relay takes the roster; start one with `agent-otp serve relay`").await?;
        self.capture(sources, &local, mail).await
    }

    /// Starts a capturer and its sources alone, without any key of the owner.
    pub(crate) async fn capturer(
        &mut self,
        name: &MemberId,
        ports: &SourcePorts,
        mail: &MailProof,
    ) -> anyhow::Result<Capturing> {
        self.holds.push(self.place.hold(Part::User, self.command)?);
        let sources = self.bind(ports).await?;
        self.capture(sources, name, mail).await
    }

    /// Binds every source, and keeps the ports for the next time.
    async fn bind(&self, ports: &SourcePorts) -> anyhow::Result<Vec<Box<dyn Source>>> {
        let mut sources = sources::bind(ports, &self.place.ports(), &self.place.sources()).await?;
        let port = |source: &dyn Source| Some((source.name().to_owned(), source.local_addr()?.port()));
        self.place.remember_ports(sources.iter().filter_map(|source| port(&**source)))?;
        sources.extend(sources::open(&self.place.source_config()).await?);
        Ok(sources)
    }

    async fn capture(
        &mut self,
        sources: Vec<Box<dyn Source>>,
        name: &MemberId,
        mail: &MailProof,
    ) -> anyhow::Result<Capturing> {
        let told = sources.iter().map(|source| source.told()).collect();
        let login = self.login(Role::Capturer, name)?;
        let notices = Notices::open(self.place.notices());
        let home = self.place.member(Role::Capturer, name);
        let mut capturer = Capturer::connect(&login, home, name.clone(), notices).await?;
        let asked = capturer.asked();
        let (intake, messages) = Intake::new(mail.unverified(), mail.authenticator()?);
        let intake = intake.while_open(capturer.open_until());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            capturer.run(messages, stop).await;
            Ok(())
        });
        for source in sources {
            let (name, running) = (source.name(), source.run(intake.clone(), self.stop.clone()));
            self.tasks.spawn(async move {
                running.await.with_context(|| format!("the source {name} has stopped"))
            });
        }
        Ok(Capturing { told, asked })
    }

    /// Starts the audit trail of an auditor.
    pub(crate) async fn audit(&mut self, name: MemberId) -> anyhow::Result<()> {
        self.holds.push(self.place.hold(Part::Audit, self.command)?);
        let login = self.login(Role::Auditor, &name)?;
        let pin = self.place.member(Role::Auditor, &name).pin()?;
        let auditor = Member::connect(&login, Role::Auditor, name, pin.owner_key.clone(), pin.roster).await?;
        let projector = Projector::open(&self.place.audit(), auditor.bus, pin.owner_key).await?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            projector.run(stop).await;
            Ok(())
        });
        Ok(())
    }

    /// How a member of this data directory logs in at the broker of these parties.
    fn login(&self, role: Role, name: &MemberId) -> anyhow::Result<Login> {
        self.access.member(role, name)
    }

    /// Waits until a party says that it is ready; one that ends instead says why, and of one that is late it is said.
    async fn ready(&mut self, told: oneshot::Receiver<()>, otherwise: &'static str) -> anyhow::Result<()> {
        tokio::select! {
            told = told => if told.is_ok() { return Ok(()) },
            () = tokio::time::sleep(READY_WITHIN) => bail!("after {READY_WITHIN:?}, {otherwise}"),
        }
        Err(self.ended().await)
    }

    /// Waits until one of them ends, which none does by itself, and says why.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => anyhow::Error::new(error).context("a party has broken down"),
            Some(Ok(Ok(()))) | None => anyhow!("a party has ended"),
        }
    }

    /// Lets them end what is under way, and ends them if they do not.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            warn!("a party does not end, and is ended");
            self.tasks.shutdown().await;
        }
    }
}

pub(crate) fn tell(ready: oneshot::Sender<()>) {
    if ready.send(()).is_err() {
        warn!("nobody waits for this party any more");
    }
}
