//! Where keys and policies are looked up: answers are cached for as long as they say, and no question waits for ever.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::system_conf::read_system_conf;
use mail_auth::MessageAuthenticator;
use tracing::warn;

use super::AuthenticatorError;

/// How long a server may take to answer once.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How often a question is asked.
const ATTEMPTS: usize = 2;

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

impl Dns {
    pub(super) fn verifier(self) -> Result<MessageAuthenticator, AuthenticatorError> {
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
        MessageAuthenticator::new(servers, options)
            .map_err(|error| AuthenticatorError { reason: error.to_string() })
    }
}

fn only(address: SocketAddr) -> ResolverConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(address.ip(), true, connections)])
}
