//! Gets one small file over HTTPS: by HTTP/1.1, from a host that a certificate authority of this machine vouches for.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::certificates::{CertificateUrl, NotFetched};

/// The longest file, in octets.
const OCTETS_MAX: usize = 64 * 1_024;

/// How long it may take.
const FETCH_MAX: Duration = Duration::from_secs(8);

/// Gets a certificate from its host, whom this machine's certificate authorities have to vouch for.
pub(super) async fn get(url: CertificateUrl) -> Result<Vec<u8>, NotFetched> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let address = (url.host.clone(), 443);
    let stream = TcpStream::connect(address);
    let fetched = async {
        let stream = stream.await.map_err(|error| not_fetched(&url, &error))?;
        get_over(stream, roots, &url).await
    };
    timeout(FETCH_MAX, fetched)
        .await
        .unwrap_or_else(|_| Err(NotFetched(format!("{url} took longer than {} s", FETCH_MAX.as_secs()))))
}

/// Gets a certificate over a connection, whose other end has to be the URL's host by these authorities.
async fn get_over(
    stream: TcpStream,
    roots: RootCertStore,
    url: &CertificateUrl,
) -> Result<Vec<u8>, NotFetched> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| not_fetched(url, &error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = ServerName::try_from(url.host.clone()).map_err(|error| not_fetched(url, &error))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(host, stream).await;
    let stream = stream.map_err(|error| not_fetched(url, &error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| not_fetched(url, &error))?;
    let request = Request::get(&url.path)
        .header(HOST, &url.host)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| not_fetched(url, &error))?;
    let answered = async move {
        let answer = sender.send_request(request).await.map_err(|error| not_fetched(url, &error))?;
        if answer.status() != StatusCode::OK {
            return Err(NotFetched(format!("{url} answers {}", answer.status())));
        }
        let body = Limited::new(answer.into_body(), OCTETS_MAX).collect().await;
        Ok(body.map_err(|error| not_fetched(url, &*error))?.to_bytes().to_vec())
    };
    // How the connection ends says nothing that the answer does not.
    let (answered, _) = tokio::join!(answered, connection);
    answered
}

fn not_fetched(url: &CertificateUrl, error: &dyn std::error::Error) -> NotFetched {
    NotFetched(format!("{url} cannot be fetched: {error}"))
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;

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
        let url = url.parse().unwrap();
        tokio::join!(serve, get_over(client, roots, &url)).1
    }
}
