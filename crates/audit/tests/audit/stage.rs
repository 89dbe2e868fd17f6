//! A broker with a relay, an owner whose members sign what a relay would append, and an auditor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_otp_audit::{Filter, Projector, RebuildError, Rebuilt, Trail};
use agent_otp_broker::{Broker, Config, Listen, Permissions, Responses, User, UserKey, find};
use agent_otp_domain::{
    Actor, Channel, Channels, Digest, Event, EventId, MemberId, OwnerId, Purpose, Recorded, RequestId,
    RequestKey, Role, SignedStatement, Timestamp, Version, Wanted,
};
use agent_otp_jetstream::permission::{self, Grants};
use agent_otp_jetstream::provision::{Settings, provision};
use agent_otp_jetstream::{Bus, Connection, Log, Login, Replay, Rosters, Who};
use agent_otp_relay::Relay;
use agent_otp_trust::{
    Capture, Consume, Decision, Evidence, Heading, IdentityKey, Member, Nonce, Recipient, Request, Roster,
    RosterRef, SenderCheck, Verdict,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const OWNER: u8 = 1;
pub(crate) const AGENT: u8 = 2;
pub(crate) const APPROVER: u8 = 4;
pub(crate) const CAPTURER: u8 = 5;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The identity key of a seed of 32 equal bytes.
pub(crate) fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&[seed; 32].into())
}

pub(crate) fn owner() -> OwnerId {
    OwnerId::of(&key(OWNER).id())
}

/// Seconds after 2026-01-31T12:00:00Z.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_769_860_800_000).after(Duration::from_secs(seconds))
}

pub(crate) fn name(text: &str) -> MemberId {
    text.parse().unwrap()
}

/// The owner's first roster.
pub(crate) fn first_roster() -> Roster {
    let members = [
        (Role::Agent, "shopper", AGENT),
        (Role::Approver, "phone", APPROVER),
        (Role::Capturer, "home", CAPTURER),
    ];
    let members = members.map(|(role, text, seed)| Member::new(role, name(text), key(seed).public()));
    Roster::first(&key(OWNER), members.to_vec(), at(0))
}

pub(crate) fn reference(signed: &SignedStatement, number: u64) -> RosterRef {
    RosterRef { number, digest: signed.digest() }
}

/// A request that goes by the first roster, from `requested` to `consumed`.
pub(crate) fn life(number: u8) -> Vec<Recorded> {
    life_by(number, reference(&key(OWNER).sign_roster(&first_roster()), 1))
}

