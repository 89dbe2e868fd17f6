//! The relay's double: it speaks the protocol, believes everything, and lies as it is told to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_otp_domain::{
    Actor, Digest, Event, Recorded, RequestKey, SealedCode, SignedStatement, Version, codec,
};
use agent_otp_jetstream::message::{Ask, OpenRequest, RefusalCode, Reply, Sealed};
use agent_otp_jetstream::provision::Settings;
use agent_otp_jetstream::{Connection, Incoming, Log, Rosters, Service, Vault, clock};
use agent_otp_relay::Relay;
use agent_otp_trust::{Cancel, Capture, Consume, Decision, Heading, Request, Roster, Statement, Verdict};
use serde_bytes::ByteBuf;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longer than any request of a test stands.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// A relay that stores and serves whatever it likes.
pub(crate) struct Double {
    pub(crate) store: Arc<Store>,
    _running: JoinSet<()>,
}

/// What the relay may write, and how it lies.
pub(crate) struct Store {
    pub(crate) log: Log,
    pub(crate) vault: Vault,
    pub(crate) rosters: Rosters,
    requests: Mutex<BTreeSet<RequestKey>>,
    tricks: Mutex<Tricks>,
}

/// What it does otherwise than a relay should.
#[derive(Default)]
struct Tricks {
    instead: Option<Box<Instead>>,
    write: Option<Box<Write>>,
    lie: Option<Box<Lie>>,
}

type Instead = dyn FnMut(&Ask) -> Option<Reply> + Send;
type Write = dyn FnMut(&mut Recorded) + Send;
type Lie = dyn FnMut(&Ask, Reply) -> Reply + Send;

impl Double {
    /// Takes the relay's place.
    pub(crate) async fn start(connection: Connection) -> Self {
        let store = Arc::new(Store::new(&connection));
        let mut service = Service::start(&connection).await.unwrap();
        connection.flush().await;
        let mut running = JoinSet::new();
        let serving = store.clone();
        running.spawn(async move {
            while let Some(incoming) = service.next().await {
                let reply = serving.reply(&incoming).await;
                incoming.answer(&reply).await;
            }
        });
        Self { store, _running: running }
    }

    /// Stands beside a real relay, and answers nobody.
    pub(crate) async fn beside(connection: Connection) -> Self {
        let store = Arc::new(Store::new(&connection));
        let (serves, ready) = oneshot::channel();
        let relay = Relay::new(connection, Settings::default());
        let mut running = JoinSet::new();
        running.spawn(async move {
            relay.serve(CancellationToken::new(), || serves.send(()).unwrap()).await.unwrap();
        });
        ready.await.unwrap();
        Self { store, _running: running }
    }

    /// From now on this is answered and nothing is done, where there is an answer.
    pub(crate) fn instead(&self, answer: impl FnMut(&Ask) -> Option<Reply> + Send + 'static) {
        self.store.tricks.lock().unwrap().instead = Some(Box::new(answer));
    }

    /// From now on events are changed before they are stored: whoever hears of them hears of that.
    pub(crate) fn write(&self, change: impl FnMut(&mut Recorded) + Send + 'static) {
        self.store.tricks.lock().unwrap().write = Some(Box::new(change));
    }

    /// From now on answers are changed.
    pub(crate) fn lie(&self, change: impl FnMut(&Ask, Reply) -> Reply + Send + 'static) {
        self.store.tricks.lock().unwrap().lie = Some(Box::new(change));
    }

    /// From now on it does what a relay does, but for verifying.
    pub(crate) fn behave(&self) {
        *self.store.tricks.lock().unwrap() = Tricks::default();
    }
}

impl Store {
    fn new(connection: &Connection) -> Self {
        Self {
            log: Log::new(connection.clone()),
            vault: Vault::new(connection.clone()),
            rosters: Rosters::new(connection.clone()),
            requests: Mutex::default(),
            tricks: Mutex::default(),
        }
    }

    async fn reply(&self, incoming: &Incoming) -> Reply {
        let ask = incoming.ask.as_ref().unwrap();
        let answered = self.tricks.lock().unwrap().instead.as_mut().and_then(|instead| instead(ask));
        if let Some(reply) = answered {
            return reply;
        }
        let actor = Actor { role: incoming.role, member: incoming.member.clone() };
        let reply = self.honestly(ask, incoming, actor).await.unwrap_or_else(|| Reply::Refused {
            code: RefusalCode::Unknown,
            message: "there is no such request".to_owned(),
        });
        match &mut self.tricks.lock().unwrap().lie {
            Some(lie) => lie(ask, reply),
            None => reply,
        }
    }

