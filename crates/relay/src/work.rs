//! What the relay does unasked: lets deadlines pass, repeats every erasure, and gives a broker its vault back.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use agent_otp_domain::{Event, EventType, codec};
use agent_otp_jetstream::provision::{self, ProvisionError};
use agent_otp_jetstream::{AppendError, Due, Replay, StoreError, clock};
use futures_util::{Stream, StreamExt as _};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::command::Expiry;
use crate::serve::Relay;

/// How long a failed piece of work waits.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a timer waits at most whose request cannot be read. Its deadline holds without it.
const UNREAD_AGAIN_MAX: Duration = Duration::from_mins(10);
/// How many pages of the log's end are looked through for requests whose timers may be lost: far more than can be under
/// way in all relays together.
const LATEST_PAGES: usize = 2;
/// How often a timer looks for a request whose event is not there: a minute, after which no append is under way.
const ABSENT_LOOKS_MAX: i64 = 60;

impl Relay {
    /// Turns fired timers into `expired`.
    pub(crate) async fn watch_deadlines(&self) {
        follow("timers", || self.timers.fired(), |due| self.deadline(due)).await;
    }

    /// Repeats the erasure that belongs to every end, whatever crashed in between.
    pub(crate) async fn watch_ends(&self) {
        follow("ends", || self.timers.ends(), |due| self.end(due)).await;
    }

    async fn deadline(&self, due: Due) -> Result<(), StoreError> {
        let Some(key) = &due.request else { return due.done().await };
        match self.expire(key).await {
            Ok(()) => due.done().await,
            // Early by this clock: put back with what remains.
            Err(Expiry::Early(expires_at)) => due.again_after(expires_at.since(clock::now())).await,
            // The timer is armed before the event is appended, so the event may still come.
            Err(Expiry::Absent) if due.deliveries < ABSENT_LOOKS_MAX => due.again_after(AGAIN_AFTER).await,
            Err(Expiry::Absent) => due.done().await,
            // It may be a newer relay's, which shares this durable: what is acknowledged here would be lost there.
            Err(Expiry::Failed(AppendError::Store(error @ StoreError::Damaged { .. }))) => {
                self.damaged.tell(key, &error);
                due.again_after(unread_again_after(due.deliveries)).await
            }
            Err(Expiry::Failed(error)) => {
                warn!(request = %key, %error, "expiry is tried again");
                due.again_after(AGAIN_AFTER).await
            }
        }
    }

    async fn end(&self, due: Due) -> Result<(), StoreError> {
        let Some(key) = &due.request else { return due.done().await };
        if due.end == Some(EventType::Consumed) {
            let left = self.grace.left(key, due.deliveries, Instant::now());
            if !left.is_zero() {
                return due.again_after(left).await;
            }
        }
        match self.vault.erase(key).await {
            Ok(()) => due.done().await,
            Err(error) => {
                warn!(request = %key, %error, "erasure is tried again");
                due.again_after(AGAIN_AFTER).await
            }
        }
    }

    /// Arms, after each connect, what a broker that failed may have lost: the timers of the requests that it stored last.
    pub(crate) async fn watch_timers(&self) {
        let mut connects = self.connection.connects();
        loop {
            if let Err(error) = self.arm_latest().await {
                warn!(%error, "timers are looked after again");
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
            if connects.changed().await.is_err() {
                return;
            }
        }
    }

    async fn arm_latest(&self) -> Result<(), StoreError> {
        let last = self.replay.last().await?;
        let mut open = BTreeMap::new();
        for page in (0..LATEST_PAGES).rev() {
            let back = (page + 1).saturating_mul(Replay::BATCH);
            let from = last.saturating_add(1).saturating_sub(back.try_into().unwrap_or(u64::MAX));
            for stored in self.replay.from(from).await? {
                let Ok(recorded) = codec::decode_event(&stored.body) else { continue };
                match &recorded.event {
                    Event::Requested { expires_at, .. } => drop(open.insert(recorded.key(), *expires_at)),
                    Event::Approved { .. } | Event::Captured { .. } => {}
                    Event::Consumed { .. }
                    | Event::Denied { .. }
                    | Event::Expired
                    | Event::Cancelled { .. } => drop(open.remove(&recorded.key())),
                }
            }
        }
        for (key, expires_at) in open {
            self.timers.arm(&key, expires_at).await?;
        }
        Ok(())
    }

    /// Makes the vault again after each connect: a single server's memory stream vanishes when it restarts.
    pub(crate) async fn watch_vault(&self) {
        let mut connects = self.connection.connects();
        loop {
            match provision::ensure_vault(&self.connection, self.settings).await {
                Ok(done) if done.created.is_empty() => {}
                Ok(_) => info!("the vault was made again"),
                // Asking again changes nothing of it, but another broker may answer after the next connect.
                Err(error @ ProvisionError::Differs { .. }) => {
                    error!(error = %error, "this relay is told other settings than the vault has: `--vault`, `--replicas`");
                }
                Err(error @ ProvisionError::Refused { .. }) => {
                    warn!(error = %error, "the vault is not there");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
            }
            if connects.changed().await.is_err() {
                return;
            }
        }
    }
}

/// How long a timer waits whose request could not be read at this delivery: twice as long as at the one before.
fn unread_again_after(deliveries: i64) -> Duration {
    let before = u32::try_from(deliveries.saturating_sub(1).clamp(0, 30)).unwrap_or(0);
    AGAIN_AFTER.saturating_mul(2_u32.saturating_pow(before)).min(UNREAD_AGAIN_MAX)
}

/// Works a durable off, and opens it again whenever it breaks off: such a stream gives errors while the broker is gone.
async fn follow<S, Open, Opening, Work, Working>(what: &'static str, open: Open, work: Work)
where
    Open: Fn() -> Opening,
    Opening: Future<Output = Result<S, StoreError>>,
    S: Stream<Item = Result<Due, StoreError>>,
    Work: Fn(Due) -> Working,
    Working: Future<Output = Result<(), StoreError>>,
{
    loop {
        match open().await {
            Ok(due) => {
                let mut due = std::pin::pin!(due);
                while let Some(Ok(one)) = due.next().await {
                    if let Err(error) = work(one).await {
                        warn!(what, %error, "the message comes again");
                    }
                }
            }
            Err(error) => warn!(what, %error, "the durable is not there"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_cannot_be_worked_off_comes_less_and_less_often_and_never_stays_away() {
        let seconds = [i64::MIN, 1, 2, 3, 10, 11, i64::from(u32::MAX), i64::MAX]
            .map(|deliveries| unread_again_after(deliveries).as_secs());
        assert_eq!(seconds, [1, 1, 2, 4, 512, 600, 600, 600]);
    }
}
