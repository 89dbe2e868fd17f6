//! What `up` runs together, taken apart: each party a process of its own behind a network of its own, and started again
//! whenever it ends, as a service manager would.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::Value;

use crate::asked::Asked;
use crate::place::{Place, asking};
use crate::process::{Process, kill};
use crate::programs;
use crate::proxy::Proxy;
use crate::wait::eventually;

/// How long a party that has ended stays away.
const AWAY: Duration = Duration::from_millis(20);

/// The parties of one data directory.
#[derive(Debug)]
pub struct Parties<'a> {
    place: &'a Place,
    /// `agent-otp serve broker`: it starts a nats-server that dies again.
    broker: RefCell<Option<Process>>,
    /// `agent-otp serve relay`, as often as was asked for.
    pub relays: Vec<Party>,
    /// `agent-otp serve user`.
    pub user: Party,
    /// `agent-otp serve audit`.
    pub audit: Party,
    /// What lies between an agent and the broker.
    pub agent: Proxy,
    agent_pid: Pid,
    is_over: Cell<bool>,
}

/// A program that is started again whenever it ends.
#[derive(Debug)]
pub struct Party {
    /// What lies between it and the broker.
    pub proxy: Proxy,
    arguments: Vec<String>,
    pid: Pid,
    /// What each of its processes prints for people.
    said: RefCell<Vec<PathBuf>>,
}

/// Which process it is at the moment; 0 while there is none.
#[derive(Debug, Clone, Default)]
struct Pid(Arc<AtomicU32>);

impl<'a> Parties<'a> {
    /// Starts the broker, and gets the others ready for [`Parties::run`].
    pub async fn of(place: &'a Place, relays: usize) -> Self {
        let nats_server = programs::nats_server().to_str().unwrap();
        let mut broker = place.start(&["serve", "broker", "--nats-server", nats_server]);
        let run = eventually("the broker", async || {
            assert!(!broker.has_ended(), "`serve broker` has ended:\n{}", broker.said());
            place.try_run()
        })
        .await;
        let url = run.nats_url;
        let party = async |words: &[&str]| {
            let proxy = Proxy::to(&url).await;
            let words = [&["serve"], words, &["--nats-url", proxy.url()]].concat();
            let arguments = words.into_iter().map(str::to_owned).collect();
            Party { proxy, arguments, pid: Pid::default(), said: RefCell::default() }
        };
        Self {
            place,
            broker: RefCell::new(Some(broker)),
            relays: join_all((0..relays).map(|_| party(&["relay"]))).await,
            user: party(&["user", "--accept-unverified-mail"]).await,
            audit: party(&["audit"]).await,
            agent: Proxy::to(&url).await,
            agent_pid: Pid::default(),
            is_over: Cell::new(false),
        }
    }

    /// Runs the parties as long as the story lasts; then all of them are killed, save the broker: it ends in order, so
    /// that no nats-server stays that was just about to take the place of another.
    pub async fn run<T>(&self, story: impl Future<Output = T>) -> T {
        let parties = self.relays.iter().chain([&self.user, &self.audit]);
        let running = join_all(parties.clone().map(|party| party.keep(self)));
        let telling = async {
            let told = story.await;
            self.is_over.set(true);
            parties.for_each(|party| party.pid.kill());
            let broker = self.broker.borrow_mut().take();
            if let Some(mut broker) = broker {
                broker.signal(Signal::TERM);
                broker.ended().await.well();
            }
            told
        };
        tokio::join!(telling, running).0
    }

    /// Waits until every party that others need is ready.
    pub async fn ready(&self) {
        join_all(self.relays.iter().chain([&self.user]).map(Party::ready)).await;
    }

    /// Asks as the agent `shopper`, through [`Parties::agent`], and returns when the request stands.
    pub async fn request(&self, options: &[&str]) -> Asked {
        Asked::standing(self.start_request(options)).await
    }

    /// Types the same, and returns at once.
    pub fn start_request(&self, options: &[&str]) -> Process {
        let dir = self.agent_dir();
        let data = ["--data", dir.to_str().unwrap()];
        let agent = self.place.spawn("agent-otp", &[&data, &*asking(options)].concat());
        self.agent_pid.set(agent.pid());
        agent
    }

    /// The data directory as the agent's machine has it: the same keys, and a broker that is reached by another way.
    #[must_use]
    pub fn agent_dir(&self) -> PathBuf {
        let (here, dir) = (self.place.dir(), self.place.root().join("agent"));
        if fs::create_dir(&dir).is_ok() {
            symlink(here.join("members"), dir.join("members")).unwrap();
            let mut run: Value = serde_json::from_slice(&fs::read(here.join("run.json")).unwrap()).unwrap();
            *run.get_mut("nats_url").unwrap() = self.agent.url().into();
            let path = dir.join("run.json");
            fs::write(&path, run.to_string()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        dir
    }

    /// What kills the agent that was started last.
    pub fn agent_killer(&self) -> impl FnOnce() + Send + 'static + use<> {
        self.agent_pid.killer()
    }

    /// What kills the nats-server that runs at the moment; the next one takes its place at once.
    pub fn broker_killer(&self) -> impl FnOnce() + Send + 'static + use<> {
        let pid = self.place.run().nats_pid;
        move || kill(pid, Signal::KILL)
    }
}

impl Party {
    async fn keep(&self, parties: &Parties<'_>) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        while !parties.is_over.get() {
            let mut process = parties.place.start(&arguments);
            self.said.borrow_mut().push(process.stderr.clone());
            self.pid.set(process.pid());
            process.exited().await;
            self.pid.set(0);
            tokio::time::sleep(AWAY).await;
        }
    }

    /// What kills it, whichever process it is then.
    pub fn killer(&self) -> impl FnOnce() + Send + 'static + use<> {
        self.pid.killer()
    }

    /// Sends its present process a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid.0.load(Ordering::SeqCst), signal);
    }

    /// How often it was started.
    #[must_use]
    pub fn starts(&self) -> usize {
        self.said.borrow().len()
    }

    /// Whether its present process has said that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let said = self.said.borrow();
        said.last().is_some_and(|said| fs::read_to_string(said).unwrap().contains(" is ready at "))
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        eventually(format!("{:?} to be ready", self.arguments), async || self.is_ready().then_some(())).await;
    }
}

impl Pid {
    fn set(&self, pid: u32) {
        self.0.store(pid, Ordering::SeqCst);
    }

    fn kill(&self) {
        match self.0.load(Ordering::SeqCst) {
            0 => {}
            pid => kill(pid, Signal::KILL),
        }
    }

    fn killer(&self) -> impl FnOnce() + Send + 'static + use<> {
        let pid = self.clone();
        move || pid.kill()
    }
}
