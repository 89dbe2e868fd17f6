//! A real broker in a directory of its own, with one NATS user for each party.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use agent_otp_broker::{Broker, Config, Listen, Permissions, Responses, User, UserKey, find};
use agent_otp_jetstream::permission::{self, Grants};
use agent_otp_jetstream::provision::{Settings, provision};
use agent_otp_jetstream::{Connection, Login, Who};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// How long anything may take that a test waits for.
const BOUND: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A broker and all who may connect to it.
pub(crate) struct World {
    broker: Option<Broker>,
    config: Config,
    keys: BTreeMap<String, UserKey>,
    dir: TempDir,
}

impl World {
    /// A broker that knows these parties besides the operator's own, with all streams and durables.
    pub(crate) async fn start(parties: &[Who]) -> Self {
        let world = Self::bare(parties).await;
        let connection = world.connect(&Who::Operator("provision")).await;
        provision(&connection, Settings::default()).await.unwrap();
        world
    }

    /// The same, without any stream.
    pub(crate) async fn bare(parties: &[Who]) -> Self {
        Self::listening(tempfile::tempdir().unwrap(), Listen::Loopback, parties).await
    }

    /// A broker that listens so, and keeps everything in `dir`.
    pub(crate) async fn listening(dir: TempDir, listen: Listen, parties: &[Who]) -> Self {
        let operators = ["relay", "provision", "dashboard", "micro", "broker"].map(Who::Operator);
        let (mut keys, mut users) = (BTreeMap::new(), Vec::new());
        for who in operators.iter().chain(parties) {
            let key = UserKey::create(&dir.path().join(who.inbox())).unwrap();
            users.push(user(who, &key));
            keys.insert(who.inbox(), key);
        }
        let config = Config { dir: dir.path().join("broker"), listen, port: None, users };
        let mut world = Self { broker: None, config, keys, dir };
        world.resume().await;
        world
    }

    /// Starts the broker again, on the port that it had.
    pub(crate) async fn resume(&mut self) {
        let nats_server = find(None).unwrap().path;
        let broker = Broker::start(&nats_server, self.config.clone()).await.unwrap();
        self.config.port = Some(broker.port());
        self.broker = Some(broker);
    }

    /// Ends the broker.
    pub(crate) async fn stop(&mut self) {
        self.broker.take().unwrap().stop().await.unwrap();
    }

    pub(crate) async fn connect(&self, who: &Who) -> Connection {
        Connection::open(&self.login(who), who).await.unwrap()
    }

    pub(crate) fn login(&self, who: &Who) -> Login {
        let seed = self.keys.get(&who.inbox()).unwrap().seed().to_owned();
        Login::plain(format!("nats://127.0.0.1:{}", self.config.port.unwrap()), seed)
    }

    /// Where the broker keeps everything that it writes.
    pub(crate) fn files(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.files().join("broker/nats-server.log")).unwrap_or_default();
            eprintln!("the server's log:\n{log}");
        }
    }
}

fn user(who: &Who, key: &UserKey) -> User {
    let Grants { publish, subscribe, respond } = grants(who);
    let responses = respond.then_some(Responses { max: 1, expires: Duration::from_secs(30) });
    User {
        name: who.inbox(),
        public_key: key.public().to_owned(),
        permissions: Permissions { publish, subscribe, responses },
    }
}

fn grants(who: &Who) -> Grants {
    match who {
        Who::Member { owner, role, name } => permission::member(owner, *role, name),
        Who::Enroller { owner } => permission::enroller(owner),
        Who::Enrolment { owner, id } => permission::enrolment(owner, id),
        Who::Operator("relay") => permission::relay(),
        Who::Operator("provision") => permission::provision(),
        Who::Operator("dashboard") => permission::dashboard(),
        // Whoever holds the broker itself: nothing that it publishes is refused.
        Who::Operator("broker") => {
            Grants { publish: vec![">".to_owned()], subscribe: vec![">".to_owned()], respond: false }
        }
        // Whoever runs `nats micro`.
        Who::Operator(_) => Grants {
            publish: vec!["$SRV.>".to_owned()],
            subscribe: vec![format!("{}.>", who.inbox())],
            respond: false,
        },
    }
}

/// Waits for what must come.
pub(crate) async fn within<F: Future>(what: F) -> F::Output {
    timeout(BOUND, what).await.unwrap_or_else(|_| panic!("nothing came within {BOUND:?}"))
}

/// Looks until there is something to see.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(async {
        loop {
            match look().await {
                Some(seen) => return seen,
                None => sleep(LOOK_AGAIN).await,
            }
        }
    })
    .await
}
