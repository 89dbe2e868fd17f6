//! What looks on from outside, whoever is killed: the log, the trail, the vault and the files.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_otp_domain::{Event, EventType, RequestId, Timestamp, codec};
use agent_otp_jetstream::{Connection, Kept, Replay, StoredEvent, clock};
use agent_otp_tests::{Ended, Needle, Parties, Place, Process, eventually, search};
use agent_otp_user::{Approver, ApproverError};

use super::CODES;

/// What looks on from outside, whoever is killed.
pub(crate) struct Eyes {
    log: Replay,
    admin: Connection,
    approver: Approver,
}

/// An event of the one request.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) kind: EventType,
    stored_at: Timestamp,
    /// When the request lapses, if this is what says so.
    expires_at: Option<Timestamp>,
}

impl Eyes {
    pub(crate) async fn of(place: &Place) -> Self {
        Self {
            log: Replay::new(place.connection("auditor:local").await),
            admin: place.connection("provision").await,
            approver: place.approver().await,
        }
    }

    /// The one request, once it is stored; none if its agent was killed before it had asked.
    pub(crate) async fn asked(&self, parties: &Parties<'_>, agent: &mut Process) -> Option<RequestId> {
        eventually("the request to stand", async || {
            let (has_ended, is_told) = (agent.has_ended(), agent.said().contains("requested  "));
            let has_asked = parties.agent.written().iter().any(|subject| subject.ends_with(".request"));
            let stored = self.stored().await;
            let first = stored.first().map(|stored| codec::decode_event(&stored.body).unwrap().request);
            match first {
                Some(id) if is_told || has_ended => Some(Some(id)),
                None if has_ended && !has_asked => Some(None),
                Some(_) | None => None,
            }
        })
        .await
    }

    /// Approves, as often as it takes; what is answered is stored.
    pub(crate) async fn approve(&self, id: RequestId) {
        eventually("the approval", async || match self.approver.find(id).await {
            Ok(request) if request.approval.is_some() => Some(()),
            Ok(request) => {
                let approved = self.approver.approve(&request).await.ok()?;
                let kinds: Vec<EventType> = self.history(id).await.iter().map(|it| it.kind).collect();
                assert!(
                    kinds.contains(&EventType::Approved),
                    "{approved:?} was answered, {kinds:?} is stored"
                );
                Some(())
            }
            Err(ApproverError::Unknown { .. }) => self.ended(id).await.map(drop),
            Err(_) => None,
        })
        .await;
    }

    /// The whole log, each event once.
    async fn stored(&self) -> Vec<StoredEvent> {
        let stored = eventually("the log", async || self.log.from(1).await.ok()).await;
        assert!(stored.iter().zip(1..).all(|(stored, at)| stored.sequence == at), "a gap in the log");
        stored
    }

    /// What happened to the request: versions without a gap, and no type twice.
    async fn history(&self, id: RequestId) -> Vec<Happened> {
        let mut history: Vec<Happened> = Vec::new();
        for stored in self.stored().await {
            let recorded = codec::decode_event(&stored.body).unwrap();
            assert_eq!(recorded.request, id, "another request");
            let kind = recorded.event.kind();
            assert_eq!(recorded.version.0, history.len() as u64 + 1, "{history:?} {kind}");
            assert!(history.iter().all(|happened| happened.kind != kind), "{kind} twice");
            let expires_at = match &recorded.event {
                Event::Requested { expires_at, .. } => Some(*expires_at),
                Event::Approved { .. }
                | Event::Captured { .. }
                | Event::Consumed { .. }
                | Event::Denied { .. }
                | Event::Expired
                | Event::Cancelled { .. } => None,
            };
            history.push(Happened { kind, stored_at: stored.stored_at, expires_at });
        }
        history
    }

    /// The same, if it has ended.
    pub(crate) async fn ended(&self, id: RequestId) -> Option<Vec<Happened>> {
        let history = self.history(id).await;
        history.last().is_some_and(|last| EventType::ENDS.contains(&last.kind)).then_some(history)
    }

    /// Waits until the vault has nothing, and says how much later that, or the end, came than it should.
    pub(crate) async fn erased(&self, history: &[Happened]) -> Duration {
        let (first, last) = (history.first().unwrap(), history.last().unwrap());
        let mut late = Duration::ZERO;
        if last.kind == EventType::Expired {
            late = last.stored_at.since(first.expires_at.unwrap());
        }
        eventually("an empty vault", async || (self.in_vault().await? == 0).then_some(())).await;
        late.max(clock::now().since(last.stored_at))
    }

    /// Waits until the trail has everything, and looks for what must be nowhere.
    pub(crate) async fn settled(&self, place: &Place, parties: &Parties<'_>, ended: &Ended) {
        let stored = self.stored().await;
        for (sequence, id) in parties.relays.iter().flat_map(|relay| relay.proxy.acknowledged()) {
            let kept =
                stored.iter().find(|stored| stored.sequence == sequence).expect("what was acknowledged");
            assert_eq!(codec::decode_event(&kept.body).unwrap().id, id, "event {sequence} is another one");
        }
        self.trail(place, &stored).await;

        let codes = CODES.map(Needle::text);
        let left = search(&place.dir(), &codes);
        assert!(left.is_empty(), "{left:?}");
        assert!(codes.iter().all(|code| code.in_bytes(ended.stderr.as_bytes()).is_none()), "{ended:?}");
        let sealed: BTreeSet<Vec<u8>> =
            parties.relays.iter().flat_map(|relay| relay.proxy.sealed()).collect();
        // The encapsulated key, which the first 32 bytes are, is another one in each.
        let needle = |kept: &Vec<u8>| {
            let kept: Kept = codec::decode(kept).unwrap();
            Needle::bytes("sealed", &kept.sealed.0.as_bytes()[..32])
        };
        let sealed: Vec<Needle> = sealed.iter().map(needle).collect();
        eventually("the ciphertext to be in no file", async || {
            search(&place.dir(), &sealed).is_empty().then_some(())
        })
        .await;
        eventually("a vault that stays empty", async || (self.in_vault().await? == 0).then_some(())).await;
    }

    /// How many ciphertexts the vault holds; none if the broker does not say.
    async fn in_vault(&self) -> Option<u64> {
        let answer = self.admin.client().request("$JS.API.STREAM.INFO.KV_otp_vault", "".into()).await.ok()?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        answer["state"]["messages"].as_u64()
    }

    /// The trail has every event of the log, and each exactly once.
    async fn trail(&self, place: &Place, stored: &[StoredEvent]) {
        eventually("the trail to hold the log", async || {
            let rows = place.events().await;
            for (row, stored) in rows.iter().zip(stored) {
                let recorded = codec::decode_event(&stored.body).unwrap();
                assert_eq!(row["position"], stored.sequence, "{row}");
                assert_eq!(row["type"], recorded.event.kind().as_str(), "{row}");
                assert_eq!(row["version"], recorded.version.0, "{row}");
                assert_eq!(row["verification"], "verified", "{row}");
            }
            (rows.len() == stored.len()).then_some(())
        })
        .await;
    }
}
