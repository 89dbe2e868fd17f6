//! An agent: its identity, its way to the relay, and what it can ask.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{
    Channels, Filter, FilterError, MemberId, Reason, ReasonError, RequestId, RequestKey, Role, Services,
    Sought, SoughtError, Ttl, Wanted,
};
use agent_otp_jetstream::message::Ask;
use agent_otp_jetstream::{CallError, ConnectError, Feed, Login, Member, StoreError, VerifyError, clock};
use agent_otp_keyring::{Home, KeyringError};
use agent_otp_seal::AgentSecret;
use agent_otp_trust::{Heading, IdentityKey, Recipient, Request, Roster, RosterError, RosterRef};
use tokio::time::timeout;
use tracing::{debug, info};

use crate::pending::{Canceller, Pending};

/// How long a stale roster is waited for: the user's side renews it when it comes back.
const STALE_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const STALE_LOOK: Duration = Duration::from_millis(500);

/// How long an agent that gives up waits for its request to be taken back.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(1);

/// An agent that can ask for codes.
#[derive(Debug)]
pub struct Agent {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) identity: IdentityKey,
    pub(crate) member: Member,
    home: Home,
}

/// What an agent asks for.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Why, in the agent's own words; the user reads it.
    pub reason: Reason,
    /// Which message.
    pub filter: Filter,
    /// For how long.
    pub ttl: Ttl,
}

/// Why something cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskingError {
    /// The reason is empty or too long.
    #[error(transparent)]
    Reason(#[from] ReasonError),
    /// There is no such sender.
    #[error(transparent)]
    Sender(#[from] SoughtError),
    /// The filter makes no sense.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Asking {
    /// Asks for a code that `sender` (a domain, an address, or the name of a known service) sends by e-mail, for five
    /// minutes.
    ///
    /// # Errors
    ///
    /// [`AskingError`] if the reason or the sender cannot be used.
    pub fn code_by_email(reason: &str, sender: &str) -> Result<Self, AskingError> {
        let Sought { sender, content } = Services::default().sought(sender, Channels::Email)?;
        let filter = Filter {
            channels: Channels::Email,
            sender,
            content,
            shape: None,
            wanted: Wanted::Code,
            purpose: None,
        };
        filter.check()?;
        Ok(Self { reason: reason.parse()?, filter, ttl: Ttl::default() })
    }
}

/// Why an agent cannot ask.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its keys are not there, or not kept as they should be.
    #[error("the agent's keys cannot be used")]
    Keyring(#[from] KeyringError),
    /// The broker is not there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Events cannot be subscribed to.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The roster is not believed, or stale.
    #[error("the owner's roster cannot be relied on")]
    Roster(#[from] VerifyError),
    /// The owner's roster does not name this agent.
    #[error("roster {number} of the owner does not name this agent's key; enrol the agent again")]
    NotEnrolled {
        /// Which roster.
        number: u64,
    },
    /// The filter makes no sense.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The relay refused, or does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl AgentError {
    /// Whether the relay, or whoever stands between, is not to be believed. That is kept as an alarm.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        match self {
            Self::Roster(error) => error.is_alarm(),
            Self::Call(error) => matches!(error, CallError::Unreadable(_)),
            Self::Keyring(_)
            | Self::Connect(_)
            | Self::Store(_)
            | Self::NotEnrolled { .. }
            | Self::Filter(_) => false,
        }
    }
}

impl Agent {
    /// Loads the agent's key from its home and connects.
    ///
    /// # Errors
    ///
    /// [`AgentError::Keyring`] or [`AgentError::Connect`].
    pub async fn connect(login: &Login, home: Home, name: MemberId) -> Result<Self, AgentError> {
        let (identity, pin) = (home.identity()?, home.pin()?);
        let member = Member::connect(login, Role::Agent, name, pin.owner_key, pin.roster).await?;
        Ok(Self { inner: Arc::new(Inner { identity, member, home }) })
    }

