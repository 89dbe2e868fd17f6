//! Whether the endpoint answers what a gateway would deliver: an event that is signed and tells of no text message.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use agent_otp_jetstream::clock;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::source::finding::Finding;
use crate::source::stream::{Stream, connector};

use super::PATH;
use super::android::Android;
use super::answer::Outcome;
use super::keys::Keys;

/// How long it may take, with a tunnel.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How much of an answer is read, in octets.
const ANSWER_OCTETS_MAX: u64 = 64 * 1_024;
/// How much of its first line is shown, in characters.
const LINE_MAX: usize = 200;
/// What an Android gateway sends to show that it is there.
const PING: &str = r#"{"event":"system:ping"}"#;

/// Delivers it, signed with the first of the keys: here, and to each public URL, which has to lead here.
pub(super) async fn signed(address: SocketAddr, dir: &Path) -> Vec<Finding> {
    let what = "signed event";
    let keys = match Keys::open(dir).and_then(|keys| keys.read()) {
        Ok(keys) => keys,
        Err(error) => return vec![Finding::fails(what, error.to_string())],
    };
    let Some(key) = keys.of(&Android).next() else {
        let text = "no key of its file is an Android gateway's; nothing else can be tried from here";
        return vec![Finding::fails(what, text)];
    };
    let here = format!("http://{address}");
    let mut found = vec![match deliver(&here, key).await {
        Ok(Said { status: 200, .. }) => Finding::works(what, format!("{here}{PATH} knows its signature")),
        Ok(Said { line, .. }) => Finding::fails(what, line),
        Err(error) => Finding::fails(what, format!("{error}; is `agent-otp up` running?")),
    }];
    for url in &keys.public_urls {
        found.push(from_outside(url, &here, key).await);
    }
    found
}

/// Whether what a gateway is told to call leads here.
async fn from_outside(url: &str, here: &str, key: &[u8]) -> Finding {
    let what = "public-url";
    match deliver(url, key).await {
        Ok(Said { status: 200, line }) if line == Outcome::NoSms.to_string() => {
            Finding::works(what, format!("{url}{PATH} leads here, and its signature is known"))
        }
        Ok(Said { status: 200, .. }) => {
            let text = format!("something else answers at {url}{PATH}; have it lead to {here}{PATH}");
            Finding::fails(what, text)
        }
        Ok(Said { status, line }) => {
            let text = format!(
                "{url}{PATH} answers {status} ({line}); the tunnel or proxy has to lead to {here}{PATH}, with body \
                 and headers as they came"
            );
            Finding::fails(what, text)
        }
        Err(error) => {
            let text = format!(
                "{url}{PATH} cannot be reached: {error}; is the tunnel or proxy up, and is this its URL still?"
            );
            Finding::fails(what, text)
        }
    }
}

/// What is answered.
struct Said {
    status: u16,
    /// Its first line of text, as far as it can be shown.
    line: String,
}

/// Delivers to a URL, as it stands before the path.
async fn deliver(url: &str, key: &[u8]) -> io::Result<Said> {
    let timestamp = (clock::now().as_unix_ms() / 1_000).to_string();
    let mac = Hmac::<Sha256>::new_from_slice(key).map_err(io::Error::other)?;
    let signature = HEXLOWER.encode(&mac.chain_update(PING).chain_update(&timestamp).finalize().into_bytes());
    let url: Uri = format!("{url}{PATH}").parse().map_err(io::Error::other)?;
    let (host, path) = (url.authority().map_or("", Authority::as_str), url.path());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Timestamp: {timestamp}\r\nX-Signature: {signature}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PING}",
        PING.len()
    );
    timeout(ANSWER_MAX, ask(&url, &request))
        .await
        .unwrap_or_else(|_elapsed| Err(io::Error::other("nothing answers in time")))
}

async fn ask(url: &Uri, request: &str) -> io::Result<Said> {
    let host = url.host().unwrap_or_default();
    let is_https = url.scheme() == Some(&Scheme::HTTPS);
    let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let host = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, port)).await?;
    let mut stream: Stream = if is_https {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Box::new(connector(None).map_err(io::Error::other)?.connect(name, stream).await?)
    } else {
        Box::new(stream)
    };
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    // Not every server takes leave in order.
    drop(stream.take(ANSWER_OCTETS_MAX).read_to_end(&mut answer).await);
    said(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn said(answer: &str) -> Option<Said> {
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let line: String = body.lines().next().unwrap_or_default().chars().take(LINE_MAX).collect();
    Some(Said { status, line: agent_otp_domain::visible(line.trim()) })
}
