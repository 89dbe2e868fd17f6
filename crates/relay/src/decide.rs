//! The shell around the rules: read, replay, decide, append at the version that was read; from the top on a conflict.

use agent_otp_domain::{
    Actor, Command, Event, EventType, Recorded, Rejection, RequestKey, State, Timestamp, Version,
};
use agent_otp_jetstream::message::Reply;
use agent_otp_jetstream::{AppendError, Loaded, clock};
use tracing::info;

use crate::serve::Relay;

/// How often a command is decided again after a conflict. Each conflict means that somebody else made progress, and a
/// request has at most four events.
const DECISIONS_MAX: usize = 16;

/// What a command would change.
pub(crate) struct Considered {
    /// The request as it is stored.
    pub(crate) loaded: Loaded,
    /// The event; none if the command's effect is already there.
    pub(crate) event: Option<Event>,
    /// When this was so.
    pub(crate) now: Timestamp,
}

/// What a command came to.
pub(crate) struct Decided {
    /// The request afterwards.
    pub(crate) state: State,
    /// How many events it has.
    pub(crate) version: Version,
}

/// Why a command came to nothing.
pub(crate) enum Undecided {
    /// The rules do not allow it.
    Rejected(Rejection),
    /// The store did not answer, or others were always first.
    Failed(AppendError),
}

impl From<AppendError> for Undecided {
    fn from(error: AppendError) -> Self {
        Self::Failed(error)
    }
}

impl Decided {
    pub(crate) fn reply(&self) -> Reply {
        let phase = self.state.phase().map_or("absent", EventType::as_str);
        Reply::Done { phase: phase.to_owned(), version: self.version }
    }
}

impl Relay {
    /// Finds out what a command would change, and changes nothing.
    pub(crate) async fn consider(
        &self,
        key: &RequestKey,
        command: &Command,
    ) -> Result<Considered, Undecided> {
        for _ in 0..DECISIONS_MAX {
            let loaded = self.log.load(key).await.map_err(AppendError::from)?;
            let now = clock::now();
            let rejection = match loaded.state().decide(command, now) {
                Ok(event) => return Ok(Considered { loaded, event, now }),
                Err(rejection) => rejection,
            };
            // A replica may be behind: only the leader's word is a reason to refuse.
            if self.log.is_current(key, loaded.last()).await.map_err(AppendError::from)? {
                return Err(Undecided::Rejected(rejection));
            }
        }
        Err(AppendError::Conflict { expected: 0 }.into())
    }

    /// Appends what a command changes.
    pub(crate) async fn decide(
        &self,
        key: &RequestKey,
        command: &Command,
        actor: &Actor,
    ) -> Result<Decided, Undecided> {
        let mut conflict = AppendError::Conflict { expected: 0 };
        for _ in 0..DECISIONS_MAX {
            let Considered { loaded, event, now } = self.consider(key, command).await?;
            let (state, version) = (loaded.state(), loaded.version());
            let Some(event) = event else { return Ok(Decided { state, version }) };
            let recorded = Recorded {
                id: clock::event_id(),
                owner: key.owner.clone(),
                agent: key.agent.clone(),
                request: key.request,
                version: version.next(),
                time: now,
                actor: actor.clone(),
                event,
            };
            match self.log.append(loaded.last(), &recorded).await {
                Ok(_) => {
                    info!(request = %key, event = %recorded.event.kind(), version = recorded.version.0, "appended");
                    return Ok(Decided { state: state.evolve(&recorded.event), version: recorded.version });
                }
                Err(error @ AppendError::Conflict { .. }) => conflict = error,
                Err(error @ AppendError::Store(_)) => return Err(error.into()),
            }
        }
        Err(conflict.into())
    }
}
