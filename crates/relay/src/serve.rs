//! The relay as a whole: what it holds, what it answers, and when it stops.

use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{Actor, MemberId, OwnerId, Role, Version};
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply};
use agent_otp_jetstream::provision::Settings;
use agent_otp_jetstream::{
    Connection, Incoming, Log, Place, Replay, Rosters, Service, StoreError, Timers, Vault, Verb,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::admission::Admission;
use crate::damaged::Damaged;
use crate::grace::Grace;
use crate::owners::Owners;
use crate::recent::Recent;
use crate::refusal::Refusal;

/// How many commands are under way at once; more wait in the subscription.
const COMMANDS_MAX: usize = 256;

/// Within what time of its claim a code still finds its asker, which asks again after 2 s.
pub(crate) const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// A relay. It holds no state of its own, so any number of them may run side by side.
#[derive(Debug)]
pub struct Relay {
    pub(crate) connection: Connection,
    pub(crate) settings: Settings,
    pub(crate) log: Log,
    pub(crate) replay: Replay,
    pub(crate) vault: Vault,
    pub(crate) timers: Timers,
    pub(crate) rosters: Rosters,
    pub(crate) admission: Admission,
    pub(crate) recent: Recent,
    pub(crate) damaged: Damaged,
    pub(crate) grace: Grace,
    /// Whom it serves; everybody whom the broker admits, without a list.
    owners: Option<Owners>,
}

/// Who asks, as NATS's permissions prove it.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) owner: OwnerId,
    pub(crate) role: Role,
    pub(crate) member: MemberId,
}

impl Caller {
    pub(crate) fn actor(&self) -> Actor {
        Actor { role: self.role, member: self.member.clone() }
    }
}

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The service could not be registered.
    #[error("the relay cannot register its service")]
    Register(#[from] StoreError),
    /// The connection was closed for good.
    #[error("the connection to the broker was closed")]
    Closed,
}

impl Relay {
    /// A relay on a connection whose NATS user is the relay's.
    #[must_use]
    pub fn new(connection: Connection, settings: Settings) -> Self {
        let rosters = Rosters::new(connection.clone());
        Self {
            log: Log::new(connection.clone()),
            vault: Vault::new(connection.clone()),
            timers: Timers::new(connection.clone()),
            replay: Replay::new(connection.clone()),
            admission: Admission::new(rosters.clone()),
            recent: Recent::default(),
            damaged: Damaged::default(),
            grace: Grace::default(),
            rosters,
            connection,
            settings,
            owners: None,
        }
    }

    /// The same, for the owners on a list and nobody else. What others have begun before still ends, and is erased.
    #[must_use]
    pub fn for_owners(self, owners: Owners) -> Self {
        Self { owners: Some(owners), ..self }
    }

