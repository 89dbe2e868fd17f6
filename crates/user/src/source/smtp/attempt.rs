//! Delivers a mail to one of our own listeners, as a mail server would, and tells what it answered.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use crate::source::finding::Finding;

use super::Protocol;
use super::reply::NOT_USED;

/// How long the listener may take for all of it: it may have to ask the DNS.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// A mail that nobody waits for: no service has an address in this domain (RFC 6761).
const MAIL: &str = "From: <test@agent-otp.invalid>\r\nSubject: a test\r\n\r\nThis mail is a test of `agent-otp sources test`.\r\n.\r\n";

/// Delivers it.
pub(in crate::source) async fn deliver<S: AsyncRead + AsyncWrite + Unpin>(
    connected: io::Result<S>,
    protocol: Protocol,
) -> Vec<Finding> {
    let what = "delivery";
    vec![match timeout(ANSWER_MAX, talk(connected, protocol)).await {
        Ok(Ok(said)) if said.starts_with(NOT_USED) || said.starts_with("550 5.7.1 ") => Finding::works(
            what,
            "it is answered; the mail of this test is not used, because nothing proves its sender",
        ),
        Ok(Ok(said)) if said.starts_with("250 ") => {
            Finding::works(what, "a mail without proof of its sender is taken")
        }
        Ok(Ok(said)) => {
            Finding::fails(what, format!("the listener says: {}", agent_otp_domain::visible(&said)))
        }
        Ok(Err(error)) => Finding::fails(what, format!("{error}; is `agent-otp up` running?")),
        Err(_elapsed) => Finding::fails(what, "nothing answers; restart `agent-otp up`"),
    }]
}

/// What the listener says to the mail, or to the first command that it refuses.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    connected: io::Result<S>,
    protocol: Protocol,
) -> io::Result<String> {
    let mut stream = BufReader::new(connected?);
    let hello = match protocol {
        Protocol::Smtp => "EHLO localhost\r\n",
        Protocol::Lmtp => "LHLO localhost\r\n",
    };
    let commands = [
        "",
        hello,
        "MAIL FROM:<test@agent-otp.invalid>\r\n",
        "RCPT TO:<test@localhost>\r\n",
        "DATA\r\n",
        MAIL,
    ];
    let mut said = String::new();
    for command in commands {
        stream.write_all(command.as_bytes()).await?;
        stream.flush().await?;
        said = reply(&mut stream).await?;
        if !said.starts_with(['2', '3']) {
            break;
        }
    }
    stream.write_all(b"QUIT\r\n").await?;
    Ok(said)
}

/// The last line of a reply.
async fn reply<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> io::Result<String> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.trim_end().to_owned());
        }
    }
}
