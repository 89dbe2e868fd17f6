//! Whole lives of requests: asked, approved, captured from a mail, and consumed.

use std::time::Duration;

use agent_otp_agent::Asking;
use agent_otp_user::mail::authentication::Envelope;
use anyhow::{Context as _, ensure};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::bench::figures::Tally;
use crate::bench::stage::Stage;

/// The source that the mails are said to come from.
const SOURCE: &str = "bench";
/// How long any one life may take.
const LIFE_MAX: Duration = Duration::from_secs(30);

/// As many lives as fit, `in_flight` at a time.
pub(super) async fn during(stage: &Stage, in_flight: usize, time: Duration) -> anyhow::Result<Tally> {
    let begun = Instant::now();
    let runners = (0..in_flight).map(|_| async {
        let mut taken = Vec::new();
        while begun.elapsed() < time {
            taken.push(tokio::time::timeout(LIFE_MAX, one(stage)).await.context("a life took too long")??);
        }
        anyhow::Ok(taken)
    });
    let taken = futures_util::future::try_join_all(runners).await?;
    Ok(Tally::new(taken.concat(), begun.elapsed()))
}

/// One life; its mail arrives while the request is on its way, as it does where the agent has just made the service
/// send it.
async fn one(stage: &Stage) -> anyhow::Result<Duration> {
    let number = stage.next();
    let (domain, code) = sender_and_code(number);
    let asking = Asking::code_by_email("Measure what a request costs", &domain)?;
    let mail = Zeroizing::new(mail(&domain, &code).into_bytes());
    let (from, begun) = (Envelope::local(), Instant::now());
    let (pending, taken) = tokio::join!(stage.agent.request(asking), stage.intake.mail(SOURCE, &from, mail));
    taken?;
    let received = pending?.wait().await?;
    let taken = begun.elapsed();
    ensure!(received.expose() == code, "another code arrived than was sent");
    Ok(taken)
}

/// A sender and a code of a life's own, so that no message fits two requests.
pub(super) fn sender_and_code(number: u64) -> (String, String) {
    // A large odd factor spreads the codes over six digits without repeating any of the first million.
    (format!("service-{number}.example"), format!("{:06}", number.wrapping_mul(48_271_337) % 1_000_000))
}

/// A mail as services send it.
pub(super) fn mail(domain: &str, code: &str) -> String {
    format!(
        "From: Service <no-reply@{domain}>\r\nTo: user@home.example\r\nSubject: Your sign-in code\r\n\
         Message-ID: <{code}@{domain}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         Hello,\r\n\r\nyour verification code is: {code}\r\n\r\nIt is valid for 10 minutes.\r\n"
    )
}
