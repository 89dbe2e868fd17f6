//! Whether the endpoint answers what a gateway would deliver: an event that is signed and tells of no text message.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use agent_otp_jetstream::clock;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode, Uri};
use sha2::Sha256;
use tokio::time::timeout;

use crate::source::finding::Finding;

use super::PATH;
use super::android::Android;
use super::answer::Outcome;
use super::client::{ask, connect};
use super::keys::Keys;

/// How long it may take, with a tunnel.
const ANSWER_MAX: Duration = Duration::from_secs(10);
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
        Ok(Said { status: StatusCode::OK, .. }) => {
            Finding::works(what, format!("{here}{PATH} knows its signature"))
        }
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
        Ok(Said { status: StatusCode::OK, line }) if line == Outcome::NoSms.to_string() => {
            Finding::works(what, format!("{url}{PATH} leads here, and its signature is known"))
        }
        Ok(Said { status: StatusCode::OK, .. }) => {
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
    status: StatusCode,
    /// Its first line of text, as far as it can be shown.
    line: String,
}

/// Delivers to a URL, as it stands before the path.
async fn deliver(url: &str, key: &[u8]) -> io::Result<Said> {
    let timestamp = (clock::now().as_unix_ms() / 1_000).to_string();
    let mac = Hmac::<Sha256>::new_from_slice(key).map_err(io::Error::other)?;
    let signature = HEXLOWER.encode(&mac.chain_update(PING).chain_update(&timestamp).finalize().into_bytes());
    let url: Uri = format!("{url}{PATH}").parse().map_err(io::Error::other)?;
    let request = Request::post(url.path())
        .header("X-Timestamp", timestamp)
        .header("X-Signature", signature)
        .header(CONTENT_TYPE, "application/json");
    let answered = async { ask(connect(&url).await?, &url, request, PING).await };
    let answer = timeout(ANSWER_MAX, answered)
        .await
        .unwrap_or_else(|_elapsed| Err(io::Error::other("nothing answers in time")))?;
    let body = String::from_utf8_lossy(&answer.body);
    let line: String = body.lines().next().unwrap_or_default().chars().take(LINE_MAX).collect();
    Ok(Said { status: answer.status, line: agent_otp_domain::visible(line.trim()) })
}
