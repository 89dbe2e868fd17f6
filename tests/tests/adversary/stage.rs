//! A household whose relay is the double, on a broker that the attacker holds: everybody else is real.

use std::future::Future;

use agent_otp_agent::{Agent, Asking, Pending, WaitError};
use agent_otp_audit::{Projector, Trail};
use agent_otp_domain::{
    Actor, Alarm, Channel, EventType, MemberId, OwnerId, Recorded, RequestKey, Role, Sender, SignedStatement,
    Timestamp, codec,
};
use agent_otp_jetstream::{Bus, Connection, Who, clock};
use agent_otp_keyring::{Home, Pin};
use agent_otp_trust::{Heading, IdentityKey, Member, Roster, RosterRef, SenderCheck, VerifiedRequest};
use agent_otp_user::extract::Text;
use agent_otp_user::{Approver, ApproverError, Capturer, Message, Notices, Received};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::double::Double;
use crate::world::{World, eventually, within};

pub(crate) type Party = (Role, &'static str);

pub(crate) const SHOPPER: Party = (Role::Agent, "shopper");
pub(crate) const BOOKER: Party = (Role::Agent, "booker");
pub(crate) const PHONE: Party = (Role::Approver, "phone");
pub(crate) const DESK: Party = (Role::Capturer, "desk");
pub(crate) const ARCHIVE: Party = (Role::Auditor, "archive");
const EVERYONE: [Party; 5] = [SHOPPER, BOOKER, PHONE, DESK, ARCHIVE];

/// Everyone at once.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) double: Double,
    pub(crate) approver: Approver,
    pub(crate) agent: Agent,
    /// Whoever holds the broker: what it publishes arrives.
    pub(crate) broker: Connection,
    capturer: Option<Capturing>,
}

