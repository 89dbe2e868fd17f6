//! A data directory of its own, and what a person types about it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use agent_otp_jetstream::{ClientCertificate, Server, Trust};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{ChildStdin, Command};

use crate::asked::Asked;
use crate::process::{Ended, Process, kill};
use crate::programs;
use crate::up::Up;

/// Which variable holds a passphrase.
const PASSPHRASE: &str = "AGENT_OTP_PASSPHRASE";

/// A data directory, and beside it what the programs print.
#[derive(Debug)]
pub struct Place {
    root: TempDir,
    started: Cell<u32>,
    log: Option<&'static str>,
    passphrase: RefCell<Option<String>>,
}

/// `run.json`.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where the broker listens.
    pub nats_url: String,
    /// How a client reaches it.
    pub server: Server,
    /// Where others reach it; empty if they do not.
    pub nats_public_url: String,
    /// Whose relay it is.
    pub owner: String,
    /// Where mail is taken; empty as long as nobody does.
    pub smtp: String,
    /// The file with each NATS user's seed.
    pub creds: BTreeMap<String, PathBuf>,
    /// The process of `up`.
    pub pid: u32,
    /// The broker's process; 0 if somebody else runs it.
    pub nats_pid: u32,
    /// Where the broker keeps its streams; empty if somebody else runs it.
    pub nats_store: PathBuf,
}

