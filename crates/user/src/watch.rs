//! Learns what becomes of an owner's requests: subscribes first, then asks; again after every reconnect and every 30 s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{Recorded, RequestId, RequestKey, Timestamp};
use agent_otp_jetstream::{Feed, Member, Unfollowed, VerifyError, clock};
use agent_otp_trust::VerifiedRequest;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

/// How often everything is asked for again, although no event came.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long it waits when the broker is gone.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Within what time of being made a request is heard of as a rule. One that seems older may have waited on its way, or
/// one of the clocks is wrong: the relay is asked how long ago it came.
const PROMPT: Duration = Duration::from_secs(5);

/// Something that was learnt, and verified.
#[derive(Debug)]
pub(crate) enum Update {
    /// Where a request stands.
    Request {
        verified: Box<VerifiedRequest>,
        /// When it was stored, by this machine's clock: the time that it was made at can be compared with that.
        stored_at: Option<Timestamp>,
    },
    /// What is served is not believed.
    Wrong {
        /// Which request; none where it is the roster, or all of them.
        request: Option<RequestId>,
        error: VerifyError,
    },
    /// Everything was asked for after a connect: what the broker lost may be offered again.
    Synced,
}

/// Watches until nobody listens any more. `tracked` are requests to be looked at besides the open ones.
pub(crate) async fn watch(member: Arc<Member>, tracked: BTreeSet<RequestKey>, updates: mpsc::Sender<Update>) {
    let tracked = tracked.into_iter().map(|key| (key, None)).collect();
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
    /// The requests that had not ended when they were last heard of: their ends must not be missed.
    tracked: BTreeMap<RequestKey, Option<Known>>,
    /// Whether something was asked for, and nobody answered.
    is_behind: bool,
    updates: mpsc::Sender<Update>,
}

/// What is known of a request.
#[derive(Debug, Clone)]
struct Known {
    verified: VerifiedRequest,
    stored_at: Option<Timestamp>,
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
                    self.hear(&hint.recorded).await?;
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
            self.report(None, error).await?;
        }
        let owner = self.member.bus.owner().clone();
        match self.member.bus.open().await {
            Ok(open) => {
                for open in open {
                    let key = RequestKey { owner: owner.clone(), agent: open.agent, request: open.request };
                    self.tracked.entry(key).or_default();
                }
            }
            Err(error) => {
                return self.report(None, error.into()).await;
            }
        }
        let tracked: Vec<RequestKey> = self.tracked.keys().cloned().collect();
        for key in tracked {
            self.look(key).await?;
        }
        self.updates.send(Update::Synced).await.ok()
    }

    /// Takes an event as it comes. What does not follow from what is known is asked for.
    async fn hear(&mut self, recorded: &Recorded) -> Option<()> {
        let key = recorded.key();
        let known = self.tracked.get_mut(&key).and_then(Option::take);
        let (before, dated) =
            known.map_or((None, None), |known| (Some(known.verified), Some(known.stored_at)));
        let followed = match self.member.verifier.follow(before, recorded) {
            Ok(verified) => Some(verified),
            Err(Unfollowed::Missed) => None,
            Err(Unfollowed::Lie(error)) => {
                self.report(Some(key.request), error).await?;
                None
            }
        };
        if let Some(verified) = followed {
            let now = clock::now();
            let made_at = verified.request.heading.made_at;
            let is_prompt = now.since(made_at) < PROMPT && made_at.since(now) < PROMPT;
            if let Some(stored_at) = dated.or_else(|| is_prompt.then_some(Some(now))) {
                return self.tell(Known { verified, stored_at }).await;
            }
        }
        self.look(key).await
    }

    async fn look(&mut self, key: RequestKey) -> Option<()> {
        match self.member.verifier.request_dated(&key).await {
            Ok(Some((verified, stored_at))) => self.tell(Known { verified, stored_at }).await,
            Ok(None) => {
                self.tracked.remove(&key);
                Some(())
            }
            Err(error) => {
                let request = key.request;
                self.tracked.entry(key).or_default();
                self.report(Some(request), error).await
            }
        }
    }

    async fn tell(&mut self, known: Known) -> Option<()> {
        let key = known.verified.key.clone();
        if known.verified.end.is_some() {
            self.tracked.remove(&key);
        } else {
            self.tracked.insert(key, Some(known.clone()));
        }
        let Known { verified, stored_at } = known;
        self.updates.send(Update::Request { verified: Box::new(verified), stored_at }).await.ok()
    }

    /// An answer that does not come is ordinary, and asked for again soon; one that is not believed is not.
    async fn report(&mut self, request: Option<RequestId>, error: VerifyError) -> Option<()> {
        if error.is_alarm() {
            return self.updates.send(Update::Wrong { request, error }).await.ok();
        }
        if matches!(&error, VerifyError::Call(error) if error.is_transient()) {
            self.is_behind = true;
            debug!(?request, %error, "not known at the moment");
        } else {
            warn!(?request, %error, "not known");
        }
        Some(())
    }
}
