//! A party's connection to NATS: who it is there, how long it waits, and how it learns of a reconnect.

use std::time::Duration;

use agent_otp_domain::{MemberId, OwnerId, Role};
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;
use tracing::{debug, warn};
use zeroize::Zeroizing;

use crate::subject;

/// How long one request to the broker or the relay may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a client waits before it tries again to reach the broker.
const RECONNECT_MAX: Duration = Duration::from_millis(500);

/// How many messages of a subscription wait to be read; what comes on top is dropped, and asked for again.
const UNREAD_MAX: usize = 8_192;

/// Who connects: it decides where the replies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A member of an owner's roster.
    Member {
        /// Whose.
        owner: OwnerId,
        /// In which role.
        role: Role,
        /// Under which name.
        name: MemberId,
    },
    /// A program of the broker's operator: `relay`, `provision`, `dashboard`.
    Operator(&'static str),
}

impl Who {
    /// The prefix of the inboxes that only this one may subscribe to.
    #[must_use]
    pub fn inbox(&self) -> String {
        match self {
            Self::Member { owner, role, name } => subject::inbox(owner, *role, name),
            Self::Operator(name) => subject::service_inbox(name),
        }
    }
}

/// Where to connect, and with which NATS user.
#[derive(Clone)]
pub struct Login {
    /// `nats://127.0.0.1:4222`.
    pub url: String,
    /// The NATS user's seed (`SU…`). It authenticates the connection and signs nothing else.
    pub nkey_seed: Zeroizing<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, seed redacted)", self.url)
    }
}

/// A connection that heals itself, and says when it did.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    connects: watch::Receiver<u64>,
    is_up: watch::Receiver<bool>,
}

/// Why a party cannot connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The broker is not there, or does not know the user.
    #[error("cannot connect to NATS at {url}; is `agent-otp up` running?")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
}

impl Connection {
    /// Connects once, or says why not; after that the connection is restored whenever it is lost.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the broker cannot be reached or refuses the user.
    pub async fn open(login: &Login, who: &Who) -> Result<Self, ConnectError> {
        let (connected, connects) = watch::channel(0_u64);
        let (up, is_up) = watch::channel(true);
        let count = move || connected.send_modify(|count| *count = count.saturating_add(1));
        let client = ConnectOptions::with_nkey(login.nkey_seed.as_str().to_owned())
            .name(format!("agent-otp {who:?}"))
            .custom_inbox_prefix(who.inbox())
            .request_timeout(Some(PATIENCE))
            .connection_timeout(PATIENCE)
            .ping_interval(Duration::from_secs(10))
            .subscription_capacity(UNREAD_MAX)
            .max_reconnects(None)
            .reconnect_delay_callback(|attempt| {
                let attempt: u32 = attempt.try_into().unwrap_or(u32::MAX);
                Duration::from_millis(20).saturating_mul(attempt).min(RECONNECT_MAX)
            })
            .event_callback(move |event| {
                match &event {
                    Event::Connected => {
                        up.send_replace(true);
                        count();
                    }
                    Event::Disconnected => {
                        debug!("the broker is gone");
                        up.send_replace(false);
                    }
                    // A permission that is missing shows only here; the request itself just times out.
                    Event::ServerError(error) => warn!(%error, "the broker refuses"),
                    // What was dropped is not known: it is all asked for again.
                    Event::SlowConsumer(subscription) => {
                        warn!(subscription, "messages are dropped");
                        count();
                    }
                    Event::LameDuckMode | Event::Draining | Event::Closed | Event::ClientError(_) => {
                        debug!(%event, "connection");
                    }
                }
                std::future::ready(())
            })
            .connect(&login.url)
            .await
            .map_err(|source| ConnectError::Connect { url: login.url.clone(), source })?;
        let jetstream = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE).build(client.clone());
        Ok(Self { client, jetstream, connects, is_up })
    }

    /// The client itself, for what is not of this crate: a test that looks at the wire.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Counts the connects, and the messages that this client dropped because nobody read them: something may have
    /// been missed, so whoever watches it asks again after each.
    #[must_use]
    pub fn connects(&self) -> watch::Receiver<u64> {
        self.connects.clone()
    }

    /// Whether the broker is there at the moment.
    #[must_use]
    pub fn is_up(&self) -> watch::Receiver<bool> {
        self.is_up.clone()
    }

    /// Waits until everything that was published has left.
    pub async fn flush(&self) {
        if let Err(error) = self.client.flush().await {
            debug!(%error, "flush");
        }
    }
}
