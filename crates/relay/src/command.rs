//! The commands of members and of the clock: what each needs before it is decided, and what follows.

use std::time::Duration;

use agent_otp_domain::{
    Actor, Command, Digest, End, Event, EventType, Open, Rejection, RequestKey, Role, SealedCode,
    SignedStatement, State, codec,
};
use agent_otp_jetstream::message::{RefusalCode, Reply, Sealed};
use agent_otp_jetstream::{AppendError, Loaded, StoreError, clock};
use agent_otp_trust::{
    Cancel, Capture, Consume, Decision, Heading, Nonce, Request, Statement, Untrusted, Verdict,
};
use tracing::warn;

use crate::decide::{Considered, Decided, Look, Undecided};
use crate::grace::CONSUMED_GRACE;
use crate::refusal::Refusal;
use crate::serve::{Answered, Caller, HEARD_WITHIN, Relay, Released};

/// How much longer than its request a sealed code may stay, so that a claim at the last moment is still answered.
const VAULT_GRACE: Duration = Duration::from_secs(30);
/// The largest sealed code: a link, 32 bytes of `enc` and a tag of 16.
const SEALED_BYTES_MAX: usize = 2_096;

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
        self.consider(&key, &command, Look::Memory).await?;
        // The timer leaves before the event, on one connection: an orphan finds nothing to expire. A broker that fails
        // between the two may keep the event alone; then whoever asks again arms it, or the relay after its next
        // connect.
        let actor = caller.actor();
        let (armed, decided) = tokio::join!(
            biased;
            self.timers.arm(&key, request.expires_at),
            self.decide(&key, &command, &actor)
        );
        let reply = decided?.reply();
        armed?;
        Ok(reply)
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
        let command = Command::Approve {
            statement,
            request: decision.request,
            made_at: decision.heading.made_at,
            expires_at: decision.expires_at,
            capturers: capturers.clone(),
        };
        let Considered { loaded, .. } = self.consider(&key, &command, Look::Memory).await?;
        let (digest, request) = stored::<Request>(&loaded, EventType::Requested)?;
        decision.binds(digest, &request)?;
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
        let command = Command::Capture { statement, decision: capture.decision, sealed: digest };
        let considered = self.consider(&key, &command, Look::Memory).await;
        if let Err(Undecided::Rejected(rejection)) = &considered
            && is_over(rejection)
        {
            // A relay may have put it there when it was in time, and died before it learned that it was not any more.
            self.vault.erase_one(&key, &digest).await?;
        }
        let Considered { loaded, now, .. } = considered?;
        if let state @ State::Ended(..) = loaded.state() {
            let decided = Decided { state, version: loaded.version(), changed_at: loaded.changed_at() };
            self.settle(&key, &digest, &decided).await?;
            return Ok(decided.reply());
        }
        let (asked, request) = stored::<Request>(&loaded, EventType::Requested)?;
        let (decided, decision) = stored::<Decision>(&loaded, EventType::Approved)?;
        capture.binds((decided, &decision), (asked, &request))?;
        let ttl = request.expires_at.since(now).saturating_add(VAULT_GRACE);
        self.vault.put(&key, &digest, &sealed, ttl).await?;
        let decided = self.decide(&key, &command, &caller.actor()).await;
        match &decided {
            Ok(decided) => self.settle(&key, &digest, decided).await?,
            Err(Undecided::Rejected(_)) => self.vault.erase_one(&key, &digest).await?,
            // The event may be stored all the same; if it is not, the TTL erases the orphan.
            Err(Undecided::Failed(_)) => {}
        }
        Ok(decided?.reply())
    }

    /// Erases what was put for a request that has ended meanwhile: nobody comes for it, and the follower may have been
    /// there before it was put. What was consumed just now is left to the follower, because its agent may ask again.
    async fn settle(&self, key: &RequestKey, sealed: &Digest, decided: &Decided) -> Result<(), StoreError> {
        match &decided.state {
            State::Absent | State::Open(_) => Ok(()),
            State::Ended(_, End::Consumed(_)) if clock::now().since(decided.changed_at) < CONSUMED_GRACE => {
                Ok(())
            }
            State::Ended(_, End::Consumed(_) | End::Denied(_) | End::Expired | End::Cancelled) => {
                self.vault.erase_one(key, sealed).await
            }
        }
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
        let loaded = self.consider(&key, &command, Look::Memory).await?.loaded;
        let state = loaded.state();
        let captured = state.progress().and_then(Open::capture).ok_or(Rejection::Unknown)?;
        let found = self.vault.find(&key, &captured.sealed).await?;
        // Nothing is appended for a code that is not there: the capturer may still bring it back.
        let (sealed, place) = found.ok_or_else(|| {
            Refusal::new(RefusalCode::Unavailable, "the sealed code is not in the vault; try again")
        })?;
        self.decide(&key, &command, &caller.actor()).await?;
        let (_, request) = stored::<Request>(&loaded, EventType::Requested)?;
        let claimed_ago = claimed_ago(&loaded, &request.heading, &consume.heading);
        let released = Released { place, claimed_ago };
        Ok(Answered { reply: Reply::Code { sealed: Sealed(sealed) }, released: Some(released) })
    }

    /// Lets the deadline pass, if it has.
    pub(crate) async fn expire(&self, key: &RequestKey) -> Result<(), Expiry> {
        match self.decide(key, &Command::Expire, &Actor::relay()).await {
            Ok(_) => Ok(()),
            Err(Undecided::Rejected(Rejection::Unknown)) => Err(Expiry::Absent),
            Err(Undecided::Rejected(Rejection::NotYet { expires_at })) => Err(Expiry::Early(expires_at)),
            Err(Undecided::Rejected(rejection)) => {
                warn!(request = %key, %rejection, "expire");
                Ok(())
            }
            Err(Undecided::Failed(error)) => Err(Expiry::Failed(error)),
        }
    }

    /// Verifies a statement, and that it is about a request of the member who brings it.
    async fn verified<S: Statement>(
        &self,
        caller: &Caller,
        statement: &SignedStatement,
    ) -> Result<S, Refusal> {
        let (verified, signer): (S, _) = match self.admission.verify(&caller.owner, statement).await {
            // An agent that asks about another's request learns nothing, not even that it is another's.
            Err(_) if caller.role == Role::Agent && is_about_another(caller, statement) => {
                return Err(Refusal::unknown());
            }
            verified => verified?,
        };
        if caller.role == Role::Agent && verified.heading().agent != caller.member {
            return Err(Refusal::unknown());
        }
        // The caller is stored as the event's actor, and everyone who verifies wants it to be the signer.
        if signer != caller.actor() {
            return Err(Refusal::new(RefusalCode::Forbidden, "a statement is brought by who signed it"));
        }
        Ok(verified)
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

/// Whether a capture was refused because its request ended without it: nobody claims what was put for it.
fn is_over(rejection: &Rejection) -> bool {
    match rejection {
        Rejection::Expired { .. } => true,
        Rejection::OutOfTurn { phase } => matches!(phase, EventType::Denied | EventType::Cancelled),
        Rejection::Unknown
        | Rejection::Taken
        | Rejection::NotYet { .. }
        | Rejection::ClockSkew(_)
        | Rejection::Lifetime { .. }
        | Rejection::Mismatch { .. }
        | Rejection::DecisionExpired { .. }
        | Rejection::NotAppointed
        | Rejection::AlreadyConsumed => false,
    }
}

/// How long ago the claim was made, at most; none if the capture is dated by a clock that is ahead of this one.
///
/// The agent's clock may be off, so that times are compared within each clock alone: by the agent's, the claim came so long
/// after its request, and by the relay's, it is so long ago that the request came. What the request took on its way is
/// missed by that; and no claim is older than its capture, which is all that can be told of an agent's clock that was set
/// forward meanwhile.
fn claimed_ago(loaded: &Loaded, request: &Heading, claim: &Heading) -> Option<Duration> {
    let now = clock::now();
    let asked_at = loaded.events.first()?.time;
    let captured = loaded.events.iter().find(|recorded| recorded.event.kind() == EventType::Captured)?;
    if captured.time > now {
        return None;
    }
    let since_captured = now.since(captured.time);
    let (by_us, by_the_agent) = (now.since(asked_at), claim.made_at.since(request.made_at));
    if by_the_agent > by_us.saturating_add(HEARD_WITHIN) {
        return Some(since_captured);
    }
    Some(by_us.saturating_sub(by_the_agent).min(since_captured))
}

/// What an unverified statement says it is about: enough to answer `Unknown`, and for nothing else.
fn is_about_another(caller: &Caller, statement: &SignedStatement) -> bool {
    #[derive(serde::Deserialize)]
    struct About {
        heading: Heading,
    }
    codec::decode::<About>(&statement.payload).is_ok_and(|about| about.heading.agent != caller.member)
}

/// The statement behind a stored event, with its digest. Its signature was verified before it was stored.
fn stored<S: Statement>(loaded: &Loaded, kind: EventType) -> Result<(Digest, S), Refusal> {
    let mut events = loaded.events.iter().map(|recorded| &recorded.event);
    let event = events.find(|event| event.kind() == kind);
    let statement = event.and_then(Event::statement).ok_or(Rejection::Unknown)?;
    Ok((statement.digest(), codec::decode(&statement.payload).map_err(Untrusted::from)?))
}
