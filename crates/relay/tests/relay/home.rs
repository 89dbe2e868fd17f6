//! One owner with a member of every kind, a broker, and any number of relays.

use agent_otp_domain::{EventType, MemberId, OwnerId, Recorded, RequestKey, Role};
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply};
use agent_otp_jetstream::provision::Settings;
use agent_otp_jetstream::{Bus, CallError, Connection, Log, Replay, Vault, Who, clock};
use agent_otp_relay::{Relay, ServeError};
use agent_otp_trust::{Book, IdentityKey, Member, Roster, RosterRef, VerifiedRequest};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::said::Said;
use crate::world::{World, eventually, within};

pub(crate) const OWNER: u8 = 1;
pub(crate) const SHOPPER: u8 = 2;
pub(crate) const BOOKER: u8 = 3;
pub(crate) const PHONE: u8 = 4;
pub(crate) const HOME: u8 = 5;
/// A capturer that no decision names.
pub(crate) const SHED: u8 = 6;
pub(crate) const STRANGER: u8 = 9;

const MEMBERS: [(Role, &str, u8); 5] = [
    (Role::Agent, "shopper", SHOPPER),
    (Role::Agent, "booker", BOOKER),
    (Role::Approver, "phone", PHONE),
    (Role::Capturer, "home", HOME),
    (Role::Capturer, "shed", SHED),
];

/// Everyone at once.
pub(crate) struct Home {
    pub(crate) world: World,
    pub(crate) shopper: Bus,
    pub(crate) booker: Bus,
    pub(crate) phone: Bus,
    pub(crate) capturer: Bus,
    pub(crate) shed: Bus,
    /// The NATS user of the relays, for a look behind them.
    pub(crate) operator: Connection,
    pub(crate) roster: Roster,
    relays: Vec<Running>,
}

