//! A household: a broker, a relay, the user's owner, approver and capturer, a mail listener, and an agent.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use agent_otp_agent::{Agent, AgentError, Asking, Pending};
use agent_otp_domain::{EventType, MemberId, OwnerId, RequestKey, Role};
use agent_otp_jetstream::provision::{Settings, provision};
use agent_otp_jetstream::{Bus, Vault, Who, clock};
use agent_otp_keyring::{Home as Keys, Pin};
use agent_otp_relay::{Relay, ServeError};
use agent_otp_trust::{IdentityKey, Member, VerifiedRequest};
use agent_otp_user::mail::authentication::{Authenticator, Dns};
use agent_otp_user::source::Source as _;
use agent_otp_user::source::smtp::Smtp;
use agent_otp_user::{Approver, Capturer, Intake, Notices, Owner, OwnerError, Unverified};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::world::{World, eventually, within};

/// Who belongs to the household, by the name that everyone is called.
pub(crate) const SHOPPER: (Role, &str) = (Role::Agent, "shopper");
pub(crate) const PHONE: (Role, &str) = (Role::Approver, "phone");
pub(crate) const DESK: (Role, &str) = (Role::Capturer, "desk");
/// An agent that may connect, but that no roster names.
pub(crate) const STRANGER: (Role, &str) = (Role::Agent, "stranger");

/// Everyone at once.
pub(crate) struct Home {
    pub(crate) world: World,
    pub(crate) approver: Approver,
    pub(crate) agent: Agent,
    relay: Option<Running<Result<(), ServeError>>>,
    owner: Option<Running<Result<(), OwnerError>>>,
    capturer: Option<Capturing>,
}

/// A party that runs until it is told to stop.
struct Running<T> {
    stop: CancellationToken,
    running: JoinHandle<T>,
}

impl<T> Running<T> {
    async fn stop(self) -> T {
        self.stop.cancel();
        within(self.running).await.unwrap()
    }
}

/// A running capturer with its mail listener.
struct Capturing {
    stop: CancellationToken,
    running: JoinSet<()>,
    smtp: SocketAddr,
}

impl Home {
    /// A household where everything runs.
    pub(crate) async fn start() -> Self {
        let mut home = Box::pin(Self::asleep()).await;
        owner_of(&home.world).begin(members(), clock::now()).unwrap();
        home.renew_roster().await;
        home.capture().await;
        home
    }

    /// A household with a relay, where nobody has signed a roster, and nobody captures.
    pub(crate) async fn asleep() -> Self {
        let world = Box::pin(World::start(&[SHOPPER, STRANGER, PHONE, DESK].map(who))).await;
        for member in [SHOPPER, STRANGER, PHONE, DESK] {
            let pin = Pin { owner_key: owner_key().id(), roster: None };
            keys(&world, member).create(&key(member), &pin).unwrap();
        }
        let approver =
            Approver::connect(&world.login(&who(PHONE)), keys(&world, PHONE), name(PHONE)).await.unwrap();
        let agent = agent(&world, SHOPPER).await.unwrap();
        let mut home = Self { world, approver, agent, relay: None, owner: None, capturer: None };
        home.serve().await;
        home
    }

    /// Starts the relay.
    pub(crate) async fn serve(&mut self) {
        let connection = self.world.connect(&Who::Operator("relay")).await;
        let stop = CancellationToken::new();
        let (serves, ready) = oneshot::channel();
        let relay = Relay::new(connection, Settings::default());
        let running = tokio::spawn(relay.serve(stop.clone(), || serves.send(()).unwrap()));
        within(ready).await.unwrap();
        self.relay = Some(Running { stop, running });
    }

    pub(crate) async fn stop_serving(&mut self) {
        self.relay.take().unwrap().stop().await.unwrap();
    }

