//! TLS to the broker: what a client asks of the server's certificate, and what it shows of itself.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use agent_otp_domain::Digest;
use async_nats::ConnectOptions;
use async_nats::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use async_nats::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use async_nats::rustls::pki_types::pem::{self, PemObject as _};
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use async_nats::rustls::server::ParsedCertificate;
use async_nats::rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::login::{ClientCertificate, Server, Trust};

/// Why TLS cannot be spoken at all.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file with certificates or a key is not there.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("{} holds no certificate or key in PEM", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// They are not fit for TLS, or for each other.
    #[error("the client's certificate and key cannot be used")]
    Unfit(#[source] Error),
}

/// What a broker showed instead of the key that was pinned, if it did.
pub(crate) type OtherKey = Arc<OnceLock<Digest>>;

/// Has the client speak TLS as the server is to be trusted.
pub(crate) fn secure(
    server: &Server,
    options: ConnectOptions,
) -> Result<(ConnectOptions, OtherKey), TlsError> {
    let other = OtherKey::default();
    let own = server.certificate.as_ref();
    let options = match &server.trust {
        Trust::Plain => options,
        Trust::Pinned(pin) => {
            let config = pinning(PinnedKey::new(*pin, other.clone()), own)?;
            options.require_tls(true).tls_client_config(config)
        }
        Trust::Platform => show(options.require_tls(true), own)?,
        Trust::Authority(path) => {
            is_readable(path)?;
            show(options.require_tls(true).add_root_certificates(path.clone()), own)?
        }
    };
    Ok((options, other))
}

fn show(options: ConnectOptions, own: Option<&ClientCertificate>) -> Result<ConnectOptions, TlsError> {
    let Some(ClientCertificate { chain, key }) = own else { return Ok(options) };
    is_readable(chain)?;
    is_readable(key)?;
    Ok(options.add_client_certificate(chain.clone(), key.clone()))
}

/// The client reads the files at each connect, and names none that it cannot read.
fn is_readable(path: &Path) -> Result<(), TlsError> {
    File::open(path).map(drop).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

fn pinning(key: PinnedKey, own: Option<&ClientCertificate>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unfit)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(key));
    let Some(ClientCertificate { chain, key }) = own else { return Ok(builder.with_no_client_auth()) };
    is_readable(chain)?;
    is_readable(key)?;
    let malformed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Malformed { path, source }
    };
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(chain).map_err(malformed(chain))?.collect();
    let certificates = certificates.map_err(malformed(chain))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(malformed(key))?;
    builder.with_client_auth_cert(certificates, key).map_err(TlsError::Unfit)
}

/// Believes the one key, whatever the certificate over it says. That the server holds it, the handshake's signature proves.
#[derive(Debug)]
struct PinnedKey {
    pin: Digest,
    other: OtherKey,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedKey {
    fn new(pin: Digest, other: OtherKey) -> Self {
        Self { pin, other, algorithms: ring::default_provider().signature_verification_algorithms }
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let found = Digest::of(&[&key]);
        if found == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        self.other.get_or_init(|| found);
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
