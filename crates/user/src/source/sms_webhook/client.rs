//! One request over HTTP/1.1, on a connection of its own.

use std::io;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::http::request;
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::source::stream::{Stream, connector};

/// The longest body that is taken, in octets.
pub(super) const OCTETS_MAX: usize = 64 * 1_024;

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Connects to the URL's host. With `https`, an authority that this machine trusts has to vouch for it.
pub(super) async fn connect(url: &Uri) -> io::Result<Stream> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_https = url.scheme() == Some(&Scheme::HTTPS);
    let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    if is_https {
        secured(stream, host, &connector(None).map_err(io::Error::other)?).await
    } else {
        Ok(Box::new(stream))
    }
}

/// Has the other end prove that it is `host`.
pub(super) async fn secured(stream: TcpStream, host: &str, connector: &TlsConnector) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Sends the request, whose target is a path, to the URL's host, and takes the whole answer.
pub(super) async fn ask(
    stream: Stream,
    url: &Uri,
    request: request::Builder,
    body: impl Into<Bytes>,
) -> io::Result<Answer> {
    let request: Request<Full<Bytes>> = request
        .header(HOST, url.authority().map_or("", Authority::as_str))
        .header(CONNECTION, "close")
        .body(Full::new(body.into()))
        .map_err(io::Error::other)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let answered = async move {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), OCTETS_MAX).collect().await;
        Ok(Answer { status, body: body.map_err(io::Error::other)?.to_bytes() })
    };
    // How the connection ends says nothing that the answer does not.
    let (answered, _) = tokio::join!(answered, connection);
    answered
}