    /// Serves until `stop` is cancelled; what is under way is answered first. `ready` is told when it answers.
    ///
    /// # Errors
    ///
    /// [`ServeError`] if the service cannot be registered, or the connection is closed for good.
    pub async fn serve(self, stop: CancellationToken, ready: impl FnOnce()) -> Result<(), ServeError> {
        let relay = Arc::new(self);
        let mut service = Service::start(&relay.connection).await?;
        relay.connection.flush().await;
        ready();
        let mut work = JoinSet::new();
        let (deadlines, ends, vault, timers) = (relay.clone(), relay.clone(), relay.clone(), relay.clone());
        work.spawn(async move { deadlines.watch_deadlines().await });
        work.spawn(async move { ends.watch_ends().await });
        work.spawn(async move { vault.watch_vault().await });
        work.spawn(async move { timers.watch_timers().await });

        let places = Arc::new(Semaphore::new(COMMANDS_MAX));
        let mut commands = JoinSet::new();
        loop {
            let incoming = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = commands.join_next() => {
                    if let Err(error) = ended {
                        error!(%error, "a command broke down, and nobody was answered");
                    }
                    continue;
                }
                incoming = service.next() => incoming.ok_or(ServeError::Closed)?,
            };
            let Ok(place) = places.clone().acquire_owned().await else { break };
            let relay = relay.clone();
            commands.spawn(async move {
                relay.answer(incoming).await;
                drop(place);
            });
        }
        service.stop().await;
        while commands.join_next().await.is_some() {}
        work.shutdown().await;
        relay.connection.flush().await;
        Ok(())
    }

    async fn answer(&self, incoming: Incoming) {
        let caller =
            Caller { owner: incoming.owner.clone(), role: incoming.role, member: incoming.member.clone() };
        let answered = self.reply(&caller, &incoming).await;
        let Answered { reply, released } = answered.unwrap_or_else(|refusal| Reply::from(refusal).into());
        debug!(verb = incoming.verb.as_str(), role = %caller.role, member = %caller.member, reply = kind(&reply), "answered");
        incoming.answer(&reply).await;
        let lost = self.connection.lost_at().map(|lost_at| lost_at.elapsed());
        if let Some(Released { place, .. }) = released.filter(|released| is_heard(released.claimed_ago, lost))
        {
            // Behind the answer on the same connection. The follower of the log erases whatever this leaves, and does it
            // where the answer may have found nobody: the agent asks again, and must still find the sealed code.
            if let Err(error) = self.vault.erase_at(place).await {
                debug!(%error, "erasure is left to the follower");
            }
        }
    }

    /// What is asked, if it can be read, and this member may ask it here.
    fn ask<'a>(&self, caller: &Caller, incoming: &'a Incoming) -> Result<&'a Ask, Refusal> {
        if self.owners.as_ref().is_some_and(|owners| !owners.serve(&caller.owner)) {
            let message = format!(
                "this relay does not serve the owner {}; whoever runs it adds an owner with `agent-otp-relay owner add`",
                caller.owner
            );
            return Err(Refusal::new(RefusalCode::Forbidden, message));
        }
        let malformed = |message: String| Refusal::new(RefusalCode::Malformed, message);
        let ask = incoming
            .ask
            .as_ref()
            .map_err(|error| malformed(format!("the command cannot be read: {error}")))?;
        if ask.verb() != incoming.verb {
            return Err(malformed("the body says another verb than the subject".to_owned()));
        }
        if !Verb::of(caller.role).contains(&incoming.verb) {
            return Err(Refusal::new(RefusalCode::Forbidden, "this is not for your role to ask"));
        }
        Ok(ask)
    }

    async fn reply(&self, caller: &Caller, incoming: &Incoming) -> Result<Answered, Refusal> {
        let reply = match self.ask(caller, incoming)?.clone() {
            Ask::Request { statement } => self.request(caller, statement).await?,
            Ask::Approve { statement } => self.approve(caller, statement).await?,
            Ask::Deny { statement } => self.deny(caller, statement).await?,
            Ask::Capture { statement, sealed } => self.capture(caller, statement, sealed.0).await?,
            Ask::Consume { statement, nonce } => return self.consume(caller, statement, nonce).await,
            Ask::Cancel { statement } => self.cancel(caller, statement).await?,
            Ask::Get { agent, request } => self.get(caller, agent, request).await?,
            Ask::Open { from } => self.open(caller, from).await?,
            Ask::Roster { number } => self.roster(caller, number).await?,
            Ask::Enrol { statement } => {
                let number = self.admission.enrol(&caller.owner, &statement).await?;
                Reply::Done { phase: "enrolled".to_owned(), version: Version(number) }
            }
        };
        Ok(reply.into())
    }
}

/// A reply, and the sealed code that it releases.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) released: Option<Released>,
}

/// A sealed code that is to be erased once the answer has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Released {
    /// Where it lies.
    pub(crate) place: Place,
    /// How long ago it was claimed, at most; none if that cannot be told.
    pub(crate) claimed_ago: Option<Duration>,
}

impl From<Reply> for Answered {
    fn from(reply: Reply) -> Self {
        Self { reply, released: None }
    }
}

/// Whether the answer to a claim has found its asker for sure, now that it has left. `lost` is how long ago the broker was
/// last gone: if it was there ever since the claim was made, the claim came on this connection, which alone may answer it,
/// and the vault is the one that was read.
fn is_heard(claimed_ago: Option<Duration>, lost: Option<Duration>) -> bool {
    claimed_ago.is_some_and(|ago| ago < HEARD_WITHIN) && lost.is_none_or(|lost| lost >= HEARD_WITHIN)
}

fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::Done { .. } => "done",
        Reply::Code { .. } => "code",
        Reply::Events { .. } => "events",
        Reply::Open { .. } => "open",
        Reply::Roster { .. } => "roster",
        Reply::Refused { .. } => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_erased_at_once_only_if_nobody_can_have_missed_the_answer() {
        let soon = HEARD_WITHIN.saturating_sub(Duration::from_millis(1));
        let table = [
            ("prompt, and the broker was always there", Some(soon), None, true),
            ("prompt, and the broker was gone before the claim", Some(soon), Some(HEARD_WITHIN), true),
            ("the broker was gone since", Some(soon), Some(soon), false),
            ("the claim may have waited on its way", Some(HEARD_WITHIN), None, false),
            ("the capture is dated by another clock", None, None, false),
        ];
        for (what, claimed_ago, lost, expected) in table {
            assert_eq!(is_heard(claimed_ago, lost), expected, "{what}");
        }
    }
}
