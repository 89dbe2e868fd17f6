//! The approver: shows what is asked, exactly, and signs what the user decides.

use std::error::Error;

use agent_otp_domain::{EventType, KeyId, MemberId, Recorded, RequestId, RequestKey, Role};
use agent_otp_jetstream::message::{Ask, RefusalCode};
use agent_otp_jetstream::{Bus, CallError, ConnectError, Login, Member, Unfollowed, VerifyError, clock};
use agent_otp_keyring::{Home, KeyringError};
use agent_otp_trust::{Decision, IdentityKey, Nonce, Roster, RosterRef, Verdict, VerifiedRequest};

/// Decides in the user's name.
#[derive(Debug)]
pub struct Approver {
    member: Member,
    identity: IdentityKey,
    home: Home,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum ApproverError {
    /// Its keys are not there, or not kept as they should be.
    #[error("the approver's keys cannot be used")]
    Keyring(#[from] KeyringError),
    /// The broker is not there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The relay refused, or does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What the relay serves is not believed.
    #[error("the request cannot be verified, so it cannot be decided")]
    Verify(#[from] VerifyError),
    /// No open request has this id.
    #[error("no open request has the id {id}; `agent-otp pending` lists those that do")]
    Unknown {
        /// Which id.
        id: RequestId,
    },
    /// Two agents' requests have one id, which is no accident. That is an alarm.
    #[error(
        "the requests of two agents have the id {id}, so neither can be decided by it; wait until both have lapsed"
    )]
    Doubled {
        /// Which id.
        id: RequestId,
    },
    /// Nobody could capture the code.
    #[error("the roster names no capturer that could act on an approval")]
    NoCapturer,
}

impl Approver {
    /// Loads the approver's key from its home and connects.
    ///
    /// # Errors
    ///
    /// [`ApproverError::Keyring`] or [`ApproverError::Connect`].
    pub async fn connect(login: &Login, home: Home, name: MemberId) -> Result<Self, ApproverError> {
        let (identity, pin) = (home.identity()?, home.pin()?);
        let member = Member::connect(login, Role::Approver, name, pin.owner_key, pin.roster).await?;
        Ok(Self { member, identity, home })
    }

    /// Its way to the relay.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.member.bus
    }

    /// All open requests, verified, the oldest first. One that is not believed is left out, and is an alarm.
    ///
    /// # Errors
    ///
    /// [`ApproverError`] if the relay cannot be asked, or its roster is not believed.
    pub async fn open(&self) -> Result<Vec<VerifiedRequest>, ApproverError> {
        self.roster().await?;
        let mut found = Vec::new();
        for open in self.member.bus.open().await? {
            let key =
                RequestKey { owner: self.bus().owner().clone(), agent: open.agent, request: open.request };
            match self.member.verifier.request(&key).await {
                Ok(Some(request)) if request.end.is_none() => found.push(request),
                Ok(Some(_) | None) => {}
                Err(error @ VerifyError::Untrusted(_)) => self.raise(Some(key.request), &error),
                Err(error) => return Err(self.noticed(None, error)),
            }
        }
        found.sort_by_key(|request| request.request.heading.made_at);
        Ok(found)
    }

    /// The request that a live event tells of, as its statements prove it.
    ///
    /// # Errors
    ///
    /// [`ApproverError::Unknown`] if there is none.
    pub async fn learn(&self, recorded: &Recorded) -> Result<VerifiedRequest, ApproverError> {
        let verified = match self.member.verifier.follow(None, recorded) {
            Ok(verified) => Some(verified),
            Err(unfollowed) => {
                if let Unfollowed::Lie(error) = unfollowed {
                    self.raise(Some(recorded.request), &error);
                }
                let asked = self.member.verifier.request(&recorded.key()).await;
                asked.map_err(|error| self.noticed(Some(recorded.request), error))?
            }
        };
        verified.ok_or(ApproverError::Unknown { id: recorded.request })
    }