pub(crate) fn life_by(number: u8, roster: RosterRef) -> Vec<Recorded> {
    let request_id = RequestId::new(at(0), [number; 10]);
    let heading = |signer: u8, seconds| Heading {
        owner: owner(),
        agent: name("shopper"),
        request: request_id,
        signer: key(signer).id(),
        roster,
        made_at: at(seconds),
        checkpoint: None,
    };
    let request = key(AGENT).sign(&Request {
        heading: heading(AGENT, 0),
        reason: "sign in to GitHub".parse().unwrap(),
        filter: agent_otp_domain::Filter {
            channels: Channels::Email,
            sender: "github.com".parse().unwrap(),
            content: "device".parse().ok(),
            shape: "digits:6".parse().ok(),
            wanted: Wanted::Code,
            purpose: Some(Purpose::Login),
        },
        recipient: Recipient { suite: 1, public_key: vec![8; 32] },
        expires_at: at(300),
    });
    let capturers = vec![key(CAPTURER).id()];
    let decision = key(APPROVER).sign(&Decision {
        heading: heading(APPROVER, 10),
        request: request.digest(),
        verdict: Verdict::Approve { capturers: capturers.clone(), narrowing: None },
        nonce: Nonce::new([6; 16]),
        expires_at: at(240),
    });
    let sealed = Digest::of(&[b"a sealed code"]);
    let capture = key(CAPTURER).sign(&Capture {
        heading: heading(CAPTURER, 20),
        request: request.digest(),
        decision: decision.digest(),
        sealed,
        evidence: Evidence {
            channel: Channel::Email,
            source: "smtp".to_owned(),
            sender: SenderCheck::Unverified,
            received_at: at(19),
            purpose: None,
        },
    });
    let claim = Nonce::new([5; 16]).digest();
    let consume = key(AGENT).sign(&Consume { heading: heading(AGENT, 30), capture: capture.digest(), claim });
    let events = [
        ((Role::Agent, "shopper"), Event::Requested { statement: request, expires_at: at(300) }),
        ((Role::Approver, "phone"), Event::Approved { statement: decision, expires_at: at(240), capturers }),
        ((Role::Capturer, "home"), Event::Captured { statement: capture, sealed }),
        ((Role::Agent, "shopper"), Event::Consumed { statement: consume, claim }),
    ];
    let recorded = |(place, ((role, text), event)): (u8, ((Role, &str), Event))| Recorded {
        id: EventId::new([number, place, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        owner: owner(),
        agent: name("shopper"),
        request: request_id,
        version: Version(u64::from(place) + 1),
        time: at(u64::from(place) * 10),
        actor: Actor { role, member: name(text) },
        event,
    };
    (0..).zip(events).map(recorded).collect()
}

/// The end of a request of somebody else.
pub(crate) fn foreign(number: u64) -> Recorded {
    let [.., high, low] = number.to_be_bytes();
    Recorded {
        id: EventId::new([high, low, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]),
        owner: "z".repeat(32).parse().unwrap(),
        agent: name("stranger"),
        request: RequestId::new(at(0), [high, low, 9, 9, 9, 9, 9, 9, 9, 9]),
        version: Version(1),
        time: at(300),
        actor: Actor::relay(),
        event: Event::Expired,
    }
}

/// Everything that an auditor needs, and a relay's hand to append with.
pub(crate) struct Stage {
    pub(crate) relay: Connection,
    pub(crate) provisioner: Connection,
    pub(crate) auditor: Login,
    relay_login: Login,
    dir: TempDir,
    serving: JoinSet<()>,
    _broker: Broker,
}

impl Stage {
    /// A broker with streams, and a relay that serves. The owner has handed in no roster.
    pub(crate) async fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = |name: &str| UserKey::create(&dir.path().join(name)).unwrap();
        let keys = [key("provision"), key("relay"), key("auditor")];
        let grants = [
            permission::provision(),
            permission::relay(),
            permission::member(&owner(), Role::Auditor, &name("desk")),
        ];
        let users = keys.iter().zip(grants).map(|(key, grants)| user(key, grants)).collect();
        let config = Config { dir: dir.path().join("broker"), listen: Listen::Loopback, port: None, users };
        let nats_server = find(None).expect("cargo xtask test installs nats-server").path;
        let broker = Broker::start(&nats_server, config).await.unwrap();
        let login = |key: &UserKey| Login::plain(broker.url(), key.seed().to_owned());
        let [provisioner, relay_login, auditor] = keys.each_ref().map(login);
        let provisioner = Connection::open(&provisioner, &Who::Operator("provision")).await.unwrap();
        provision(&provisioner, Settings::default()).await.unwrap();
        let relay = Connection::open(&relay_login, &Who::Operator("relay")).await.unwrap();
        let (ready, answers) = oneshot::channel();
        let mut serving = JoinSet::new();
        let server = Relay::new(relay.clone(), Settings::default());
        serving.spawn(async move {
            server.serve(CancellationToken::new(), || ready.send(()).unwrap()).await.unwrap();
        });
        answers.await.unwrap();
        Self { relay, provisioner, auditor, relay_login, dir, serving, _broker: broker }
    }

    /// With the owner's first roster.
    pub(crate) async fn set() -> Self {
        let stage = Self::bare().await;
        stage.enrol(&first_roster()).await;
        stage
    }

    pub(crate) async fn enrol(&self, roster: &Roster) {
        let signed = key(OWNER).sign_roster(roster);
        Rosters::new(self.relay.clone()).publish(&owner(), roster.number, &signed).await.unwrap();
    }

    pub(crate) async fn append(&self, events: impl IntoIterator<Item = Recorded>) {
        let log = Log::new(self.relay.clone());
        for recorded in events {
            let last = log.load(&recorded.key()).await.unwrap().last();
            log.append(last, &recorded).await.unwrap();
        }
    }

    /// Stores whatever a dishonest relay might.
    pub(crate) async fn store(&self, subject: String, body: Vec<u8>) {
        let stored = self.relay.client().request(subject, body.into()).await.unwrap();
        let stored = String::from_utf8(stored.payload.to_vec()).unwrap();
        assert!(stored.contains("\"seq\""), "{stored}");
    }

    /// Appends an event with headers that no client can read, nor writes.
    pub(crate) async fn append_bent(&self, recorded: &Recorded) {
        let append = async |login: Login| {
            let relay = Connection::open(&login, &Who::Operator("relay")).await.unwrap();
            Log::new(relay).append(0, recorded).await.unwrap();
        };
        bent(&self.relay_login, [b"Content-Type:", b"Content-Type;"], append).await;
    }

    /// Reads the log to its end, but the broker says another sequence than an event has.
    pub(crate) async fn catch_up_bent<const N: usize>(&self, sequence: [&[u8; N]; 2]) -> u64 {
        let catch_up = async |login: Login| projector(&login, &self.path()).await.catch_up().await.unwrap();
        bent(&self.auditor, sequence, catch_up).await
    }

    /// The relay answers no more.
    pub(crate) async fn silence(&mut self) {
        self.serving.shutdown().await;
        self.relay.flush().await;
    }

    /// The auditor's seed, for a process that is started.
    pub(crate) fn nkey_seed(&self) -> &str {
        self.auditor.credentials.text()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("audit.db")
    }

    pub(crate) async fn projector(&self) -> Projector {
        projector(&self.auditor, &self.path()).await
    }

    pub(crate) async fn trail(&self) -> Trail {
        Trail::open(&self.path()).await.unwrap()
    }

    /// Makes the trail anew from the log.
    pub(crate) async fn rebuild(&self) -> Result<Rebuilt, RebuildError> {
        rebuild(&self.auditor, &self.path()).await
    }

    /// Where each alarm is, and what it says.
    pub(crate) async fn alarms(&self) -> Vec<(u64, String)> {
        let alarms = self.trail().await.alarms().await.unwrap();
        alarms.into_iter().map(|alarm| (alarm.position.unwrap(), alarm.what)).collect()
    }

    /// Asserts that the file holds each event of the log once, in its order, and no alarm.
    pub(crate) async fn holds_the_log(&self) {
        let last = Replay::new(self.relay.clone()).last().await.unwrap();
        let mut trail = self.trail().await;
        let entries = trail.events(&Filter::default(), 0, 10_000).await.unwrap();
        let positions: Vec<u64> = entries.iter().map(|entry| entry.position).collect();
        assert_eq!(positions, (1..=last).collect::<Vec<_>>());
        let requests = trail.requests(&Filter::default(), 10_000).await.unwrap();
        assert_eq!(requests.iter().map(|request| request.version).sum::<u64>(), last);
        assert_eq!(trail.alarms().await.unwrap(), []);
    }

    /// Asks the broker as whoever made the streams.
    pub(crate) async fn api(&self, verb: &str, ask: Value) -> Value {
        let subject = format!("$JS.API.{verb}");
        let answer = self.provisioner.client().request(subject, ask.to_string().into()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer.get("error"), None, "{answer}");
        answer
    }

    /// An administrator lets the log keep so many events; -1 is all.
    pub(crate) async fn keep_at_most(&self, count: i64) {
        let info = self.api("STREAM.INFO.OTP_LOG", json!({})).await;
        let mut config = info.get("config").and_then(Value::as_object).unwrap().clone();
        config.insert("max_msgs".to_owned(), count.into());
        config.insert("discard".to_owned(), if count < 0 { "new" } else { "old" }.into());
        config.insert("discard_new_per_subject".to_owned(), (count < 0).into());
        self.api("STREAM.UPDATE.OTP_LOG", config.into()).await;
    }

    /// An administrator deletes the log, and makes another.
    pub(crate) async fn replace_log(&self) {
        self.api("STREAM.DELETE.OTP_LOG", json!({})).await;
        provision(&self.provisioner, Settings::default()).await.unwrap();
    }
}

/// Lets somebody work on a connection on which each of these bytes arrives as the others, whoever says them.
async fn bent<T, const N: usize>(
    login: &Login,
    bend: [&[u8; N]; 2],
    work: impl AsyncFnOnce(Login) -> T,
) -> T {
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", way.local_addr().unwrap());
    tokio::select! {
        worked = work(Login::plain(url, login.credentials.text().to_owned())) => worked,
        () = pass_on(way, login.server.url.trim_start_matches("nats://"), bend) => unreachable!("nobody hangs up"),
    }
}

async fn pass_on<const N: usize>(way: TcpListener, broker: &str, [straight, bent]: [&[u8; N]; 2]) {
    let mut client = way.accept().await.unwrap().0;
    let mut server = TcpStream::connect(broker).await.unwrap();
    let (mut said, mut answer) = ([0; 4_096], [0; 4_096]);
    let pass = |said: &mut [u8]| {
        while let Some(at) = said.windows(N).position(|part| part == straight) {
            said.get_mut(at..at + N).unwrap().copy_from_slice(bent);
        }
        said.to_vec()
    };
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                server.write_all(&pass(said.get_mut(..read.unwrap()).unwrap())).await.unwrap();
            }
            read = server.read(&mut answer) => {
                client.write_all(&pass(answer.get_mut(..read.unwrap()).unwrap())).await.unwrap();
            }
        }
    }
}

/// A projector of the owner's auditor.
pub(crate) async fn projector(login: &Login, path: &Path) -> Projector {
    Projector::open(path, auditor(login).await, key(OWNER).id()).await.unwrap()
}

/// The same auditor makes a trail anew.
pub(crate) async fn rebuild(login: &Login, path: &Path) -> Result<Rebuilt, RebuildError> {
    agent_otp_audit::rebuild(path, auditor(login).await, key(OWNER).id()).await
}

async fn auditor(login: &Login) -> Bus {
    let who = Who::Member { owner: owner(), role: Role::Auditor, name: name("desk") };
    let connection = Connection::open(login, &who).await.unwrap();
    Bus::new(connection, owner(), Role::Auditor, name("desk"))
}

pub(crate) fn subject_of(key: &RequestKey, kind: &str) -> String {
    format!("otp.v1.log.{key}.{kind}")
}

fn user(key: &UserKey, grants: Grants) -> User {
    let responses = grants.respond.then_some(Responses { max: 1, expires: Duration::from_secs(30) });
    User {
        name: "test".to_owned(),
        public_key: key.public().to_owned(),
        permissions: Permissions { publish: grants.publish, subscribe: grants.subscribe, responses },
    }
}