struct Running {
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Home {
    /// A home with one relay, where the first roster is enrolled.
    pub(crate) async fn start() -> Self {
        Box::pin(Self::beside(&[])).await
    }

    /// The same, with others on the same broker.
    pub(crate) async fn beside(others: &[Who]) -> Self {
        let mut home = Box::pin(Self::unserved_beside(others)).await;
        home.serve().await;
        let enrolled = home.phone.call(&enrol(&home.roster)).await.unwrap();
        assert_eq!(phase(&enrolled), "enrolled");
        home
    }

    /// A home without a relay and without a stored roster.
    pub(crate) async fn unserved() -> Self {
        Self::unserved_beside(&[]).await
    }

    async fn unserved_beside(others: &[Who]) -> Self {
        let members = MEMBERS.map(|(role, name, _)| who(role, name));
        let world = Box::pin(World::start(&[&members, others].concat())).await;
        let [shopper, booker, phone, capturer, shed] = MEMBERS.map(|(role, name, _)| (role, name));
        let operator = world.connect(&Who::Operator("relay")).await;
        Self {
            shopper: bus(&world, shopper).await,
            booker: bus(&world, booker).await,
            phone: bus(&world, phone).await,
            capturer: bus(&world, capturer).await,
            shed: bus(&world, shed).await,
            operator,
            roster: first_roster(),
            world,
            relays: Vec::new(),
        }
    }

    /// Starts one more relay.
    pub(crate) async fn serve(&mut self) {
        let connection = self.world.connect(&Who::Operator("relay")).await;
        let stop = CancellationToken::new();
        let (serves, ready) = oneshot::channel();
        let relay = Relay::new(connection, Settings::default());
        let serving = tokio::spawn(relay.serve(stop.clone(), || serves.send(()).unwrap()));
        within(ready).await.unwrap();
        self.relays.push(Running { stop, serving });
    }

    /// Stops all relays in order.
    pub(crate) async fn stop_serving(&mut self) {
        for Running { stop, serving } in self.relays.drain(..) {
            stop.cancel();
            within(serving).await.unwrap().unwrap();
        }
    }

    pub(crate) fn log(&self) -> Log {
        Log::new(self.operator.clone())
    }

    pub(crate) fn vault(&self) -> Vault {
        Vault::new(self.operator.clone())
    }

    /// How many events there are, of all requests.
    pub(crate) async fn event_count(&self) -> usize {
        Replay::new(self.operator.clone()).from(1).await.unwrap().len()
    }

    /// Stores, as this request's approval, what this relay cannot read; another one may.
    pub(crate) async fn damage(&self, key: &RequestKey) {
        let subject = format!("otp.v1.log.{key}.approved");
        let stored = self.operator.client().request(subject, "no event".into()).await.unwrap();
        assert!(stored.payload.windows(5).any(|part| part == b"\"seq\""), "{stored:?}");
    }

    pub(crate) async fn events(&self, key: &RequestKey) -> Vec<Recorded> {
        self.log().load(key).await.unwrap().events
    }

    /// What happened to a request, after it was verified as everyone else would.
    pub(crate) async fn history(&self, key: &RequestKey) -> Vec<EventType> {
        let events = self.events(key).await;
        if !events.is_empty() {
            VerifiedRequest::verify(&events, &self.book()).unwrap();
        }
        events.iter().map(|recorded| recorded.event.kind()).collect()
    }

    /// Waits until the request's last event is this one.
    pub(crate) async fn until(&self, key: &RequestKey, kind: EventType) {
        let log = self.log();
        eventually(async || {
            let events = log.load(key).await.ok()?.events;
            events.last().filter(|last| last.event.kind() == kind).map(drop)
        })
        .await;
    }

    /// Waits until the vault holds nothing for this request.
    pub(crate) async fn until_erased(&self, said: &Said) {
        let vault = self.vault();
        eventually(async || vault.read(&said.key, &said.digest()).await.ok()?.is_none().then_some(())).await;
    }

    /// Sends what has to be said until the request is at this point.
    pub(crate) async fn bring(&self, said: &Said, to: EventType) {
        let asks = [
            (EventType::Requested, &self.shopper, said.request()),
            (EventType::Approved, &self.phone, said.approve()),
            (EventType::Captured, &self.capturer, said.capture()),
            (EventType::Consumed, &self.shopper, said.consume()),
        ];
        for (reached, bus, ask) in asks {
            bus.call(&ask).await.unwrap();
            if reached == to {
                return;
            }
        }
        panic!("{to} is not on the way");
    }

    pub(crate) fn book(&self) -> Book {
        let mut book = Book::new(key(OWNER).id(), None);
        book.admit_latest(&key(OWNER).sign_roster(&self.roster)).unwrap();
        book
    }

    pub(crate) fn roster_ref(&self) -> RosterRef {
        let digest = key(OWNER).sign_roster(&self.roster).digest();
        RosterRef { number: self.roster.number, digest }
    }

    /// Everything that there is to say about a new request that stands for five minutes.
    pub(crate) fn said(&self) -> Said {
        Said::new(self.roster_ref(), std::time::Duration::from_mins(5))
    }

    /// The same about one that lapses as soon as any may.
    pub(crate) fn briefly(&self) -> Said {
        self.lasting(std::time::Duration::from_secs(1))
    }

    pub(crate) fn lasting(&self, ttl: std::time::Duration) -> Said {
        Said::new(self.roster_ref(), ttl)
    }
}

pub(crate) fn owner() -> OwnerId {
    OwnerId::of(&key(OWNER).id())
}

pub(crate) fn name(text: &str) -> MemberId {
    text.parse().unwrap()
}

/// The identity key of a seed of 32 equal bytes.
pub(crate) fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&[seed; 32].into())
}

pub(crate) fn enrol(roster: &Roster) -> Ask {
    Ask::Enrol { statement: key(OWNER).sign_roster(roster) }
}

/// The phase that a `Done` names.
pub(crate) fn phase(reply: &Reply) -> &str {
    let Reply::Done { phase, .. } = reply else { panic!("{reply:?}") };
    phase
}

/// What a call was refused with.
pub(crate) fn refusal(called: Result<Reply, CallError>) -> RefusalCode {
    called.unwrap_err().refusal().unwrap()
}

fn who(role: Role, name: &str) -> Who {
    Who::Member { owner: owner(), role, name: self::name(name) }
}

async fn bus(world: &World, (role, name): (Role, &str)) -> Bus {
    Bus::new(world.connect(&who(role, name)).await, owner(), role, self::name(name))
}

fn first_roster() -> Roster {
    let members = MEMBERS.map(|(role, name, seed)| Member::new(role, self::name(name), key(seed).public()));
    Roster::first(&key(OWNER), members.to_vec(), clock::now())
}
