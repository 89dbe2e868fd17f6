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

/// Where a request is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// In this relay's memory, if it is there.
    Memory,
    /// In the log: what memory says was found to be old.
    Log,
}

/// What a command came to.
pub(crate) struct Decided {
    /// The request afterwards.
    pub(crate) state: State,
    /// How many events it has.
    pub(crate) version: Version,
    /// When the last of them was decided, by the clock of the relay that did.
    pub(crate) changed_at: Timestamp,
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
        mut look: Look,
    ) -> Result<Considered, Undecided> {
        for _ in 0..DECISIONS_MAX {
            let recalled = match look {
                Look::Memory => self.recall(key, command),
                Look::Log => None,
            };
            let loaded = match recalled {
                Some(loaded) => loaded,
                None => self.log.load(key).await.map_err(AppendError::from)?,
            };
            let now = clock::now();
            let decided = loaded.state().decide(command, now);
            // An append fails if this is not so any more. Where none follows, memory or a replica may be behind, and
            // only the leader's word is a reason to leave it at that.
            if matches!(decided, Ok(Some(_)))
                || self.log.is_current(key, loaded.last()).await.map_err(AppendError::from)?
            {
                self.recent.remember(key, &loaded);
                return match decided {
                    Ok(event) => Ok(Considered { loaded, event, now }),
                    Err(rejection) => Err(Undecided::Rejected(rejection)),
                };
            }
            look = Look::Log;
        }
        Err(AppendError::Conflict { expected: 0 }.into())
    }

    /// What this relay remembers. That nobody has asked under a new id is taken for granted, as it nearly always is so.
    fn recall(&self, key: &RequestKey, command: &Command) -> Option<Loaded> {
        let is_new = matches!(command, Command::Request { .. });
        self.recent.recall(key).or_else(|| is_new.then(Loaded::default))
    }

    /// Appends what a command changes.
    pub(crate) async fn decide(
        &self,
        key: &RequestKey,
        command: &Command,
        actor: &Actor,
    ) -> Result<Decided, Undecided> {
        let mut conflict = AppendError::Conflict { expected: 0 };
        let mut look = Look::Memory;
        for _ in 0..DECISIONS_MAX {
            let Considered { loaded, event, now } = self.consider(key, command, look).await?;
            let (state, version) = (loaded.state(), loaded.version());
            let Some(event) = event else {
                return Ok(Decided { state, version, changed_at: loaded.changed_at() });
            };
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
                Ok(appended) => {
                    info!(request = %key, event = %recorded.event.kind(), version = recorded.version.0, "appended");
                    let (state, version) = (state.evolve(&recorded.event), recorded.version);
                    self.recent.remember(key, &loaded.then(recorded, appended));
                    return Ok(Decided { state, version, changed_at: now });
                }
                Err(error @ AppendError::Conflict { .. }) => {
                    (conflict, look) = (error, Look::Log);
                }
                Err(error @ AppendError::Store(_)) => {
                    self.recent.forget(key);
                    return Err(error.into());
                }
            }
        }
        Err(conflict.into())
    }
}