    /// What a relay would do and say that verifies nothing; none if there is no such thing.
    async fn honestly(&self, ask: &Ask, incoming: &Incoming, actor: Actor) -> Option<Reply> {
        let recorded = match ask.clone() {
            Ask::Request { statement } => {
                let request: Request = said(&statement);
                let event = Event::Requested { statement, expires_at: request.expires_at };
                self.append(&request.heading, actor, event).await
            }
            Ask::Approve { statement } => {
                let decision: Decision = said(&statement);
                let Verdict::Approve { capturers, .. } = decision.verdict else { return None };
                let event = Event::Approved { statement, expires_at: decision.expires_at, capturers };
                self.append(&decision.heading, actor, event).await
            }
            Ask::Deny { statement } => {
                let decision: Decision = said(&statement);
                self.append(&decision.heading, actor, Event::Denied { statement }).await
            }
            Ask::Capture { statement, sealed } => {
                let capture: Capture = said(&statement);
                self.keep(&capture.heading.key(), &sealed.0).await;
                let event = Event::Captured { statement, sealed: capture.sealed };
                self.append(&capture.heading, actor, event).await
            }
            Ask::Cancel { statement } => {
                let cancel: Cancel = said(&statement);
                self.append(&cancel.heading, actor, Event::Cancelled { statement }).await
            }
            Ask::Consume { statement, .. } => {
                let consume: Consume = said(&statement);
                let sealed = self.sealed(&consume.heading.key()).await?;
                self.append(&consume.heading, actor, Event::Consumed { statement, claim: consume.claim })
                    .await;
                return Some(Reply::Code { sealed: Sealed(sealed) });
            }
            Ask::Get { agent, request } => {
                let key = RequestKey { owner: incoming.owner.clone(), agent, request };
                let bytes = self.log.load(&key).await.unwrap().bytes;
                let events: Vec<ByteBuf> = bytes.iter().map(|bytes| ByteBuf::from(bytes.to_vec())).collect();
                return (!events.is_empty()).then(|| Reply::Events { events, now: Some(clock::now()) });
            }
            Ask::Open { .. } => return Some(Reply::Open { requests: self.open(), next: None }),
            Ask::Roster { number } => {
                let statement = self.rosters.read(&incoming.owner, number).await.unwrap()?;
                return Some(Reply::Roster { statement });
            }
            Ask::Enrol { statement } => {
                let roster: Roster = codec::decode(&statement.payload).unwrap();
                self.rosters.publish(&incoming.owner, roster.number, &statement).await.unwrap();
                return Some(Reply::Done { phase: "enrolled".to_owned(), version: Version::default() });
            }
        };
        Some(Reply::Done { phase: recorded.event.kind().to_string(), version: recorded.version })
    }

    fn open(&self) -> Vec<OpenRequest> {
        let requests = self.requests.lock().unwrap().clone();
        requests.into_iter().map(|key| OpenRequest { agent: key.agent, request: key.request }).collect()
    }

    /// Appends an event behind whatever there is; nothing is checked.
    pub(crate) async fn append(&self, heading: &Heading, actor: Actor, event: Event) -> Recorded {
        let key = heading.key();
        let loaded = self.log.load(&key).await.unwrap();
        let mut recorded = Recorded {
            id: clock::event_id(),
            owner: key.owner.clone(),
            agent: key.agent.clone(),
            request: key.request,
            version: loaded.version().next(),
            time: clock::now(),
            actor,
            event,
        };
        if let Some(write) = &mut self.tricks.lock().unwrap().write {
            write(&mut recorded);
        }
        self.log.append(loaded.last(), &recorded).await.unwrap();
        self.requests.lock().unwrap().insert(key);
        recorded
    }

    /// Puts a sealed code into the vault.
    pub(crate) async fn keep(&self, key: &RequestKey, sealed: &SealedCode) {
        let digest = Digest::of(&[sealed.as_bytes()]);
        self.vault.put(key, &digest, sealed, KEPT_FOR).await.unwrap();
    }

    /// The sealed code that was captured for a request.
    pub(crate) async fn sealed(&self, key: &RequestKey) -> Option<SealedCode> {
        let loaded = self.log.load(key).await.unwrap();
        let digest = loaded.events.iter().find_map(|recorded| match &recorded.event {
            Event::Captured { sealed, .. } => Some(*sealed),
            _ => None,
        });
        self.vault.read(key, &digest?).await.unwrap()
    }
}

/// What a statement says, whoever signed it.
pub(crate) fn said<S: Statement>(statement: &SignedStatement) -> S {
    codec::decode(&statement.payload).unwrap()
}
