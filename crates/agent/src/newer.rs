//! Whether another code came after the one that the agent has: that one is not replaced, and the agent may ask again.

use std::sync::Arc;

use agent_otp_domain::{RequestKey, SignedStatement, Timestamp};
use agent_otp_jetstream::{Statements, VerifyError, clock};
use tokio::time::timeout;

use crate::agent::Inner;

/// Listens for a newer code, from before the first one is there until the request's deadline.
#[derive(Debug)]
#[must_use = "who does not wait hears of nothing"]
pub struct Newer {
    agent: Arc<Inner>,
    key: RequestKey,
    expires_at: Timestamp,
    notices: Statements,
}

impl Newer {
    pub(crate) fn new(
        agent: Arc<Inner>,
        key: RequestKey,
        expires_at: Timestamp,
        notices: Statements,
    ) -> Self {
        Self { agent, key, expires_at, notices }
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

    async fn is_true(&self, notice: &SignedStatement) -> Result<bool, VerifyError> {
        let verifier = &self.agent.member.verifier;
        let request = verifier.request(&self.key).await?;
        let Some((_, capture)) = request.and_then(|request| request.capture) else { return Ok(false) };
        verifier.newer(notice, &capture).await.map(|()| true)
    }
}