/// A running capturer, and the way for messages to it.
struct Capturing {
    messages: mpsc::Sender<Received>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Stage {
    /// A household where everything runs.
    pub(crate) async fn start() -> Self {
        let mut stage = Box::pin(Self::with_roster(clock::now())).await;
        stage.capture().await;
        stage
    }

    /// A household with a real relay, to which agents are what they are to each other.
    pub(crate) async fn with_relay() -> Self {
        let world = Box::pin(World::start(&EVERYONE.map(who))).await;
        let relay = Double::beside(world.connect(&Who::Operator("relay")).await).await;
        let mut stage = Self::of(world, relay, clock::now()).await;
        stage.capture().await;
        stage
    }

    /// A household whose first roster is dated so, where nobody captures.
    pub(crate) async fn with_roster(made_at: Timestamp) -> Self {
        let world = Box::pin(World::start(&EVERYONE.map(who))).await;
        let double = Double::start(world.connect(&Who::Operator("relay")).await).await;
        Self::of(world, double, made_at).await
    }

    async fn of(world: World, double: Double, made_at: Timestamp) -> Self {
        for party in EVERYONE {
            home(&world, party)
                .create(&key(party), &Pin { owner_key: owner_key().id(), roster: None })
                .unwrap();
        }
        let members = EVERYONE.map(|party| Member::new(party.0, name(party), key(party).public()));
        let first = Roster::first(&owner_key(), members.to_vec(), made_at);
        double.store.rosters.publish(&owner(), 1, &owner_key().sign_roster(&first)).await.unwrap();
        let (approver, agent) = (approver(&world).await, agent(&world, SHOPPER).await);
        let broker = world.connect(&Who::Operator("broker")).await;
        Self { world, double, approver, agent, broker, capturer: None }
    }

    /// Starts the capturer.
    pub(crate) async fn capture(&mut self) {
        let login = self.world.login(&who(DESK));
        let notices = Notices::open(self.world.files().join("notices.json"));
        let capturer = Capturer::connect(&login, self.home(DESK), name(DESK), notices).await.unwrap();
        let (messages, received) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let running = tokio::spawn(capturer.run(received, stop.clone()));
        self.capturer = Some(Capturing { messages, stop, running });
    }

    /// Ends the capturer, and starts it again: it asks for everything anew.
    pub(crate) async fn capture_anew(&mut self) {
        let capturing = self.capturer.take().unwrap();
        capturing.stop.cancel();
        within(capturing.running).await.unwrap();
        self.capture().await;
    }

    /// The user receives a mail with a code.
    pub(crate) async fn mail(&self, from: &str, code: &str) {
        let message = Message {
            channel: Channel::Email,
            sender: Sender::Address(from.parse().unwrap()),
            check: SenderCheck::Unverified,
            source: "smtp",
            received_at: clock::now(),
            id: None,
            text: Text::plain(&format!("Your login code is {code}.")),
        };
        self.capturer.as_ref().unwrap().messages.send(Received::Message(message)).await.unwrap();
    }

    /// Asks for a code of `acme.example`.
    pub(crate) async fn ask(&self) -> Pending {
        within(self.agent.request(asking())).await.unwrap()
    }

    /// The request as the approver sees it.
    pub(crate) async fn seen(&self, key: &RequestKey) -> VerifiedRequest {
        within(self.approver.find(key.request)).await.unwrap()
    }

    pub(crate) async fn approve(&self, key: &RequestKey) {
        self.approver.approve(&self.seen(key).await).await.unwrap();
    }

    pub(crate) async fn deny(&self, key: &RequestKey) -> Option<EventType> {
        self.approver.deny(&self.seen(key).await).await.unwrap()
    }

    /// A request whose code was captured; its agent has not claimed it.
    pub(crate) async fn captured(&self, code: &str) -> Pending {
        let pending = self.ask().await;
        self.approve(pending.key()).await;
        self.mail(ACME, code).await;
        self.until(pending.key(), EventType::Captured).await;
        pending
    }

    /// The request's events as the log holds them.
    pub(crate) async fn events(&self, key: &RequestKey) -> Vec<Recorded> {
        self.double.store.log.load(key).await.unwrap().events
    }

    pub(crate) async fn history(&self, key: &RequestKey) -> Vec<EventType> {
        self.events(key).await.iter().map(|recorded| recorded.event.kind()).collect()
    }

    /// Waits until the log says so.
    pub(crate) async fn until(&self, key: &RequestKey, kind: EventType) {
        eventually(async || self.history(key).await.contains(&kind).then_some(())).await;
    }

    /// Publishes a live event that was never stored.
    pub(crate) async fn publish(&self, recorded: &Recorded) {
        let subject = format!("otp.v1.event.{}.{}", recorded.key(), recorded.event.kind());
        self.broker.client().publish(subject, codec::encode(recorded).into()).await.unwrap();
        self.broker.flush().await;
    }

    /// Signs the next roster, and hands it to the relay.
    pub(crate) async fn renew(&self, change: impl FnOnce(&mut Roster)) -> SignedStatement {
        let standing = self.double.store.rosters.read(&owner(), None).await.unwrap().unwrap();
        let mut next = Roster::verify(&standing).unwrap().renewed(standing.digest(), clock::now());
        change(&mut next);
        let signed = owner_key().sign_roster(&next);
        self.double.store.rosters.publish(&owner(), next.number, &signed).await.unwrap();
        signed
    }

    /// The home of a party.
    pub(crate) fn home(&self, party: Party) -> Home {
        home(&self.world, party)
    }

    /// A party's way to the relay.
    pub(crate) async fn bus(&self, party: Party) -> Bus {
        Bus::new(self.world.connect(&who(party)).await, owner(), party.0, name(party))
    }

    /// An agent that connects anew.
    pub(crate) async fn agent(&self, party: Party) -> Agent {
        agent(&self.world, party).await
    }

    /// The approver, connected anew.
    pub(crate) async fn approver(&self) -> Approver {
        approver(&self.world).await
    }

    pub(crate) fn alarms(&self, party: Party) -> Vec<Alarm> {
        self.home(party).alarms().unwrap()
    }

    /// Waits until a party keeps an alarm that says so: of this request, or of all.
    pub(crate) async fn alarm(&self, party: Party, key: Option<&RequestKey>, says: &str) {
        let request = key.map(|key| key.request);
        let found = async || {
            let alarms = self.alarms(party);
            alarms.iter().any(|alarm| alarm.request == request && alarm.what.contains(says)).then_some(())
        };
        // Said while it is waited for: otherwise nobody would learn what was found instead.
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(10), eventually(found));
        assert!(
            waiting.await.is_ok(),
            "{party:?}: no alarm about {request:?} says `{says}`: {:#?}",
            self.alarms(party)
        );
    }

