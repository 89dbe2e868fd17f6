//! How long the user's mail takes to reach the agent as a code: from the end of SMTP's `DATA` to the agent's hands.

use std::time::Duration;

use agent_otp_agent::{Asking, Progress};
use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::bench::figures::{Spread, Tally};
use crate::bench::life;
use crate::bench::stage::Stage;

/// How long one mail may take.
const MAIL_MAX: Duration = Duration::from_secs(30);

/// One after another: each approved before its mail is sent.
pub(super) async fn data_to_code(stage: &Stage, count: u32) -> anyhow::Result<Spread> {
    let begun = Instant::now();
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(timeout(MAIL_MAX, one(stage)).await.context("a mail took too long")??);
    }
    Ok(Tally::new(taken, begun.elapsed()).spread())
}

async fn one(stage: &Stage) -> anyhow::Result<Duration> {
    let (domain, code) = life::sender_and_code(stage.next());
    let pending = stage.agent.request(Asking::code_by_email("Measure a mail's way", &domain)?).await?;
    let (approved, is_approved) = oneshot::channel();
    let mut approved = Some(approved);
    let waiting = pending.wait_telling(|progress| {
        if progress == Progress::Approved {
            approved.take().map(|approved| approved.send(()).ok());
        }
    });
    let sending = async {
        is_approved.await.context("the request was not approved")?;
        send(stage, &life::mail(&domain, &code)).await
    };
    let (received, sent_at) = tokio::join!(async { (waiting.await, Instant::now()) }, sending);
    let (received, received_at) = received;
    ensure!(received?.expose() == code, "another code arrived than was sent");
    Ok(received_at.duration_since(sent_at?))
}

/// Sends a mail (RFC 5321), and says when its last byte had left.
async fn send(stage: &Stage, mail: &str) -> anyhow::Result<Instant> {
    let (reading, mut writing) = TcpStream::connect(stage.smtp).await?.into_split();
    let mut replies = BufReader::new(reading).lines();
    for line in ["", "HELO bench\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<user@home.example>\r\n", "DATA\r\n"] {
        writing.write_all(line.as_bytes()).await?;
        let reply = replies.next_line().await?.context("the listener hung up")?;
        ensure!(reply.starts_with('2') || reply.starts_with('3'), "the listener says: {reply}");
    }
    writing.write_all(format!("{mail}.\r\n").as_bytes()).await?;
    let sent_at = Instant::now();
    let reply = replies.next_line().await?.context("the listener hung up")?;
    ensure!(reply.starts_with('2'), "the listener says: {reply}");
    Ok(sent_at)
}
