//! Commands: read, replay, decide, append at the version that was read, reply; from the top on a conflict.

use agent_otp_domain::{
    Actor, Command, Digest, Event, EventType, Open, Recorded, Rejection, RequestKey, Role, SealedCode,
    SignedStatement, State, Version, codec,
};
use agent_otp_jetstream::message::{RefusalCode, Reply, Sealed};
use agent_otp_jetstream::{AppendError, Loaded, clock};
use agent_otp_trust::{
    Cancel, Capture, Consume, Decision, Heading, Nonce, Request, Statement, Untrusted, Verdict,
};
use tracing::{info, warn};

use crate::refusal::Refusal;
use crate::serve::{Answered, Caller, Relay};

/// How often a command is decided again after a conflict. Each conflict means that somebody else made progress, and a
/// request has at most five events.
const DECISIONS_MAX: usize = 16;
/// How much longer than its request a sealed code may stay, so that a claim at the last moment is still answered.
const VAULT_GRACE: std::time::Duration = std::time::Duration::from_secs(30);
/// The largest sealed code: a link, 32 bytes of `enc` and a tag of 16.
const SEALED_BYTES_MAX: usize = 2_096;

/// What a command came to.
pub(crate) struct Decided {
    /// The request afterwards.
    pub(crate) state: State,
    /// How many events it has.
    pub(crate) version: Version,
}

impl Decided {
    fn reply(&self) -> Reply {
        let phase = self.state.phase().map_or("absent", EventType::as_str);
        Reply::Done { phase: phase.to_owned(), version: self.version }
    }
}

impl Relay {
    pub(crate) async fn request(
        &self,
        caller: &Caller,
        statement: SignedStatement,
    ) -> Result<Reply, Refusal> {
        let request: Request = self.verified(caller, &statement).await?;
        let key = request.heading.key();
        let command =
            Command::Request { statement, made_at: request.heading.made_at, expires_at: request.expires_at };
        // Armed before the event, so that no request is ever without its timer; an orphan finds nothing to expire.
        if self
            .log
            .load(&key)
            .await?
            .state()
            .decide(&command, clock::now())
            .is_ok_and(|event| event.is_some())
        {
            self.timers.arm(&key, request.expires_at).await?;
        }
        Ok(self.decide(&key, &command, &caller.actor()).await?.reply())
    }

    pub(crate) async fn approve(
        &self,
        caller: &Caller,
        statement: SignedStatement,
    ) -> Result<Reply, Refusal> {
        let decision: Decision = self.verified(caller, &statement).await?;
        let key = decision.heading.key();
        let Verdict::Approve { capturers, .. } = &decision.verdict else {
            return Err(Refusal::new(RefusalCode::Mismatch, "this decision does not approve"));
        };
        self.binds(&key, &decision).await?;
        let command = Command::Approve {
            statement,
            request: decision.request,
            expires_at: decision.expires_at,
            capturers: capturers.clone(),
        };
        Ok(self.decide(&key, &command, &caller.actor()).await?.reply())
    }

    pub(crate) async fn deny(&self, caller: &Caller, statement: SignedStatement) -> Result<Reply, Refusal> {
        let decision: Decision = self.verified(caller, &statement).await?;
        if decision.verdict != (Verdict::Deny {}) {
            return Err(Refusal::new(RefusalCode::Mismatch, "this decision does not deny"));
        }
        let command = Command::Deny { statement, request: decision.request };
        Ok(self.decide(&decision.heading.key(), &command, &caller.actor()).await?.reply())
    }

    pub(crate) async fn cancel(&self, caller: &Caller, statement: SignedStatement) -> Result<Reply, Refusal> {
        let cancel: Cancel = self.verified(caller, &statement).await?;
        let command = Command::Cancel { statement, request: cancel.request };
        Ok(self.decide(&cancel.heading.key(), &command, &caller.actor()).await?.reply())
    }