    /// Starts the owner's program, which signs the next roster and hands it to the relay.
    pub(crate) async fn renew_roster(&mut self) {
        let owner = owner_of(&self.world);
        let bus = self.approver.bus().clone();
        let stop = CancellationToken::new();
        let (renewed, ready) = oneshot::channel();
        let stopped = stop.clone();
        let running =
            tokio::spawn(async move { owner.keep_fresh(&bus, stopped, || renewed.send(()).unwrap()).await });
        within(ready).await.unwrap();
        self.owner = Some(Running { stop, running });
    }

    /// Ends the owner's program.
    pub(crate) async fn stop_renewing(&mut self) {
        self.owner.take().unwrap().stop().await.unwrap();
    }

    /// Starts the capturer and its mail listener.
    pub(crate) async fn capture(&mut self) {
        let login = self.world.login(&who(DESK));
        let notices = Notices::open(self.notices_file());
        let capturer = Capturer::connect(&login, keys(&self.world, DESK), name(DESK), notices).await.unwrap();
        let smtp = Smtp::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (intake, messages) =
            Intake::new(Unverified::Accept, Authenticator::new(Dns::None, None).unwrap());
        let (stop, address) = (CancellationToken::new(), smtp.local_addr().unwrap());
        let mut running = JoinSet::new();
        let stopped = stop.clone();
        running.spawn(async move { Box::new(smtp).run(intake, stopped).await.unwrap() });
        running.spawn(capturer.run(messages, stop.clone()));
        self.capturer = Some(Capturing { stop, running, smtp: address });
    }

    pub(crate) async fn stop_capturing(&mut self) {
        let capturing = self.capturer.take().unwrap();
        capturing.stop.cancel();
        within(capturing.running.join_all()).await;
    }

    /// Sends a mail to the user, with a mail program.
    pub(crate) async fn mail(&self, from: &str, body: &str) {
        let mail = lettre::Message::builder()
            .from(from.parse().unwrap())
            .to("user@localhost".parse().unwrap())
            .subject("Sign in")
            .body(body.to_owned())
            .unwrap();
        let port = self.capturer.as_ref().unwrap().smtp.port();
        let program = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port).build();
        within(program.send(mail)).await.unwrap();
    }

    /// Asks for a code of `acme.example`.
    pub(crate) async fn ask(&self) -> Pending {
        within(self.agent.request(asking())).await.unwrap()
    }

    /// The request as the user's approver sees it.
    pub(crate) async fn seen(&self, key: &RequestKey) -> VerifiedRequest {
        within(self.approver.find(key.request)).await.unwrap()
    }

    pub(crate) async fn approve(&self, key: &RequestKey) {
        let approved = self.approver.approve(&self.seen(key).await).await.unwrap();
        assert_eq!(approved, Some(EventType::Approved));
    }

    pub(crate) async fn deny(&self, key: &RequestKey) {
        let denied = self.approver.deny(&self.seen(key).await).await.unwrap();
        assert_eq!(denied, Some(EventType::Denied));
    }

    /// What happened to the request so far.
    pub(crate) async fn history(&self, key: &RequestKey) -> Vec<EventType> {
        let events = self.approver.bus().get(key).await.unwrap();
        events.iter().map(|recorded| recorded.event.kind()).collect()
    }

    /// Waits until this has happened to the request.
    pub(crate) async fn until(&self, key: &RequestKey, kind: EventType) {
        eventually(async || self.history(key).await.contains(&kind).then_some(())).await;
    }

    /// The vault, as the relay's NATS user sees it.
    pub(crate) async fn vault(&self) -> Vault {
        Vault::new(self.world.connect(&Who::Operator("relay")).await)
    }

    /// A member's way to the relay.
    pub(crate) async fn bus(&self, member: (Role, &str)) -> Bus {
        Bus::new(self.world.connect(&who(member)).await, owner(), member.0, name(member))
    }

    /// What the capturer tells about the request, once it does.
    pub(crate) async fn notice(&self, key: &RequestKey) -> String {
        let path = self.notices_file();
        let request = key.request;
        eventually(async || Notices::open(&path).about(request).map(|notice| notice.text.clone())).await
    }

    /// Waits until the capturer knows of everything that was approved before: it learns in order, and a code that is
    /// approved last is captured.
    pub(crate) async fn learnt_of_all(&self) {
        let probe = Asking::code_by_email("Look", "probe.example").unwrap();
        let pending = self.agent.request(probe).await.unwrap();
        self.approve(pending.key()).await;
        self.mail("a@probe.example", "Your login code is 000000.").await;
        self.until(pending.key(), EventType::Captured).await;
    }

    /// Waits until the agent has kept so many alarms.
    pub(crate) async fn alarms(&self, count: usize) {
        let keys = keys(&self.world, SHOPPER);
        eventually(async || (keys.alarms().unwrap().len() == count).then_some(())).await;
    }

    /// The files that the capturer has about what it acted on.
    pub(crate) fn records(&self) -> BTreeSet<PathBuf> {
        let dir = keys(&self.world, DESK).dir().join("spent");
        let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "spent")).collect()
    }

    /// Whether one of these files holds these bytes.
    pub(crate) fn is_recorded(&self, bytes: &[u8]) -> bool {
        let holds = |path: PathBuf| {
            std::fs::read(path).unwrap_or_default().windows(bytes.len()).any(|window| window == bytes)
        };
        self.records().into_iter().any(holds)
    }

    /// Puts an empty broker in the place of this one.
    pub(crate) async fn lose_everything(&mut self) {
        self.world.stop().await;
        std::fs::remove_dir_all(self.world.files().join("broker/store")).unwrap();
        self.world.resume().await;
        let connection = self.world.connect(&Who::Operator("provision")).await;
        provision(&connection, Settings::default()).await.unwrap();
    }

    fn notices_file(&self) -> PathBuf {
        self.world.files().join("notices.json")
    }
}

