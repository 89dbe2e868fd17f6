//! Learns what becomes of an owner's requests: subscribes first, then asks; again after every reconnect and every 30 s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{RequestKey, Timestamp};
use agent_otp_jetstream::{Feed, Member, VerifyError, clock};
use agent_otp_trust::VerifiedRequest;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, warn};

/// How often everything is asked for again, although no event came.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long it waits when the broker is gone.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Something that was learnt, and verified.
#[derive(Debug)]
pub(crate) enum Update {
    /// Where a request stands.
    Request {
        verified: Box<VerifiedRequest>,
        /// When it was stored, by this machine's clock: the time that it was made at can be compared with that.
        stored_at: Option<Timestamp>,
    },
    /// Everything was asked for after a connect: what the broker lost may be offered again.
    Synced,
}

/// Watches until nobody listens any more. `tracked` are requests to be looked at besides the open ones.
pub(crate) async fn watch(member: Arc<Member>, tracked: BTreeSet<RequestKey>, updates: mpsc::Sender<Update>) {
    let mut watch = Watch { member, tracked, is_behind: false, updates };
    loop {
        match Feed::of_owner(watch.member.bus.connection(), watch.member.bus.owner()).await {
            Ok(feed) => {
                if watch.follow(feed).await.is_none() {
                    return;
                }
            }
            Err(error) => debug!(%error, "no subscription to events"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

struct Watch {
    member: Arc<Member>,
    /// The requests that had not ended when they were last looked at: their ends must not be missed.
    tracked: BTreeSet<RequestKey>,
    /// Whether something was asked for, and nobody answered.
    is_behind: bool,
    updates: mpsc::Sender<Update>,
}

impl Watch {
    /// Follows one subscription; `None` when nobody listens any more.
    async fn follow(&mut self, mut feed: Feed) -> Option<()> {
        let mut connects = self.member.bus.connection().connects();
        let mut again = Instant::now();
        loop {
            tokio::select! {
                hint = feed.next() => {
                    let Some(hint) = hint else { return Some(()) };
                    self.look(hint.recorded.key()).await?;
                    if self.is_behind {
                        again = again.min(Instant::now() + AGAIN_AFTER);
                    }
                    continue;
                }
                () = sleep_until(again) => {}
                changed = connects.changed() => changed.ok()?,
                () = self.updates.closed() => return None,
            }
            self.sync().await?;
            again = Instant::now() + if self.is_behind { AGAIN_AFTER } else { ASK_AGAIN };
        }
    }

    /// Asks for everything: the roster, the open requests, and what has become of the others.
    async fn sync(&mut self) -> Option<()> {
        self.is_behind = false;
        if let Err(error) = self.member.verifier.current(clock::now()).await {
            self.report(&error, "the roster");
        }
        let owner = self.member.bus.owner().clone();
        match self.member.bus.open().await {
            Ok(open) => self.tracked.extend(open.into_iter().map(|open| RequestKey {
                owner: owner.clone(),
                agent: open.agent,
                request: open.request,
            })),
            Err(error) => {
                self.report(&error.into(), "the open requests");
                return Some(());
            }
        }
        for key in self.tracked.clone() {
            self.look(key).await?;
        }
        self.updates.send(Update::Synced).await.ok()
    }

    async fn look(&mut self, key: RequestKey) -> Option<()> {
        match self.member.verifier.request_dated(&key).await {
            Ok(Some((verified, stored_at))) => {
                if verified.end.is_some() {
                    self.tracked.remove(&key);
                } else {
                    self.tracked.insert(key);
                }
                self.updates.send(Update::Request { verified: Box::new(verified), stored_at }).await.ok()
            }
            Ok(None) => {
                self.tracked.remove(&key);
                Some(())
            }
            Err(error) => {
                self.report(&error, "a request");
                Some(())
            }
        }
    }

    /// An answer that does not come is ordinary, and asked for again soon; one that is not believed is not.
    fn report(&mut self, error: &VerifyError, what: &'static str) {
        match error {
            VerifyError::Call(error) if error.is_transient() => {
                self.is_behind = true;
                debug!(what, %error, "not known at the moment");
            }
            VerifyError::Call(_) | VerifyError::Roster(_) => warn!(what, %error, "not known"),
            VerifyError::Untrusted(cause) => error!(what, %cause, "what the relay serves is not believed"),
        }
    }
}