    /// Vault first, then event: an event without its ciphertext would be a promise that cannot be kept.
    pub(crate) async fn capture(
        &self,
        caller: &Caller,
        statement: SignedStatement,
        sealed: SealedCode,
    ) -> Result<Reply, Refusal> {
        let capture: Capture = self.verified(caller, &statement).await?;
        let key = capture.heading.key();
        let digest = capture.sealed;
        if sealed.as_bytes().len() > SEALED_BYTES_MAX || Digest::of(&[sealed.as_bytes()]) != digest {
            return Err(Refusal::new(
                RefusalCode::Mismatch,
                "the sealed code is not the one that the statement names",
            ));
        }
        let loaded = self.log.load(&key).await?;
        let state = loaded.state();
        let asked = state.progress().ok_or(Rejection::Unknown)?.asked();
        if asked.digest != capture.request {
            return Err(Rejection::Mismatch { what: EventType::Requested }.into());
        }
        let now = clock::now();
        let command = Command::Capture { statement, decision: capture.decision, sealed: digest };
        if state.decide(&command, now).is_err() {
            // Refused: say so from a fresh read, and put nothing into the vault.
            return Ok(self.decide(&key, &command, &caller.actor()).await?.reply());
        }
        if let State::Ended(..) = state {
            return Ok(Decided { version: loaded.version(), state }.reply());
        }
        self.vault
            .put(&key, &digest, &sealed, asked.expires_at.since(now).saturating_add(VAULT_GRACE))
            .await?;
        let decided = self.decide(&key, &command, &caller.actor()).await;
        match &decided {
            // The request may have ended between the two: then nobody will come for what was just put.
            Ok(Decided { state: State::Ended(..), .. }) => self.vault.erase(&key).await?,
            Ok(Decided { state: State::Open(_) | State::Absent, .. }) => {}
            // Not for an append whose outcome is unclear: the event may be stored, and the TTL erases an orphan.
            Err(refusal) if refusal.code != RefusalCode::Unavailable => {
                self.vault.erase_one(&key, &digest).await?;
            }
            Err(_) => {}
        }
        Ok(decided?.reply())
    }

    /// Claim before release: the code leaves only after `consumed` is stored, and only to who claimed it.
    pub(crate) async fn consume(
        &self,
        caller: &Caller,
        statement: SignedStatement,
        nonce: [u8; 16],
    ) -> Result<Answered, Refusal> {
        let consume: Consume = self.verified(caller, &statement).await?;
        let key = consume.heading.key();
        if Nonce::new(nonce).digest() != consume.claim {
            return Err(Refusal::new(
                RefusalCode::Mismatch,
                "the nonce is not the one that the statement names",
            ));
        }
        let command = Command::Consume { statement, capture: consume.capture, claim: consume.claim };
        let state = self.log.load(&key).await?.state();
        let captured = state.progress().and_then(Open::capture);
        let sealed = if let (Some(captured), Ok(_)) = (captured, state.decide(&command, clock::now())) {
            self.vault.read(&key, &captured.sealed).await?
        } else {
            // Refused: say so from a fresh read.
            self.decide(&key, &command, &caller.actor()).await?;
            None
        };
        // Nothing is appended for a code that is not there: the capturer may still bring it back.
        let sealed = sealed.ok_or_else(|| {
            Refusal::new(RefusalCode::Unavailable, "the sealed code is not in the vault; try again")
        })?;
        self.decide(&key, &command, &caller.actor()).await?;
        Ok(Answered { reply: Reply::Code { sealed: Sealed(sealed) }, consumed: Some(key) })
    }

    /// Lets the deadline pass, if it has.
    pub(crate) async fn expire(&self, key: &RequestKey) -> Result<(), Expiry> {
        match self.decide_at(key, &Command::Expire, &Actor::relay()).await {
            Ok(_) => Ok(()),
            Err(Outcome::Rejected(Rejection::Unknown)) => Err(Expiry::Absent),
            Err(Outcome::Rejected(Rejection::NotYet { expires_at })) => Err(Expiry::Early(expires_at)),
            Err(Outcome::Rejected(rejection)) => {
                warn!(request = %key, %rejection, "expire");
                Ok(())
            }
            Err(Outcome::Failed(error)) => Err(Expiry::Failed(error)),
        }
    }

