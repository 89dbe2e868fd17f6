//! Octets both ways: over TCP or a socket of this machine, with or without TLS.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_otp_keyring::{KeyringError, private};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A connection, whatever it is made of.
pub(super) type Stream = Box<dyn Duplex>;

/// What a connection has to be able to do.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("the certificate {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file of the key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyringError),
    /// The file is not in PEM, or holds something else.
    #[error("{} holds no {what} in PEM, which begins with -----BEGIN", path.display())]
    NoPem {
        /// The file.
        path: PathBuf,
        /// What it ought to hold.
        what: &'static str,
    },
    /// This machine trusts nobody.
    #[error("this machine has no certificates of authorities; install the package ca-certificates")]
    NoRoots,
    /// Certificate and key do not belong together, or are of no use.
    #[error("certificate and key cannot be used")]
    Unusable(#[from] rustls::Error),
}

/// Connects to servers with certificates of the authorities that this machine trusts, or of those in a file.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// Accepts clients with this certificate and its key.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(certificate)?;
    let private_key = PrivateKeyDer::from_pem_slice(&private::read(key)?)
        .map_err(|_| TlsError::NoPem { path: key.to_owned(), what: "private key" })?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)?;
    Ok(Arc::new(config).into())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let content = fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })?;
    let no_pem = || TlsError::NoPem { path: path.to_owned(), what: "certificate" };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_pem)
}

/// The cryptography that is here for NATS and DNS already.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
