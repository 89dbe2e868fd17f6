//! Everything on one machine: broker, relay, user's side and audit trail, started in order and stopped together.

use agent_otp_trust::VerifiedRequest;
use agent_otp_user::source::Told;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::MailProof;
use crate::host::{Host, Which};
use crate::party::{Capturing, Parties};
use crate::place::Place;
use crate::setup;
use crate::sources::SourcePorts;

/// Which NATS user keeps the trail. It reads what happens to every owner of its broker, and an existing server may have
/// reasons not to give it away.
const AUDITOR: &str = "auditor:local";

/// How the stack is to run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) broker: Which,
    pub(crate) source_ports: SourcePorts,
    pub(crate) mail: MailProof,
    /// What was typed.
    pub(crate) command: &'static str,
}

/// A running stack.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) host: Host,
    parties: Parties,
    /// Of its own, because it ends last, so that it holds everything.
    trail: Parties,
    /// What each source says of itself.
    pub(crate) told: Vec<Told>,
    /// The requests that wait for the user, as they come, for whoever takes this.
    pub(crate) asked: Option<mpsc::Receiver<VerifiedRequest>>,
}

impl Stack {
    /// Starts everything, and returns when everything answers.
    pub(crate) async fn start(
        place: &Place,
        options: Options,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        let Options { broker, source_ports, mail, command } = options;
        let host = Host::start(place, broker, command, say).await?;
        let access = host.run.access(place)?;
        let parties = Parties::new(place, access.clone(), command);
        let trail = Parties::new(place, access, command);
        let mut stack = Self { host, parties, trail, told: Vec::new(), asked: None };
        let started = stack.start_parties(place, &source_ports, &mail, say).await;
        let Err(error) = started else { return Ok(stack) };
        // The reason for which it did not start is what the caller is told.
        stack.stop().await.ok();
        Err(error)
    }

    async fn start_parties(
        &mut self,
        place: &Place,
        source_ports: &SourcePorts,
        mail: &MailProof,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        self.parties.relay(self.host.settings).await?;
        let owner = setup::owner_of(place)?;
        let Capturing { told, asked } = self.parties.user(owner, source_ports, mail).await?;
        (self.told, self.asked) = (told, Some(asked));
        self.host.run.sources = self.told.iter().flat_map(|told| told.entries.clone()).collect();
        if self.host.run.creds.contains_key(AUDITOR) {
            self.trail.audit(setup::local()?).await?;
        } else {
            say("there is no NATS user for the auditor, and so there is no trail of what happens");
        }
        self.host.say_running()
    }

    /// Runs until `stop` is cancelled; replaces a broker that dies. A party that ends is an error.
    pub(crate) async fn serve(
        &mut self,
        stop: &CancellationToken,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        tokio::select! {
            kept = self.host.keep(stop, say) => kept,
            error = self.parties.ended() => Err(error),
            error = self.trail.ended() => Err(error),
        }
    }

    /// Stops everything: parties first, so that what is under way is still stored; then the broker.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.parties.stop().await;
        self.trail.stop().await;
        self.host.stop().await
    }
}
