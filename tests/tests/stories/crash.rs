//! Whoever is killed after whatever it has written: no event that was acknowledged is lost, none is stored twice, every
//! request ends, no ciphertext is left, and a code that was captured arrives unless it was consumed.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use agent_otp_domain::{EventType, RequestId, Timestamp, codec};
use agent_otp_jetstream::{Connection, Kept, Replay, StoredEvent};
use agent_otp_tests::{Ended, Needle, Parties, Place, Proxy, eventually, search};
use agent_otp_user::{Approver, ApproverError};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use rustix::process::Signal;
use tokio::sync::Semaphore;

const FROM: &str = "noreply@github.com";
/// What the service sends, and what it sends when it is asked again: nothing that stands in a file by chance.
const CODES: [&str; 2] = ["GHK4MNPQ", "ZXW7VTRQ"];
/// How many lives are told at once.
static LIVES: Semaphore = Semaphore::const_new(10);
/// How often a life is told that ends before its kill.
const TELLINGS_MAX: usize = 5;
/// What `agent-otp request` ends with if its code is gone.
const UNAVAILABLE: i32 = 14;
/// How long after it was due an end may come, and how long after an end its ciphertext may stay. A relay that died in
/// between costs 10 s: the time after which the next one takes over.
const OVERDUE_MAX: Duration = Duration::from_secs(20);

/// Who is killed, and by whose writes it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Relay,
    OneOfTwoRelays,
    User,
    Agent,
    Audit,
    /// The broker, after the relay's writes.
    BrokerOfRelay,
    /// The broker, after those of the user's side.
    BrokerOfUser,
}

