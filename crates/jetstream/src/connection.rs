//! A party's connection to NATS: who it is there, how long it waits, and how it learns of a reconnect.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use agent_otp_domain::{Digest, MemberId, OwnerId, Role, excerpt};
use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, rustls};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::login::{Credentials, Login, Server, Trust};
use crate::subject;
use crate::tls::{self, OtherKey, TlsError};

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
    /// The owner's side of enrolments: it hears who wants to join, and answers.
    Enroller {
        /// Whose.
        owner: OwnerId,
    },
    /// One that wants to become a member, for as long as that takes.
    Enrolment {
        /// Whose member.
        owner: OwnerId,
        /// Which enrolment.
        id: MemberId,
    },
}

impl Who {
    /// The prefix of the inboxes that only this one may subscribe to.
    #[must_use]
    pub fn inbox(&self) -> String {
        match self {
            Self::Member { owner, role, name } => subject::inbox(owner, *role, name),
            Self::Operator(name) => subject::service_inbox(name),
            Self::Enroller { owner } => subject::enroller_inbox(owner),
            Self::Enrolment { owner, id } => subject::enrolment_inbox(owner, id),
        }
    }
}

/// A connection that heals itself, and says when it did.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    connects: watch::Receiver<u64>,
    is_up: watch::Receiver<bool>,
    lost_at: watch::Receiver<Option<Instant>>,
}

/// Why a party cannot connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The broker is not there.
    #[error("cannot connect to NATS at {url}; is `agent-otp up` running?")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The broker does not know the user.
    #[error("NATS at {url} does not admit this user: it was removed, or belongs to another server")]
    NotAdmitted {
        /// Where.
        url: String,
        /// What the client says.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Another broker answers than the one that is known.
    #[error(
        "NATS at {url} is not the one that is known: its TLS key has the SHA-256 {found}, and {pinned} was expected; \
         somebody stands in between, or the broker has a new key, and members have to be enrolled anew"
    )]
    OtherBroker {
        /// Where.
        url: String,
        /// The digest of the key that is known.
        pinned: Digest,
        /// The digest of the key that answers.
        found: Digest,
    },
    /// Nobody whom the client trusts vouches for the broker.
    #[error(
        "NATS at {url} speaks TLS, and its certificate is not trusted; name the authority that issued it"
    )]
    Untrusted {
        /// Where.
        url: String,
        /// What is wrong with the certificate.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The credentials file cannot be read.
    #[error("the NATS user's credentials file cannot be read")]
    Credentials(#[source] io::Error),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
        let (lost, lost_at) = watch::channel(None);
        let told = Told { connected, up, lost };
        let (options, other_key) = secured(login)?;
        let client = options
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
                told.hear(&event);
                std::future::ready(())
            })
            .connect(&login.server.url)
            .await
            .map_err(|source| refused(&login.server, &other_key, source))?;
        let jetstream = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE).build(client.clone());
        Ok(Self { client, jetstream, connects, is_up, lost_at })
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

    /// When the broker was last gone; none if it never was. What came before that cannot be answered any more: NATS gives
    /// leave to answer a command on the connection that brought it.
    #[must_use]
    pub fn lost_at(&self) -> Option<Instant> {
        *self.lost_at.borrow()
    }

    /// Waits until everything that was published has left.
    pub async fn flush(&self) {
        if let Err(error) = self.client.flush().await {
            debug!(%error, "flush");
        }
    }
}

/// Where those who wait learn what the client hears of its connection.
struct Told {
    connected: watch::Sender<u64>,
    up: watch::Sender<bool>,
    lost: watch::Sender<Option<Instant>>,
}

impl Told {
    fn hear(&self, event: &Event) {
        let count = || self.connected.send_modify(|count| *count = count.saturating_add(1));
        match event {
            Event::Connected => {
                self.up.send_replace(true);
                count();
            }
            Event::Disconnected => {
                debug!("the broker is gone");
                self.lost.send_replace(Some(Instant::now()));
                self.up.send_replace(false);
            }
            // A permission that is missing shows only here; the request itself just times out.
            Event::ServerError(error) => warn!(error = said(error), "the broker refuses"),
            // What was dropped is not known: it is all asked for again.
            Event::SlowConsumer(subscription) => {
                warn!(subscription, "messages are dropped");
                count();
            }
            Event::LameDuckMode | Event::Draining | Event::Closed | Event::ClientError(_) => {
                debug!(event = said(event), "connection");
            }
        }
    }
}

/// What the broker says, as a log can show it.
fn said(words: &impl ToString) -> String {
    excerpt(&words.to_string())
}

impl Login {
    /// The client's options that authenticate it and have it know the broker, for what is not of this crate: a test that
    /// looks at the wire.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if credentials or certificates cannot be used.
    pub fn options(&self) -> Result<ConnectOptions, ConnectError> {
        secured(self).map(|(options, _)| options)
    }
}

fn secured(login: &Login) -> Result<(ConnectOptions, OtherKey), ConnectError> {
    let options = match &login.credentials {
        Credentials::Nkey(seed) => ConnectOptions::with_nkey(seed.as_str().to_owned()),
        Credentials::File(text) => {
            ConnectOptions::with_credentials(text).map_err(ConnectError::Credentials)?
        }
    };
    Ok(tls::secure(&login.server, options)?)
}

fn refused(server: &Server, other_key: &OtherKey, source: async_nats::ConnectError) -> ConnectError {
    let url = server.url.clone();
    if let (Trust::Pinned(pinned), Some(found)) = (&server.trust, other_key.get()) {
        return ConnectError::OtherBroker { url, pinned: *pinned, found: *found };
    }
    if source.kind() == ConnectErrorKind::AuthorizationViolation {
        ConnectError::NotAdmitted { url, source }
    } else if is_untrusted(&source) {
        ConnectError::Untrusted { url, source }
    } else {
        ConnectError::Connect { url, source }
    }
}

/// Whether it is the server's certificate that the client does not believe.
fn is_untrusted(error: &async_nats::ConnectError) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let tls = io.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_nats::ServerError;
    use tracing::field::{Field, Visit};
    use tracing::{Metadata, Subscriber, span, subscriber};

    use super::*;

    #[test]
    fn what_the_broker_says_acts_on_no_screen_that_shows_the_log() {
        let log = Log::default();
        let refusal = ServerError::Other("no\u{1b}[12A\u{202e}\u{1b}[8m".to_owned());
        subscriber::with_default(log.clone(), || {
            let (connected, up, lost) =
                (watch::Sender::new(0), watch::Sender::new(true), watch::Sender::new(None));
            Told { connected, up, lost }.hear(&Event::ServerError(refusal));
        });
        assert_eq!(*log.0.lock().unwrap(), ["the broker refuses", "nats: no<U+001B>[12A<U+202E><U+001B>[8m"]);
    }

    /// The fields of everything that is logged, as they stand in it.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    impl Visit for Log {
        fn record_str(&mut self, _: &Field, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }

        fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}