    /// Verifies a statement, and that it is about a request of the member who brings it.
    async fn verified<S: Statement>(
        &self,
        caller: &Caller,
        statement: &SignedStatement,
    ) -> Result<S, Refusal> {
        let verified: S = match self.admission.verify(&caller.owner, statement).await {
            // An agent that asks about another's request learns nothing, not even that it is another's.
            Err(_) if caller.role == Role::Agent && is_about_another(caller, statement) => {
                return Err(Refusal::unknown());
            }
            verified => verified?,
        };
        let heading: &Heading = verified.heading();
        if S::ROLE != caller.role {
            return Err(Refusal::new(RefusalCode::Forbidden, "this is not for your role to say"));
        }
        if caller.role == Role::Agent && heading.agent != caller.member {
            return Err(Refusal::unknown());
        }
        Ok(verified)
    }

    /// A decision must belong to the request that is stored, and not contradict it.
    async fn binds(&self, key: &RequestKey, decision: &Decision) -> Result<(), Refusal> {
        let loaded = self.log.load(key).await?;
        let Some(Event::Requested { statement, .. }) = loaded.events.first().map(|recorded| &recorded.event)
        else {
            return Err(Refusal::unknown());
        };
        // Its signature was verified before it was stored.
        let request: Request = codec::decode(&statement.payload).map_err(Untrusted::from)?;
        Ok(decision.binds(statement.digest(), &request)?)
    }

    async fn decide(&self, key: &RequestKey, command: &Command, actor: &Actor) -> Result<Decided, Refusal> {
        self.decide_at(key, command, actor).await.map_err(|outcome| match outcome {
            Outcome::Rejected(rejection) => rejection.into(),
            Outcome::Failed(error) => error.into(),
        })
    }

    async fn decide_at(
        &self,
        key: &RequestKey,
        command: &Command,
        actor: &Actor,
    ) -> Result<Decided, Outcome> {
        let mut conflict = None;
        for _ in 0..DECISIONS_MAX {
            let loaded: Loaded = self.log.load(key).await.map_err(AppendError::from)?;
            let (state, version) = (loaded.state(), loaded.version());
            let now = clock::now();
            let event = match state.decide(command, now) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Decided { state, version }),
                Err(rejection) => {
                    // A replica may be behind: only the leader's word is a reason to refuse.
                    if self.log.is_current(key, loaded.last()).await.map_err(AppendError::from)? {
                        return Err(Outcome::Rejected(rejection));
                    }
                    continue;
                }
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
                Ok(_) => {
                    info!(request = %key, event = %recorded.event.kind(), version = recorded.version.0, "appended");
                    return Ok(Decided { state: state.evolve(&recorded.event), version: recorded.version });
                }
                Err(error @ AppendError::Conflict { .. }) => conflict = Some(error),
                Err(error @ AppendError::Store(_)) => return Err(error.into()),
            }
        }
        Err(Outcome::Failed(conflict.unwrap_or(AppendError::Conflict { expected: 0 })))
    }
}

/// Why a decision came to nothing.
enum Outcome {
    Rejected(Rejection),
    Failed(AppendError),
}

impl From<AppendError> for Outcome {
    fn from(error: AppendError) -> Self {
        Self::Failed(error)
    }
}

/// Why a request was not expired.
pub(crate) enum Expiry {
    /// There is no such request: its event may still be on its way.
    Absent,
    /// The deadline is later, by this clock.
    Early(agent_otp_domain::Timestamp),
    /// The store did not answer.
    Failed(AppendError),
}

/// What an unverified statement says it is about: enough to answer `Unknown`, and for nothing else.
fn is_about_another(caller: &Caller, statement: &SignedStatement) -> bool {
    #[derive(serde::Deserialize)]
    struct About {
        heading: Heading,
    }
    codec::decode::<About>(&statement.payload).is_ok_and(|about| about.heading.agent != caller.member)
}