    /// Asks the user for a code.
    ///
    /// The key that the code will be sealed to is made here, lives in memory alone, and goes with the [`Pending`].
    ///
    /// # Errors
    ///
    /// [`AgentError`]: nothing was asked, or the relay did not answer, and is told once that it is taken back.
    pub async fn request(&self, asking: Asking) -> Result<Pending, AgentError> {
        self.ask(asking).await.inspect_err(|error| self.inner.notice(None, error))
    }

    async fn ask(&self, asking: Asking) -> Result<Pending, AgentError> {
        let inner = &self.inner;
        asking.filter.check()?;
        let roster = inner.roster().await?;
        let key = RequestKey {
            owner: inner.member.bus.owner().clone(),
            agent: inner.member.name.clone(),
            request: clock::request_id(),
        };
        let secret = AgentSecret::generate();
        let heading = inner.heading(&key, roster);
        let request = Request {
            reason: asking.reason,
            filter: asking.filter,
            recipient: Recipient { suite: secret.suite().into(), public_key: secret.public_key().to_vec() },
            expires_at: heading.made_at.after(asking.ttl.as_duration()),
            heading,
        };
        let statement = inner.identity.sign(&request);
        // Subscribed before asking, so that no event can fall between the two.
        let feed = Feed::of_request(inner.member.bus.connection(), &key).await?;
        let digest = statement.digest();
        if let Err(error) = inner.member.bus.call(&Ask::Request { statement }).await {
            if error.is_transient() {
                Self::give_up(&Canceller::new(inner.clone(), key, digest)).await;
            }
            return Err(error.into());
        }
        info!(request = %key, "requested");
        Ok(Pending::new(inner.clone(), key, request, digest, secret, feed))
    }

    /// Takes back what may be stored although nobody said so: its key is gone, and the user would be asked in vain. While
    /// the broker is gone, this leaves behind the request, when it is back.
    async fn give_up(unheard: &Canceller) {
        match timeout(GIVE_UP_WITHIN, unheard.take_back()).await {
            Ok(Ok(())) => info!("taken back: the relay did not answer"),
            Ok(Err(error)) => debug!(%error, "not taken back"),
            Err(elapsed) => debug!(%elapsed, "not taken back"),
        }
    }
}

impl Inner {
    /// The roster to go by now. A stale one is waited for a while; the error then says since when it is stale.
    pub(crate) async fn roster(&self) -> Result<RosterRef, AgentError> {
        if let Some((reference, roster)) = self.member.verifier.recent(clock::now()) {
            return self.is_named_in(&roster).map(|()| reference);
        }
        let patience = tokio::time::sleep(STALE_WAIT);
        let mut patience = std::pin::pin!(patience);
        loop {
            let current = self.member.verifier.current(clock::now()).await;
            if let Some(seen) = self.member.verifier.seen() {
                self.home.remember(seen)?;
            }
            let stale = match current {
                Ok((reference, roster)) => return self.is_named_in(&roster).map(|()| reference),
                Err(error @ VerifyError::Roster(RosterError::Stale { .. })) => error,
                Err(error) => return Err(error.into()),
            };
            info!(error = %stale, "waiting for the roster to be renewed");
            tokio::select! {
                () = &mut patience => return Err(stale.into()),
                () = tokio::time::sleep(STALE_LOOK) => {}
            }
        }
    }

    /// Keeps an alarm, if the error is one.
    pub(crate) fn notice(&self, request: Option<RequestId>, error: &AgentError) {
        if error.is_alarm() {
            self.raise(request, error);
        }
    }

    /// Keeps an alarm in the agent's home.
    pub(crate) fn raise(&self, request: Option<RequestId>, wrong: &(dyn Error + 'static)) {
        self.home.alert(&self.member.alarm(request, wrong));
    }

    fn is_named_in(&self, roster: &Roster) -> Result<(), AgentError> {
        let member = roster.member(&self.identity.id());
        if member.is_some_and(|member| member.role == Role::Agent && member.name == self.member.name) {
            Ok(())
        } else {
            Err(AgentError::NotEnrolled { number: roster.number })
        }
    }

    pub(crate) fn heading(&self, key: &RequestKey, roster: RosterRef) -> Heading {
        self.member.heading(key, self.identity.id(), roster)
    }
}
