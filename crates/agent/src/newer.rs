//! Whether another code came after the one that the agent has: that one is not replaced, and the agent may ask again.

use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{RequestKey, SignedStatement, Timestamp};
use agent_otp_jetstream::{Statements, VerifyError, clock};
use agent_otp_trust::Capture;
use tokio::time::{Instant, sleep_until, timeout};

use crate::agent::Inner;

/// How often the relay is asked, at most, what the agent's code was captured by.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Listens for a newer code, from before the first one is there until the request's deadline.
#[derive(Debug)]
#[must_use = "who does not wait hears of nothing"]
pub struct Newer {
    agent: Arc<Inner>,
    key: RequestKey,
    expires_at: Timestamp,
    notices: Statements,
    /// What the agent's code was captured by, once that is known.
    capture: Option<Capture>,
    /// When the relay may be asked for it again.
    ask_at: Instant,
}

impl Newer {
    pub(crate) fn new(
        agent: Arc<Inner>,
        key: RequestKey,
        expires_at: Timestamp,
        notices: Statements,
    ) -> Self {
        Self { agent, key, expires_at, notices, capture: None, ask_at: Instant::now() }
    }

    /// Waits until the capturer says that another code came after the one that it sealed: `true`; or until the request's
    /// deadline: `false`. What the broker keeps back, or loses while it is gone, is not heard of.
    pub async fn came(mut self) -> bool {
        let left = self.expires_at.since(clock::now());
        timeout(left, self.heard()).await.unwrap_or(false)
    }

    async fn heard(&mut self) -> bool {
        while let Some(notice) = self.notices.next().await {
            match self.is_true(&notice).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) if error.is_alarm() => self.agent.raise(Some(self.key.request), &error),
                Err(error) => tracing::debug!(%error, "a notice is not believed at the moment"),
            }
        }
        false
    }

    async fn is_true(&mut self, notice: &SignedStatement) -> Result<bool, VerifyError> {
        let verifier = &self.agent.member.verifier;
        if self.capture.is_none() {
            // Whoever may publish here could have the relay asked as often as it likes.
            sleep_until(self.ask_at).await;
            self.ask_at = Instant::now() + ASK_EVERY;
            let request = verifier.request(&self.key).await?;
            self.capture = request.and_then(|request| request.capture).map(|(_, capture)| capture);
        }
        let Some(capture) = &self.capture else { return Ok(false) };
        verifier.newer(notice, capture).await.map(|()| true)
    }
}