    /// The open request with this id.
    ///
    /// # Errors
    ///
    /// [`ApproverError::Unknown`] if there is none, [`ApproverError::Doubled`] if there are several: an agent could give
    /// its own request the id of another's.
    pub async fn find(&self, id: RequestId) -> Result<VerifiedRequest, ApproverError> {
        let mut open = self.open().await?;
        open.retain(|request| request.key.request == id);
        match (open.pop(), open.is_empty()) {
            (Some(request), true) => Ok(request),
            (Some(_), false) => {
                let error = ApproverError::Doubled { id };
                self.raise(Some(id), &error);
                Err(error)
            }
            (None, _) => Err(ApproverError::Unknown { id }),
        }
    }

    /// Approves exactly what the request asks, for as long as it stands.
    ///
    /// # Errors
    ///
    /// [`ApproverError::Call`] if the relay refuses: the request has ended, or was decided before.
    pub async fn approve(&self, request: &VerifiedRequest) -> Result<Option<EventType>, ApproverError> {
        let (reference, roster) = self.roster().await?;
        let capturers: Vec<KeyId> = capturers(&roster);
        if capturers.is_empty() {
            return Err(ApproverError::NoCapturer);
        }
        let verdict = Verdict::Approve { capturers, narrowing: None };
        let statement = self.identity.sign(&self.decision(request, reference, verdict));
        Ok(self.member.bus.call(&Ask::Approve { statement }).await?.phase())
    }

    /// Denies, or takes an approval back as long as the code was not consumed.
    ///
    /// # Errors
    ///
    /// [`ApproverError::Call`] if the relay refuses: the request has ended.
    pub async fn deny(&self, request: &VerifiedRequest) -> Result<Option<EventType>, ApproverError> {
        let (reference, _) = self.roster().await?;
        let statement = self.identity.sign(&self.decision(request, reference, Verdict::Deny {}));
        Ok(self.member.bus.call(&Ask::Deny { statement }).await?.phase())
    }

    /// Denies every open request that rests on this key's word: made, approved or captured with it. How many there were.
    ///
    /// # Errors
    ///
    /// As [`Approver::open`] and [`Approver::deny`]; those that were denied before stay denied.
    pub async fn deny_all_of(&self, key: &KeyId) -> Result<usize, ApproverError> {
        let mut open = self.open().await?;
        open.retain(|request| request.rests_on(key));
        for request in &open {
            match self.deny(request).await {
                // It has ended by itself meanwhile.
                Err(ApproverError::Call(CallError::Refused {
                    code: RefusalCode::OutOfTurn | RefusalCode::Expired,
                    ..
                })) => {}
                denied => drop(denied?),
            }
        }
        Ok(open.len())
    }

    fn decision(&self, request: &VerifiedRequest, roster: RosterRef, verdict: Verdict) -> Decision {
        Decision {
            heading: self.member.heading(&request.key, self.identity.id(), roster),
            request: request.digest,
            verdict,
            nonce: Nonce::new(clock::random()),
            expires_at: request.request.expires_at,
        }
    }

    async fn roster(&self) -> Result<(RosterRef, Roster), ApproverError> {
        if let Some(recent) = self.member.verifier.recent(clock::now()) {
            return Ok(recent);
        }
        let current = self.member.verifier.current(clock::now()).await;
        let current = current.map_err(|error| self.noticed(None, error))?;
        if let Some(seen) = self.member.verifier.seen() {
            self.home.remember(seen)?;
        }
        Ok(current)
    }

    fn noticed(&self, request: Option<RequestId>, error: VerifyError) -> ApproverError {
        if error.is_alarm() {
            self.raise(request, &error);
        }
        error.into()
    }

    fn raise(&self, request: Option<RequestId>, wrong: &(dyn Error + 'static)) {
        self.home.alert(&self.member.alarm(request, wrong));
    }
}

fn capturers(roster: &Roster) -> Vec<KeyId> {
    let capturers = roster.members.iter().filter(|member| member.role == Role::Capturer);
    capturers
        .filter(|member| roster.revoked_at(&member.key).is_none())
        .map(|member| member.key.clone())
        .collect()
}
