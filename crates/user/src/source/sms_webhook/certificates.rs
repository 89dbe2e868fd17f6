//! The certificates that AWS signs with: each is fetched from AWS once, over HTTPS, and kept in memory.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use regex::Regex;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::sync::Mutex;
use tokio::time::Instant;
use webpki::EndEntityCert;
use webpki::ring::RSA_PKCS1_2048_8192_SHA256;

/// How many are kept; AWS has one a region, and a new one a year.
const KEPT_MAX: usize = 16;

/// How long nothing is fetched after something could not be: names that are made up must not keep this machine busy.
const PAUSE: Duration = Duration::from_secs(5);

/// Where a certificate of SNS is: on a host of AWS's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateUrl {
    pub(super) host: String,
    pub(super) path: String,
}

static HTTPS_AT_AWS: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant expression, which every test compiles")]
    Regex::new(r"\Ahttps://(sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?)(/[A-Za-z0-9-]{1,100}\.pem)\z")
        .expect("a regular expression")
});

impl FromStr for CertificateUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = HTTPS_AT_AWS.captures(text).ok_or(())?;
        let part = |number| found.get(number).map(|part| part.as_str().to_owned()).ok_or(());
        Ok(Self { host: part(1)?, path: part(2)? })
    }
}

impl fmt::Display for CertificateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.host, self.path)
    }
}

/// A certificate, and where it came from.
#[derive(Debug)]
pub(super) struct Certificate {
    url: CertificateUrl,
    certificate: CertificateDer<'static>,
}

impl Certificate {
    /// Reads one as it is served: PEM, with an RSA key.
    pub(super) fn read(url: CertificateUrl, pem: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(pem).ok()?;
        EndEntityCert::try_from(&certificate).ok()?;
        Some(Self { url, certificate })
    }

    pub(super) fn is_at(&self, url: &str) -> bool {
        url.parse().as_ref() == Ok(&self.url)
    }

    /// Whether its key has signed this: RSA with PKCS #1 v1.5 and SHA-256.
    pub(super) fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        EndEntityCert::try_from(&self.certificate)
            .is_ok_and(|it| it.verify_signature(RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok())
    }
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotFetched(pub(super) String);

/// How what is at a URL is got.
pub(super) type Fetch =
    Box<dyn Fn(CertificateUrl) -> BoxFuture<'static, Result<Vec<u8>, NotFetched>> + Send + Sync>;

/// The certificates that were fetched.
pub(super) struct Certificates {
    fetch: Fetch,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    certificates: Vec<Arc<Certificate>>,
    /// Until when nothing is fetched.
    paused_until: Option<Instant>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificates {
    pub(super) fn new(fetch: Fetch) -> Self {
        Self { fetch, known: Mutex::default() }
    }

    /// The certificate at a URL. Of several deliveries that need one, the first fetches it and the others wait.
    pub(super) async fn at(&self, url: CertificateUrl) -> Result<Arc<Certificate>, NotFetched> {
        let mut known = self.known.lock().await;
        if let Some(certificate) = known.certificates.iter().find(|certificate| certificate.url == url) {
            return Ok(Arc::clone(certificate));
        }
        if known.paused_until.is_some_and(|until| Instant::now() < until) {
            return Err(NotFetched("another one could not be fetched a moment ago".to_owned()));
        }
        match self.fetched(url).await {
            Ok(certificate) => {
                if known.certificates.len() >= KEPT_MAX {
                    known.certificates.remove(0);
                }
                known.certificates.push(Arc::clone(&certificate));
                Ok(certificate)
            }
            Err(error) => {
                known.paused_until = Some(Instant::now() + PAUSE);
                Err(error)
            }
        }
    }

    async fn fetched(&self, url: CertificateUrl) -> Result<Arc<Certificate>, NotFetched> {
        let pem = (self.fetch)(url.clone()).await?;
        let unreadable = || NotFetched(format!("what is at {url} is no certificate in PEM"));
        Certificate::read(url.clone(), &pem).map(Arc::new).ok_or_else(unreadable)
    }
}