    /// What the auditor keeps.
    pub(crate) async fn audited(&self) -> Vec<Alarm> {
        let path = self.world.files().join("audit.db");
        let mut projector = Projector::open(&path, self.bus(ARCHIVE).await, owner_key().id()).await.unwrap();
        projector.catch_up().await.unwrap();
        Trail::open(&path).await.unwrap().alarms().await.unwrap()
    }

    /// Asserts that the auditor doubts an event of the request.
    pub(crate) async fn is_doubted(&self, key: &RequestKey, says: &str) {
        let alarms = self.audited().await;
        let found =
            alarms.iter().any(|alarm| alarm.request == Some(key.request) && alarm.what.contains(says));
        assert!(found, "the auditor does not say `{says}`: {alarms:#?}");
    }

    /// Waits for an agent that must find the relay out.
    pub(crate) async fn is_found_out(&self, pending: Pending, says: &str) {
        let key = pending.key().clone();
        let error = within(pending.wait()).await.unwrap_err();
        assert!(matches!(error, WaitError::Untrusted(_)), "{error}");
        self.alarm(SHOPPER, Some(&key), says).await;
    }

    /// Asserts that the approver is not shown the request.
    pub(crate) async fn is_not_shown(&self, key: &RequestKey, says: &str) {
        let error = within(self.approver.find(key.request)).await.unwrap_err();
        assert!(matches!(error, ApproverError::Unknown { .. }), "{error}");
        self.alarm(PHONE, Some(key), says).await;
    }

    /// Asserts that the capturer captures nothing for the request, although a mail that answers it comes. It works in
    /// order: a code that is approved and comes after that is captured.
    pub(crate) async fn is_not_captured(&self, key: &RequestKey) {
        let before = self.history(key).await;
        self.mail(ACME, "482913").await;
        let probe = Asking::code_by_email("Look", "probe.example").unwrap();
        let pending = within(self.agent.request(probe)).await.unwrap();
        self.approve(pending.key()).await;
        self.mail("a@probe.example", "000000").await;
        self.until(pending.key(), EventType::Captured).await;
        assert_eq!(self.history(key).await, before);
    }
}

/// Who sends what [`asking`] asks for.
pub(crate) const ACME: &str = "no-reply@acme.example";

/// A code by e-mail, for five minutes.
pub(crate) fn asking() -> Asking {
    Asking::code_by_email("Sign in to Acme", "acme.example").unwrap()
}

/// What comes of it that nobody may succeed in.
pub(crate) async fn refused<T, E>(attempt: impl Future<Output = Result<T, E>>) -> E {
    match within(attempt).await {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

pub(crate) fn owner() -> OwnerId {
    OwnerId::of(&owner_key().id())
}

/// What a statement by this party about this request begins with, made now under this roster.
pub(crate) fn heading(key: &RequestKey, by: Party, roster: RosterRef) -> Heading {
    Heading {
        owner: key.owner.clone(),
        agent: key.agent.clone(),
        request: key.request,
        signer: self::key(by).id(),
        roster,
        made_at: clock::now(),
        checkpoint: None,
    }
}

/// The identity key of a party; each has its own.
pub(crate) fn key(party: Party) -> IdentityKey {
    let number = EVERYONE.iter().position(|one| *one == party).unwrap();
    IdentityKey::from_seed(&[u8::try_from(number).unwrap(); 32].into())
}

/// The owner's key, which everyone has pinned.
pub(crate) fn owner_key() -> IdentityKey {
    IdentityKey::from_seed(&[9; 32].into())
}

pub(crate) fn name(party: Party) -> MemberId {
    party.1.parse().unwrap()
}

pub(crate) fn actor(party: Party) -> Actor {
    Actor { role: party.0, member: name(party) }
}

pub(crate) fn who(party: Party) -> Who {
    Who::Member { owner: owner(), role: party.0, name: name(party) }
}

fn home(world: &World, party: Party) -> Home {
    Home::at(world.files().join(format!("home-{}", party.1)))
}

async fn agent(world: &World, party: Party) -> Agent {
    Agent::connect(&world.login(&who(party)), home(world, party), name(party)).await.unwrap()
}

async fn approver(world: &World) -> Approver {
    Approver::connect(&world.login(&who(PHONE)), home(world, PHONE), name(PHONE)).await.unwrap()
}
