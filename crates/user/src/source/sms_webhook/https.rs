//! Gets one small file over HTTPS, from a host that a certificate authority of this machine vouches for.

use std::io;
use std::time::Duration;

use hyper::{Request, StatusCode, Uri};
use tokio::time::timeout;

use crate::source::stream::Stream;

use super::certificates::{CertificateUrl, NotFetched};
use super::client::{ask, connect};

/// How long it may take.
const FETCH_MAX: Duration = Duration::from_secs(8);

/// Gets a certificate from its host, whom this machine's certificate authorities have to vouch for.
pub(super) async fn get(url: CertificateUrl) -> Result<Vec<u8>, NotFetched> {
    let fetched = async {
        let uri = uri(&url)?;
        get_over(connect(&uri).await, &uri, &url).await
    };
    timeout(FETCH_MAX, fetched)
        .await
        .unwrap_or_else(|_| Err(NotFetched(format!("{url} took longer than {} s", FETCH_MAX.as_secs()))))
}

fn uri(url: &CertificateUrl) -> Result<Uri, NotFetched> {
    url.to_string().parse().map_err(|error| not_fetched(url, &error))
}

async fn get_over(
    stream: io::Result<Stream>,
    uri: &Uri,
    url: &CertificateUrl,
) -> Result<Vec<u8>, NotFetched> {
    let stream = stream.map_err(|error| not_fetched(url, &error))?;
    let answer =
        ask(stream, uri, Request::get(uri.path()), "").await.map_err(|error| not_fetched(url, &error))?;
    match answer.status {
        StatusCode::OK => Ok(answer.body.to_vec()),
        status => Err(NotFetched(format!("{url} answers {status}"))),
    }
}

fn not_fetched(url: &CertificateUrl, error: &dyn std::error::Error) -> NotFetched {
    NotFetched(format!("{url} cannot be fetched: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

    use crate::source::sms_webhook::client::{OCTETS_MAX, secured};

    use super::*;

    const AUTHORITY: &[u8] = include_bytes!("../../../tests/data/tls/authority.pem");
    const SERVER: &[u8] = include_bytes!("../../../tests/data/tls/server.pem");
    const KEY: &[u8] = include_bytes!("../../../tests/data/tls/server.key");
    /// The host that the server's certificate names.
    const HOST: &str = "https://sns.eu-west-1.amazonaws.com/a.pem";

    #[tokio::test]
    async fn a_file_is_taken_from_the_host_that_is_vouched_for_and_no_other() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile";
        assert_eq!(got(HOST, roots(), whole).await.unwrap(), b"file");
        let other = "https://sns.eu-west-2.amazonaws.com/a.pem";
        assert!(got(other, roots(), whole).await.unwrap_err().0.contains("not valid for name"));
        let stranger = got(HOST, RootCertStore::empty(), whole).await.unwrap_err();
        assert!(stranger.0.contains("UnknownIssuer"), "{stranger}");
    }

    #[tokio::test]
    async fn what_is_no_small_file_is_refused() {
        let huge = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(OCTETS_MAX + 1));
        for (answer, why) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answers 404"),
            (
                "HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n",
                "answers 302",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfile", "cannot be fetched"),
            ("", "cannot be fetched"),
            (&huge, "length limit exceeded"),
        ] {
            let refused = got(HOST, roots(), answer).await.unwrap_err();
            assert!(refused.0.contains(why), "{why}: {refused}");
        }
    }

    fn roots() -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
        roots
    }

    /// What comes of one answer of a server with the certificate.
    async fn got(url: &str, roots: RootCertStore, answer: &str) -> Result<Vec<u8>, NotFetched> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(SERVER).unwrap()],
                PrivateKeyDer::from_pem_slice(KEY).unwrap(),
            )
            .unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"GET /a.pem HTTP/1.1\r\n"));
            // A client that has heard enough hangs up.
            stream.write_all(answer.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        };
        let url: CertificateUrl = url.parse().unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let got = async {
            let stream = secured(client, &url.host, &Arc::new(config).into()).await;
            get_over(stream, &uri(&url).unwrap(), &url).await
        };
        tokio::join!(serve, got).1
    }
}