impl Place {
    /// A data directory that is not there yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each one is another directory")]
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, started: Cell::default(), log: None, passphrase: RefCell::default() }
    }

    /// The same, where every program logs all that it can.
    #[must_use]
    pub fn traced() -> Self {
        let mut place = Self::new();
        place.log = Some("trace");
        place
    }

    /// Puts this passphrase, or none, into the environment of every program that is started from now on.
    pub fn set_passphrase(&self, passphrase: Option<&str>) {
        *self.passphrase.borrow_mut() = passphrase.map(str::to_owned);
    }

    /// The environment of a program: what this test runs in, without what is meant for it and with the passphrase.
    pub(crate) fn environment(&self, command: &mut Command) {
        for variable in ["AGENT_OTP_DATA", "AGENT_OTP_LOG", "AGENT_OTP_NATS_SERVER", PASSPHRASE] {
            command.env_remove(variable);
        }
        if let Some(log) = self.log {
            command.env("AGENT_OTP_LOG", log);
        }
        if let Some(passphrase) = &*self.passphrase.borrow() {
            command.env(PASSPHRASE, passphrase);
        }
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The directory with everything that the programs have printed, and the data directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Starts one of our programs.
    pub fn spawn(&self, name: &str, arguments: &[&str]) -> Process {
        self.spawn_with(name, arguments, [])
    }

    /// Starts one of our programs with further variables in its environment.
    pub(crate) fn spawn_with<'a>(
        &self,
        name: &str,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Process {
        let (command, prints) = self.command(name, arguments, environment);
        Process::spawn(command, &prints)
    }

    /// A program with what it is given, and where it prints.
    fn command<'a>(
        &self,
        name: &str,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Command, PathBuf) {
        let count = self.started.get();
        self.started.set(count.saturating_add(1));
        let mut command = Command::new(programs::program(name));
        command.args(arguments);
        self.environment(&mut command);
        command.envs(environment);
        let prints = format!("{count:03}-{}", name.replace('/', "-"));
        (command, self.root.path().join(prints))
    }

    /// Types `agent-otp --data DIR …`, and waits for its end.
    pub async fn agent_otp(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).ended().await
    }

    /// Types `agent-otp --data DIR …`.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_with(arguments, [])
    }

    /// Types the same with further variables in its environment.
    pub fn start_with<'a>(
        &self,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Process {
        let dir = self.dir();
        let data = ["--data", dir.to_str().unwrap()];
        self.spawn_with("agent-otp", &[&data, arguments].concat(), environment)
    }

    /// Types the same with a pipe into it.
    pub(crate) fn start_piped<'a>(
        &self,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Process, ChildStdin) {
        let dir = self.dir();
        let data = ["--data", dir.to_str().unwrap()];
        let (command, prints) = self.command("agent-otp", &[&data, arguments].concat(), environment);
        Process::spawn_piped(command, &prints)
    }

    /// Types `up` with these options and the nats-server of the tests; unverified mail is taken only if they say so.
    pub fn start_up(&self, options: &[&str]) -> Process {
        let nats_server = programs::nats_server().to_str().unwrap();
        self.start(&[&["up", "--nats-server", nats_server], options].concat())
    }

    /// Brings everything up, with mail taken without proof of its sender.
    pub async fn up(&self) -> Up {
        self.up_with(&["--accept-unverified-mail"]).await
    }

    /// Brings everything up with these options.
    pub async fn up_with(&self, options: &[&str]) -> Up {
        Up::ready(self, self.start_up(options)).await
    }

    /// Brings everything up on an existing server.
    pub async fn up_on(&self, url: &str, options: &[&str]) -> Up {
        let words = [&["up", "--accept-unverified-mail", "--nats", url], options].concat();
        Up::ready(self, self.start(&words)).await
    }

    /// Asks as the agent `shopper` for a code from github.com, unless `options` say otherwise, and returns when it
    /// stands.
    pub async fn request(&self, options: &[&str]) -> Asked {
        Asked::standing(self.start_request(options)).await
    }

    /// Types the same, and returns at once.
    pub fn start_request(&self, options: &[&str]) -> Process {
        self.start(&asking(options))
    }

    /// Types `approve`.
    pub async fn approve(&self, id: &str) -> Ended {
        self.agent_otp(&["approve", id]).await.well()
    }

    /// Types `deny`.
    pub async fn deny(&self, id: &str) -> Ended {
        self.agent_otp(&["deny", id]).await.well()
    }

    /// What `pending --json` lists.
    pub async fn pending(&self) -> Vec<Value> {
        let Value::Array(pending) = self.agent_otp(&["pending", "--json"]).await.well().json() else {
            panic!("an array")
        };
        pending
    }

    /// What `pending --json` says about one request, if it is open.
    pub async fn pending_one(&self, id: &str) -> Option<Value> {
        self.pending().await.into_iter().find(|request| request.get("id").is_some_and(|found| found == id))
    }

    /// What `audit events --json` prints.
    pub async fn events(&self) -> Vec<Value> {
        let printed = self.agent_otp(&["audit", "events", "--json"]).await.well().stdout;
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The types of one request's events, in their order, each with a version one higher than the last.
    pub async fn history(&self, id: &str) -> Vec<String> {
        let events = self.events().await;
        let mine: Vec<&Value> = events.iter().filter(|event| event["request"] == id).collect();
        for (version, event) in (1..).zip(&mine) {
            assert_eq!((&event["version"], &event["verification"]), (&version.into(), &"verified".into()));
        }
        mine.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    /// What runs here, as `run.json` says.
    #[must_use]
    pub fn run(&self) -> Run {
        self.try_run().expect("run.json is there while `up` runs")
    }

    pub(crate) fn try_run(&self) -> Option<Run> {
        let run: Value = serde_json::from_slice(&fs::read(self.dir().join("run.json")).ok()?).ok()?;
        let text = |field: &str| run.get(field)?.as_str().map(str::to_owned);
        let pid = |field: &str| run.get(field)?.as_u64()?.try_into().ok();
        let creds = run.get("creds")?.as_object()?.iter();
        Some(Run {
            nats_url: text("nats_url")?,
            server: server(&run)?,
            nats_public_url: text("nats_public_url").unwrap_or_default(),
            owner: text("owner")?,
            smtp: text("smtp").or_else(|| self.smtp_alone()).unwrap_or_default(),
            creds: creds
                .map(|(name, path)| Some((name.clone(), path.as_str()?.into())))
                .collect::<Option<_>>()?,
            pid: pid("pid")?,
            nats_pid: pid("nats_pid").unwrap_or_default(),
            nats_store: text("nats_store").unwrap_or_default().into(),
        })
    }

    /// Where mail is taken: by the user's side, or by a capturer alone.
    pub(crate) fn smtp_address(&self) -> String {
        let run = self.try_run().map(|run| run.smtp).filter(|smtp| !smtp.is_empty());
        run.or_else(|| self.smtp_alone()).expect("somebody takes mail here")
    }

    /// Where a user's side takes mail that runs by itself, or would: `run.json` does not say.
    fn smtp_alone(&self) -> Option<String> {
        let ports: Value = serde_json::from_slice(&fs::read(self.dir().join("ports.json")).ok()?).ok()?;
        Some(format!("127.0.0.1:{}", ports.get("smtp")?))
    }
}

/// How a client reaches the broker of which `run.json` says this.
fn server(run: &Value) -> Option<Server> {
    let url = run.get("nats_url")?.as_str()?.to_owned();
    let tls = run.get("nats_tls");
    let text = |field: &str| tls?.get(field)?.as_str();
    let trust = match (text("pin"), text("ca")) {
        (Some(pin), _) => Trust::Pinned(pin.parse().ok()?),
        (None, Some(ca)) => Trust::Authority(ca.into()),
        (None, None) => Trust::Plain,
    };
    let own = text("certificate").zip(text("key"));
    let certificate = own.map(|(chain, key)| ClientCertificate { chain: chain.into(), key: key.into() });
    Some(Server { url, trust, certificate })
}

/// `request` with these options, and what else it needs.
pub(crate) fn asking<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["request"];
    for (option, value) in
        [("--agent", "shopper"), ("--from", "github.com"), ("--reason", "Sign in to GitHub")]
    {
        if !options.contains(&option) {
            words.extend([option, value]);
        }
    }
    words.extend(options);
    words
}

impl Run {
    /// Kills the broker as a crash would.
    pub fn kill_broker(&self) {
        kill(self.nats_pid, Signal::KILL);
    }

    /// Has the broker stand still: it keeps its connections, and says nothing.
    pub fn stop_broker(&self) {
        kill(self.nats_pid, Signal::STOP);
    }

    /// Has it go on.
    pub fn continue_broker(&self) {
        kill(self.nats_pid, Signal::CONT);
    }

    /// Whether the broker's process is there; a dead one that nobody has waited for is not.
    #[must_use]
    pub fn has_broker(&self) -> bool {
        is_alive(self.nats_pid)
    }
}

impl Drop for Place {
    /// A story that broke off after it had killed `up` would leave the broker behind.
    fn drop(&mut self) {
        let Some(run) = self.try_run() else { return };
        if command_line(run.nats_pid).contains(&*self.root.path().to_string_lossy()) {
            kill(run.nats_pid, Signal::KILL);
        }
    }
}

/// Texts, to be compared with a history.
#[must_use]
pub fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

/// Whether a process runs.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    !command_line(pid).is_empty()
}

/// What a process was started with; empty if it has ended.
fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
