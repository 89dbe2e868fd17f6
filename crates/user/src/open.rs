//! Whether a request is open that a message could answer: a source that has to ask for its messages asks more often then,
//! and most often at the beginning, when the message is on its way.

use std::future::pending;
use std::time::Duration;

use agent_otp_domain::Timestamp;
use agent_otp_jetstream::clock;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long after it was last heard of a request its message is likely to come.
const SOON: Duration = Duration::from_mins(1);

/// What a source knows of the open requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    until: Option<watch::Receiver<Option<Timestamp>>>,
    /// When a request was last opened, approved or over, as far as that was looked at.
    heard_at: Option<Instant>,
}

impl Open {
    /// Knows until when one is open, at the longest, from whoever says so.
    pub(crate) fn until(until: watch::Receiver<Option<Timestamp>>) -> Self {
        Self { until: Some(until), heard_at: None }
    }

    /// Whether one is open now.
    pub(crate) fn is(&self) -> bool {
        let until = self.until.as_ref().and_then(|until| *until.borrow());
        until.is_some_and(|until| clock::now() < until)
    }

    /// Whether one is open of which something was heard a moment ago.
    pub(crate) fn is_fresh(&mut self) -> bool {
        if let Some(until) = &mut self.until
            && until.has_changed().unwrap_or_default()
        {
            until.mark_unchanged();
            self.heard_at = Some(Instant::now());
        }
        // Of one that was open before, nobody knows how long.
        self.is() && self.heard_at.get_or_insert_with(Instant::now).elapsed() < SOON
    }

    /// Waits until one is opened; for ever, if nobody would say so.
    pub(crate) async fn opened(&mut self) {
        while !self.is() {
            self.changed().await;
        }
    }

    /// Waits until one is opened, approved or over; for ever, if nobody would say so.
    pub(crate) async fn changed(&mut self) {
        let Some(until) = &mut self.until else { return pending().await };
        if until.changed().await.is_ok() {
            self.heard_at = Some(Instant::now());
        } else {
            self.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_is_fresh_for_a_while_and_again_with_each_that_is_heard_of() {
        let later = || Some(clock::now().after(Duration::from_hours(1)));
        let until = watch::Sender::new(None);
        let mut open = Open::until(until.subscribe());
        assert!(!open.is() && !open.is_fresh());
        until.send_replace(later());
        open.opened().await;
        assert!(open.is_fresh());
        advance(SOON).await;
        assert!(open.is() && !open.is_fresh());
        until.send_replace(later());
        assert!(open.is_fresh());
        advance(SOON).await;
        assert!(!open.is_fresh());
        until.send_replace(None);
        assert!(!open.is() && !open.is_fresh());
    }
}
