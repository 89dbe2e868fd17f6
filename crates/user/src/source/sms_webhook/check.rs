//! Whether the endpoint answers what a gateway would deliver: an event that is signed and tells of no text message.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use agent_otp_jetstream::clock;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::source::finding::Finding;

use super::PATH;
use super::android::Android;
use super::keys::Keys;

/// How long the endpoint may take.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// What an Android gateway sends to show that it is there.
const PING: &str = r#"{"event":"system:ping"}"#;

/// Delivers it, signed with the first of the keys.
pub(super) async fn signed(address: SocketAddr, dir: &Path) -> Finding {
    let what = "signed event";
    let keys = match Keys::open(dir).and_then(|keys| keys.read()) {
        Ok(keys) => keys,
        Err(error) => return Finding::fails(what, error.to_string()),
    };
    let Some(key) = keys.of(&Android).next() else {
        return Finding::fails(
            what,
            "no key of its file is an Android gateway's; nothing else can be tried from here",
        );
    };
    let timestamp = (clock::now().as_unix_ms() / 1_000).to_string();
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Finding::fails(what, "the first key of its file signs nothing; write another one there");
    };
    let signature = HEXLOWER.encode(&mac.chain_update(PING).chain_update(&timestamp).finalize().into_bytes());
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nX-Timestamp: {timestamp}\r\nX-Signature: {signature}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{PING}",
        PING.len()
    );
    match timeout(ANSWER_MAX, ask(address, &request)).await {
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => {
            Finding::works(what, format!("http://{address}{PATH} knows its signature"))
        }
        Ok(Ok(answer)) => {
            let said = answer.split_once("\r\n\r\n").map_or("nothing", |(_, body)| body.trim());
            Finding::fails(what, agent_otp_domain::visible(said))
        }
        Ok(Err(error)) => Finding::fails(what, format!("{error}; is `agent-otp up` running?")),
        Err(_elapsed) => Finding::fails(what, "nothing answers; restart `agent-otp up`"),
    }
}

async fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
