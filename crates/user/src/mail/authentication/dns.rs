//! Where keys and policies are looked up: answers are cached for as long as they say, and no question waits for ever.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::system_conf::read_system_conf;
use mail_auth::MessageAuthenticator;
use tokio::time::Instant;
use tracing::warn;

use super::AuthenticatorError;

/// How long a server may take to answer once.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How often a question is asked.
const ATTEMPTS: usize = 2;
/// How often the machine's configuration is read while nobody answers.
const READ_EVERY: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dns {
    /// The servers of this machine's configuration.
    #[default]
    System,
    /// This server.
    Server(SocketAddr),
    /// Nobody: no question is answered, and no mail waits for it.
    None,
}

/// What is asked, as this machine's configuration or the user has it.
pub(super) struct Servers {
    read: Box<dyn Fn() -> Configuration + Send + Sync>,
    asked: Mutex<Asked>,
}

/// Servers, and how they are asked.
type Configuration = (ResolverConfig, ResolverOpts);

struct Asked {
    addresses: Vec<IpAddr>,
    read_at: Instant,
    verifier: Arc<MessageAuthenticator>,
}

impl Servers {
    pub(super) fn new(dns: Dns) -> Result<Self, AuthenticatorError> {
        Self::reading(Box::new(move || dns.configuration()))
    }

    fn reading(read: Box<dyn Fn() -> Configuration + Send + Sync>) -> Result<Self, AuthenticatorError> {
        let asked = Mutex::new(Asked::new(read())?);
        Ok(Self { read, asked })
    }

    /// Who verifies by what they answer.
    pub(super) fn verifier(&self) -> Arc<MessageAuthenticator> {
        self.asked().verifier.clone()
    }

    /// Reads the configuration again, because nobody answers: this machine may have come to another network.
    pub(super) fn read_again(&self) {
        let mut asked = self.asked();
        if asked.read_at.elapsed() < READ_EVERY {
            return;
        }
        asked.read_at = Instant::now();
        let configuration = (self.read)();
        if addresses(&configuration) != asked.addresses {
            match Asked::new(configuration) {
                Ok(other) => *asked = other,
                Err(error) => warn!(%error, "the DNS servers stay as they were"),
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn new(configuration: Configuration) -> Result<Self, AuthenticatorError> {
        let addresses = addresses(&configuration);
        let (servers, options) = configuration;
        let verifier = MessageAuthenticator::new(servers, options)
            .map_err(|error| AuthenticatorError { reason: error.to_string() })?;
        Ok(Self { addresses, read_at: Instant::now(), verifier: Arc::new(verifier) })
    }
}

fn addresses((servers, _): &Configuration) -> Vec<IpAddr> {
    servers.name_servers().iter().map(|server| server.ip).collect()
}

impl Dns {
    fn configuration(self) -> Configuration {
        let (servers, mut options) = match self {
            Self::System => read_system_conf().unwrap_or_else(|error| {
                warn!(%error, "this machine names no DNS server");
                (ResolverConfig::from_name_servers(Vec::new()), ResolverOpts::default())
            }),
            Self::Server(address) => (only(address), ResolverOpts::default()),
            Self::None => (ResolverConfig::from_name_servers(Vec::new()), ResolverOpts::default()),
        };
        options.timeout = ANSWER_MAX;
        options.attempts = ATTEMPTS;
        (servers, options)
    }
}

fn only(address: SocketAddr) -> ResolverConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(address.ip(), true, connections)])
}

#[cfg(test)]
mod tests;
