//! Where a party connects, as which NATS user, and how it knows that the broker is the right one.

use std::fmt;
use std::path::PathBuf;

use agent_otp_domain::Digest;
use zeroize::Zeroizing;

/// What a credentials file of operator mode begins with.
const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----";

/// Where to connect, and with which NATS user.
#[derive(Clone)]
pub struct Login {
    /// Where, and how the broker is known again.
    pub server: Server,
    /// As whom.
    pub credentials: Credentials,
}

/// A broker as a client reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `nats://127.0.0.1:4222`, or `tls://…`.
    pub url: String,
    /// How it is known to be the right one.
    pub trust: Trust,
    /// What the client shows of itself besides its NATS user, where the server asks for it.
    pub certificate: Option<ClientCertificate>,
}

/// How a client knows that the broker is the right one. All but the first speak TLS, or do not speak at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It does not ask: for a broker on this machine.
    Plain,
    /// By its TLS key: the digest is SHA-256 of the certificate's `SubjectPublicKeyInfo` (RFC 7469, section 2.4). Name and
    /// dates of the certificate do not matter, so that it may be issued anew over the same key.
    Pinned(Digest),
    /// Its certificate is vouched for by an authority that this machine's system trusts.
    Platform,
    /// Its certificate is vouched for by an authority in this PEM file.
    Authority(PathBuf),
}

/// A certificate of the client's own, and its key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those that lead to its authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What proves to the broker who connects. It signs the server's nonce and nothing else.
#[derive(Clone)]
pub enum Credentials {
    /// The seed of an nkey (`SU…`) that stands in the server's configuration.
    Nkey(Zeroizing<String>),
    /// The text of a credentials file (`.creds`): the JWT that an account signed, and the seed that belongs to it.
    File(Zeroizing<String>),
}

impl Login {
    /// With an nkey, to a broker that is reached without TLS.
    #[must_use]
    pub fn plain(url: impl Into<String>, nkey_seed: impl Into<Zeroizing<String>>) -> Self {
        Self { server: Server::plain(url), credentials: Credentials::Nkey(nkey_seed.into()) }
    }
}

impl Server {
    /// A broker that is reached without TLS.
    #[must_use]
    pub fn plain(url: impl Into<String>) -> Self {
        Self { url: url.into(), trust: Trust::Plain, certificate: None }
    }
}

impl Credentials {
    /// Reads what a file of either kind holds; what is neither is refused by the server.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if text.contains(CREDENTIALS) {
            Self::File(text.to_owned().into())
        } else {
            Self::Nkey(text.trim().to_owned().into())
        }
    }

    /// What the file of it holds; a secret.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Nkey(text) | Self::File(text) => text,
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({}, {:?})", self.server.url, self.credentials)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nkey(_) => "seed redacted",
            Self::File(_) => "credentials redacted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_where_and_no_secret() {
        let login = Login::plain("nats://127.0.0.1:4222", "SUSECRET".to_owned());
        insta::assert_snapshot!(format!("{login:?}"), @"Login(nats://127.0.0.1:4222, seed redacted)");
        let credentials = Credentials::read("-----BEGIN NATS USER JWT-----\nSECRET\n");
        insta::assert_snapshot!(format!("{credentials:?}"), @"credentials redacted");
    }

    #[test]
    fn a_seed_is_told_from_a_credentials_file() {
        assert!(matches!(Credentials::read("SUABC\n"), Credentials::Nkey(seed) if *seed == "SUABC"));
        let file = "-----BEGIN NATS USER JWT-----\neyJ\n------END NATS USER JWT------\n";
        assert!(matches!(Credentials::read(file), Credentials::File(text) if *text == file));
    }
}