/// How the request ends if nobody dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Consumed,
    /// The agent goes away, and nobody claims the code.
    Expired,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_may_die_after_any_write_of_a_life_that_ends_with_the_code() {
    every_kill(Victim::Relay, End::Consumed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_may_die_after_any_write_of_a_life_that_ends_unanswered() {
    every_kill(Victim::Relay, End::Expired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_relays_may_die_after_any_write() {
    every_kill(Victim::OneOfTwoRelays, End::Consumed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_users_side_may_die_after_any_write() {
    every_kill(Victim::User, End::Consumed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_may_die_after_any_write() {
    every_kill(Victim::Agent, End::Consumed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_trail_may_die_after_any_write() {
    every_kill(Victim::Audit, End::Consumed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_may_die_after_any_write_of_a_relay() {
    every_kill(Victim::BrokerOfRelay, End::Consumed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_may_die_after_any_write_of_the_users_side() {
    every_kill(Victim::BrokerOfUser, End::Consumed).await;
}

/// Tells one life without a kill, which counts the writes, and then one for each of them.
async fn every_kill(victim: Victim, end: End) {
    let calm = Life::new(victim, end, None).told().await.expect("a life without a kill");
    let tell = |n| async move {
        let mut told = Life::new(victim, end, Some(n)).told().await;
        for _ in 1..TELLINGS_MAX {
            if told.as_ref().is_ok_and(|told| !told.is_killed) {
                told = Life::new(victim, end, Some(n)).told().await;
            }
        }
        (n, told)
    };
    let told: Vec<_> = stream::iter(1..=calm.written.len()).map(tell).buffer_unordered(16).collect().await;

    let failed: Vec<String> =
        told.iter().filter_map(|(n, told)| Some(format!("write {n}: {}", told.as_ref().err()?))).collect();
    let told: Vec<&Told> = told.iter().filter_map(|(_, told)| told.as_ref().ok()).collect();
    let killed = told.iter().filter(|told| told.is_killed).count();
    let slowest = told.iter().map(|told| told.overdue).max().unwrap_or_default();
    println!(
        "{victim:?}, {end:?}: killed after {killed} of {} writes; ends and erasures at most {slowest:?} late",
        calm.written.len()
    );
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), calm.written.len(), failed.join("\n\n"));
    match victim {
        // What one of two relays writes is left to chance.
        Victim::OneOfTwoRelays => assert!(killed * 2 > calm.written.len(), "{killed}"),
        _ => assert_eq!(killed, calm.written.len(), "a life ended before its kill"),
    }
}

/// One life of one request, on a broker of its own.
struct Life {
    victim: Victim,
    end: End,
    /// After which write the victim is killed.
    kill_after: Option<usize>,
}

/// What a life came to.
struct Told {
    written: Vec<String>,
    is_killed: bool,
    overdue: Duration,
}

impl Life {
    fn new(victim: Victim, end: End, kill_after: Option<usize>) -> Self {
        Self { victim, end, kill_after }
    }

    /// Tells it, or says what went wrong.
    async fn told(self) -> Result<Told, String> {
        let _turn = LIVES.acquire().await.unwrap();
        let place = Place::new();
        AssertUnwindSafe(self.tell(&place)).catch_unwind().await.map_err(|panic| {
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned())).unwrap_or_default();
            format!("{why}\n{}", said(&place))
        })
    }

    async fn tell(&self, place: &Place) -> Told {
        let parties = Parties::of(place, if self.victim == Victim::OneOfTwoRelays { 2 } else { 1 }).await;
        let proxy = self.counted(&parties);
        if let Some(n) = self.kill_after {
            match self.victim {
                Victim::Relay | Victim::OneOfTwoRelays => proxy.after(n, parties.relays[0].killer()),
                Victim::User => proxy.after(n, parties.user.killer()),
                Victim::Agent => proxy.after(n, parties.agent_killer()),
                Victim::Audit => proxy.after(n, parties.audit.killer()),
                Victim::BrokerOfRelay | Victim::BrokerOfUser => proxy.after(n, parties.broker_killer()),
            }
        }
        let eyes = Eyes::of(place).await;
        let overdue = parties.run(self.live(place, &parties, &eyes)).await;
        Told { written: proxy.written(), is_killed: proxy.has_blown(), overdue }
    }

    fn counted<'a>(&self, parties: &'a Parties<'_>) -> &'a Proxy {
        match self.victim {
            Victim::Relay | Victim::OneOfTwoRelays | Victim::BrokerOfRelay => &parties.relays[0].proxy,
            Victim::User | Victim::BrokerOfUser => &parties.user.proxy,
            Victim::Agent => &parties.agent,
            Victim::Audit => &parties.audit.proxy,
        }
    }

    /// Request, approval, mail, end; what came later than it should, came later by so much.
    async fn live(&self, place: &Place, parties: &Parties<'_>, eyes: &Eyes) -> Duration {
        parties.ready().await;
        let is_short = self.victim == Victim::Agent || self.end == End::Expired;
        let ttl = if is_short { "5s" } else { "60s" };
        let mut agent = parties.start_request(&["--shape", "alnum:8", "--ttl", ttl]);
        let Some(id) = eyes.asked(parties, &mut agent).await else { return Duration::ZERO };
        if self.end == End::Expired {
            agent.signal(Signal::KILL);
        }
        eyes.approve(id).await;
        let mut starts = parties.user.starts();
        deliver(place, CODES[0]).await;
        let history = eventually("the end of the request", async || {
            // A mail that was taken and not captured went with the process, and the user asks for another.
            if parties.user.starts() != starts && parties.user.is_ready() {
                starts = parties.user.starts();
                deliver(place, CODES[1]).await;
            }
            eyes.ended(id).await
        })
        .await;
        let ended = agent.ended().await;
        self.judge(&ended, &history);
        let overdue = eyes.settled(place, parties, &history, &ended).await;
        assert!(overdue < OVERDUE_MAX, "the end or the erasure came {overdue:?} late");
        overdue
    }

    /// What the agent has printed, and what has become of the request.
    fn judge(&self, ended: &Ended, history: &[Happened]) {
        let kinds: Vec<EventType> = history.iter().map(|happened| happened.kind).collect();
        let whole = [EventType::Requested, EventType::Approved, EventType::Captured, EventType::Consumed];
        let is_consumed = kinds == whole;
        let is_expired = kinds.split_last().is_some_and(|(last, before)| {
            *last == EventType::Expired && whole.starts_with(before) && before.len() < whole.len()
        });
        let printed = ended.stdout.trim_end();
        assert!(printed.is_empty() || CODES.contains(&printed), "{ended:?}");
        assert!(printed.is_empty() || is_consumed, "{printed} was printed, and {kinds:?} is stored");
        match (self.victim, self.end) {
            (Victim::Agent, _) => assert!(is_consumed || is_expired, "{kinds:?}"),
            (_, End::Expired) => assert!(is_expired, "{kinds:?}"),
            // What the memory of the broker held is gone with it, and `consumed` was stored: nobody may have it again.
            (Victim::BrokerOfRelay | Victim::BrokerOfUser, _) if ended.code == Some(UNAVAILABLE) => {
                assert!(is_consumed, "{kinds:?} {ended:?}");
            }
            (_, End::Consumed) => {
                assert!(is_consumed && ended.code == Some(0) && !printed.is_empty(), "{kinds:?} {ended:?}");
            }
        }
    }
}

/// What looks on from outside, whoever is killed.
struct Eyes {
    log: Replay,
    admin: Connection,
    approver: Approver,
}

/// An event of the one request.
#[derive(Debug)]
struct Happened {
    kind: EventType,
    stored_at: Timestamp,
    /// When the request lapses, if this is what says so.
    expires_at: Option<Timestamp>,
}

impl Eyes {
    async fn of(place: &Place) -> Self {
        Self {
            log: Replay::new(place.connection("auditor:local").await),
            admin: place.connection("provision").await,
            approver: place.approver().await,
        }
    }

    /// The one request, once it is stored; none if its agent was killed before it had asked.
    async fn asked(&self, parties: &Parties<'_>, agent: &mut agent_otp_tests::Process) -> Option<RequestId> {
        eventually("the request to stand", async || {
            let has_ended = agent.has_ended();
            let has_asked = parties.agent.written().iter().any(|subject| subject.ends_with(".request"));
            let stored = self.stored().await;
            let first = stored.first().map(|stored| codec::decode_event(&stored.body).unwrap().request);
            let said = agent.said();
            let is_told = said.contains("requested  ");
            match first {
                Some(id) if is_told || has_ended => Some(Some(id)),
                None if has_ended && !has_asked => Some(None),
                Some(_) | None => None,
            }
        })
        .await
    }

    /// Approves, as often as it takes; what is answered is stored.
    async fn approve(&self, id: RequestId) {
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
            let expires_at = match recorded.event {
                agent_otp_domain::Event::Requested { expires_at, .. } => Some(expires_at),
                _ => None,
            };
            history.push(Happened { kind, stored_at: stored.stored_at, expires_at });
        }
        history
    }

    /// The same, if it has ended.
    async fn ended(&self, id: RequestId) -> Option<Vec<Happened>> {
        let history = self.history(id).await;
        history.last().is_some_and(|last| EventType::ENDS.contains(&last.kind)).then_some(history)
    }

    /// Waits until the trail has everything and the vault nothing, and gives what came later than it should.
    async fn settled(
        &self,
        place: &Place,
        parties: &Parties<'_>,
        history: &[Happened],
        ended: &Ended,
    ) -> Duration {
        let (first, last) = (history.first().unwrap(), history.last().unwrap());
        let mut late = Duration::ZERO;
        if last.kind == EventType::Expired {
            late = last.stored_at.since(first.expires_at.unwrap());
        }
        eventually("an empty vault", async || (self.in_vault().await? == 0).then_some(())).await;
        let now = agent_otp_jetstream::clock::now();
        late = late.max(now.since(last.stored_at));

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
        late
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

/// Delivers a mail as a mail program does: again, until it is taken.
async fn deliver(place: &Place, code: &str) {
    let text = format!("Your GitHub verification code is {code}.");
    eventually("a mail to be taken", async || place.offer_mail(FROM, &text).await.ok()).await;
}

/// Everything that the programs have printed for people.
fn said(place: &Place) -> String {
    let mut said = String::new();
    for path in agent_otp_tests::files_below(place.root()) {
        if path.extension().is_some_and(|extension| extension == "stderr") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for line in text.lines() {
                said += &format!("    {name}  {line}\n");
            }
        }
    }
    said
}