/// A code by e-mail, for five minutes.
pub(crate) fn asking() -> Asking {
    Asking::code_by_email("Sign in to Acme", "acme.example").unwrap()
}

/// The same, for as short a time as may be.
pub(crate) fn briefly() -> Asking {
    Asking { ttl: "1s".parse().unwrap(), ..asking() }
}

/// Connects an agent.
pub(crate) async fn agent(world: &World, member: (Role, &str)) -> Result<Agent, AgentError> {
    Agent::connect(&world.login(&who(member)), keys(world, member), name(member)).await
}

/// The owner's program.
pub(crate) fn owner_of(world: &World) -> Owner {
    Owner::new(owner_key(), world.files().join("rosters"))
}

/// The household's members, as its roster names them.
pub(crate) fn members() -> Vec<Member> {
    [SHOPPER, PHONE, DESK]
        .map(|(role, name)| Member::new(role, name.parse().unwrap(), key((role, name)).public()))
        .to_vec()
}

pub(crate) fn owner() -> OwnerId {
    OwnerId::of(&owner_key().id())
}

/// The identity key of a member; each has its own.
pub(crate) fn key(member: (Role, &str)) -> IdentityKey {
    let number = [SHOPPER, STRANGER, PHONE, DESK].iter().position(|one| *one == member).unwrap();
    IdentityKey::from_seed(&[u8::try_from(number).unwrap(); 32].into())
}

/// The owner's key, which everyone has pinned.
pub(crate) fn owner_key() -> IdentityKey {
    IdentityKey::from_seed(&[9; 32].into())
}

pub(crate) fn name(member: (Role, &str)) -> MemberId {
    member.1.parse().unwrap()
}

fn who(member: (Role, &str)) -> Who {
    Who::Member { owner: owner(), role: member.0, name: name(member) }
}

fn keys(world: &World, member: (Role, &str)) -> Keys {
    Keys::at(world.files().join(format!("home-{}", member.1)))
}
