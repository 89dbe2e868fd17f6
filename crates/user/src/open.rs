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
/// How long after that it may well come.
const LATER: Duration = Duration::from_mins(10);

/// When the message of an open request comes, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is likely to come any moment.
    Soon,
    /// It may come yet.
    Later,
    /// None is waited for, or one for so long that it comes when it comes.
    Sometime,
}

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

    /// When its message comes: by when a request was last heard of.
    pub(crate) fn expected(&mut self) -> Expected {
        if let Some(until) = &mut self.until
            && until.has_changed().unwrap_or_default()
        {
            until.mark_unchanged();
            self.heard_at = Some(Instant::now());
        }
        if !self.is() {
            return Expected::Sometime;
        }
        // Of one that was open before, nobody knows how long.
        match self.heard_at.get_or_insert_with(Instant::now).elapsed() {
            ago if ago < SOON => Expected::Soon,
            ago if ago < LATER => Expected::Later,
            _ => Expected::Sometime,
        }
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
    async fn a_message_is_expected_soon_then_later_and_again_with_each_request_that_is_heard_of() {
        let later = || Some(clock::now().after(Duration::from_hours(1)));
        let until = watch::Sender::new(None);
        let mut open = Open::until(until.subscribe());
        assert_eq!(open.expected(), Expected::Sometime);
        until.send_replace(later());
        open.opened().await;
        assert_eq!(open.expected(), Expected::Soon);
        advance(SOON).await;
        assert_eq!(open.expected(), Expected::Later);
        until.send_replace(later());
        assert_eq!(open.expected(), Expected::Soon);
        advance(LATER).await;
        assert!(open.is());
        assert_eq!(open.expected(), Expected::Sometime);
        until.send_replace(later());
        until.send_replace(None);
        assert_eq!(open.expected(), Expected::Sometime);
    }
}
