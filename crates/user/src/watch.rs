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

use crate::obstacle::Stored;

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
    /// Where requests stand. Those that were learnt of together come together: two of them may be for one message, so none
    /// is acted on before all are known.
    Requests(Vec<Known>),
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
    let mut watch = Watch { member, tracked, listed_at: None, is_behind: false, updates };
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
    /// When the open requests were last asked for, and all of them looked at.
    listed_at: Option<Timestamp>,
    /// Whether something was asked for, and nobody answered.
    is_behind: bool,
    updates: mpsc::Sender<Update>,
}

/// What is known of a request.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) verified: VerifiedRequest,
    /// When it was stored: the time that it was made at can be compared with that.
    pub(crate) stored: Stored,
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
        let (owner, asked_at) = (self.member.bus.owner().clone(), clock::now());
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
        let mut learnt = Vec::new();
        for key in tracked {
            learnt.extend(self.look(key).await?);
        }
        self.listed_at = Some(asked_at);
        self.tell(learnt).await?;
        self.updates.send(Update::Synced).await.ok()
    }

    /// Takes an event as it comes. What does not follow from what is known is asked for.
    async fn hear(&mut self, recorded: &Recorded) -> Option<()> {
        let key = recorded.key();
        let known = self.known(&key).cloned();
        let (before, dated) = known.map_or((None, None), |known| (Some(known.verified), Some(known.stored)));
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
            let prompt = Stored { at: Some(now), after: self.listed_at };
            if let Some(stored) = dated.or(is_prompt.then_some(prompt)) {
                return self.tell(vec![Known { verified, stored }]).await;
            }
        }
        let learnt = self.look(key).await?;
        self.tell(Vec::from_iter(learnt)).await
    }

    /// Asks for one request: what is served of it, if that is believed.
    async fn look(&mut self, key: RequestKey) -> Option<Option<Known>> {
        match self.member.verifier.request_dated(&key).await {
            Ok(Some((verified, at))) => {
                // What was not shown when all was asked for was stored since. One that is listed and not shown counts as
                // if it were not listed.
                let after = self.known(&key).map_or(self.listed_at, |known| known.stored.after);
                Some(Some(Known { verified, stored: Stored { at, after } }))
            }
            Ok(None) => {
                self.tracked.remove(&key);
                Some(None)
            }
            Err(error) => {
                let request = key.request;
                self.tracked.entry(key).or_default();
                self.report(Some(request), error).await?;
                Some(None)
            }
        }
    }

    async fn tell(&mut self, learnt: Vec<Known>) -> Option<()> {
        for known in &learnt {
            let key = known.verified.key.clone();
            if known.verified.end.is_some() {
                self.tracked.remove(&key);
            } else {
                self.tracked.insert(key, Some(known.clone()));
            }
        }
        self.updates.send(Update::Requests(learnt)).await.ok()
    }

    fn known(&self, key: &RequestKey) -> Option<&Known> {
        self.tracked.get(key).and_then(Option::as_ref)
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
