//! A broker's life with the real nats-server: ready, reloaded, stopped, killed, left behind.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should stop")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use agent_otp_broker::{
    Broker, Config, Listen, OrphanError, Permissions, ReloadError, StartError, User, UserKey, find,
    stop_orphan,
};
use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio::time::timeout;

const DIRECTORY: &str = "AGENT_OTP_BROKER_TEST_DIRECTORY";

#[tokio::test]
async fn a_broker_greets_on_a_free_port_and_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(config(&dir)).await.unwrap();
    let greeting = greeting(broker.port());
    assert!(
        greeting.contains(r#""auth_required":true"#) && greeting.contains(r#""jetstream":true"#),
        "{greeting}"
    );
    assert_eq!(broker.url(), format!("nats://127.0.0.1:{}", broker.port()));
    let pid = pid(broker.pid());
    assert_eq!(getpgid(Some(pid)).unwrap(), pid, "Ctrl-C at a terminal must not reach it");
    broker.stop().await.unwrap();
    assert!(test_kill_process(pid).is_err());
    assert_eq!(files(&dir), ["lock", "nats-server.conf", "nats-server.log", "store"]);
}

#[tokio::test]
async fn a_killed_server_is_seen_and_its_successor_has_the_same_port() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = start(config(&dir)).await.unwrap();
    let (port, client) = (broker.port(), TcpStream::connect(("127.0.0.1", broker.port())).unwrap());
    kill_process(pid(broker.pid()), Signal::KILL).unwrap();
    let status = timeout(Duration::from_secs(10), broker.exited()).await.unwrap().unwrap();
    assert_eq!(status.signal(), Some(9));
    drop((broker, client));
    let broker = start(Config { port: Some(port), ..config(&dir) }).await.unwrap();
    assert_eq!(broker.port(), port);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_server_that_has_died_before_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(config(&dir)).await.unwrap();
    kill_process(pid(broker.pid()), Signal::KILL).unwrap();
    broker.stop().await.unwrap();
    assert_eq!(files(&dir), ["lock", "nats-server.conf", "nats-server.log", "store"]);
}

#[tokio::test]
async fn an_occupied_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let error = start(Config { port: Some(port), ..config(&dir) }).await.unwrap_err();
    assert!(matches!(error, StartError::PortTaken { port: named, .. } if named == port), "{error}");
    assert!(error.to_string().starts_with(&format!("port {port} of 127.0.0.1 is taken")), "{error}");
}

#[tokio::test]
async fn a_configuration_that_the_server_refuses_comes_back_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let users = vec![User { public_key: "no key".to_owned(), ..user() }];
    let error = start(Config { users, ..config(&dir) }).await.unwrap_err();
    assert!(matches!(&error, StartError::Ended { log, .. } if log.contains("nkey")), "{error}");
    assert_eq!(files(&dir), ["lock", "nats-server.conf", "nats-server.log"]);
}

#[tokio::test]
async fn a_broker_without_users_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let error = start(Config { users: Vec::new(), ..config(&dir) }).await.unwrap_err();
    assert!(matches!(error, StartError::NoUsers), "{error}");
}

#[tokio::test]
async fn a_directory_serves_one_broker_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(config(&dir)).await.unwrap();
    let error = start(config(&dir)).await.unwrap_err();
    assert!(matches!(error, StartError::Claim(_)), "{error}");
    let error = stop_orphan(dir.path()).await.unwrap_err();
    assert!(matches!(error, OrphanError::Claim(_)), "{error}");
    greeting(broker.port());
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_reload_answers_once_the_server_has_taken_or_refused_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = start(config(&dir)).await.unwrap();
    let second = User { name: "second".to_owned(), ..user() };
    broker.reload(vec![user(), second]).await.unwrap();
    let taken = fs::read_to_string(dir.path().join("nats-server.conf")).unwrap();
    assert!(taken.contains("# second"), "{taken}");

    let error = broker.reload(vec![User { public_key: "no key".to_owned(), ..user() }]).await.unwrap_err();
    assert!(matches!(&error, ReloadError::Refused { said } if said.contains("nkey")), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("nats-server.conf")).unwrap(), taken);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_finds_a_directory_with_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("é \"$HOME\" \\ #{}");
    let broker = start(Config { dir: odd.clone(), ..config(&dir) }).await.unwrap();
    assert!(odd.join("store/jetstream").is_dir());
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_whose_parent_was_killed_is_stopped() {
    // This test also is the parent that it and others start and kill.
    if let Some(dir) = env::var_os(DIRECTORY) {
        return serve_until_killed(PathBuf::from(dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let orphan = Orphan::of(&dir);
    assert_eq!(stop_orphan(dir.path()).await.unwrap(), Some(orphan.pid));
    assert!(!orphan.is_running());
    assert_eq!(stop_orphan(dir.path()).await.unwrap(), None);
}

#[tokio::test]
async fn a_start_first_stops_the_server_whose_parent_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let orphan = Orphan::of(&dir);
    let broker = start(config(&dir)).await.unwrap();
    assert!(!orphan.is_running());
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_foreign_process_with_the_recorded_pid_is_never_signalled() {
    let dir = tempfile::tempdir().unwrap();
    let orphan = Orphan::of(&dir);
    let path = dir.path().join("broker.json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut foreign = Command::new("sleep").arg("300").spawn().unwrap();
    record["pid"] = foreign.id().into();
    fs::write(&path, record.to_string()).unwrap();
    assert_eq!(stop_orphan(dir.path()).await.unwrap(), None);
    assert!(foreign.try_wait().unwrap().is_none(), "the foreign process was signalled");
    assert!(!path.exists(), "a stale record was kept");
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    kill_process(pid(orphan.pid), Signal::KILL).unwrap();
}

async fn serve_until_killed(dir: PathBuf) {
    let mut broker =
        start(Config { dir, listen: Listen::Loopback, port: None, users: vec![user()] }).await.unwrap();
    eprintln!("server {} {}", broker.pid(), broker.port());
    broker.exited().await.unwrap();
}

/// A server that is left behind.
struct Orphan {
    pid: u32,
    port: u16,
}

impl Orphan {
    /// Starts a parent with a server, and kills the parent.
    fn of(dir: &TempDir) -> Orphan {
        let mut parent = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "a_server_whose_parent_was_killed_is_stopped"])
            .env(DIRECTORY, dir.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stderr.take().unwrap()).lines().map(Result::unwrap);
        let server = lines.find_map(|line| Some(line.strip_prefix("server ")?.to_owned()));
        parent.kill().unwrap();
        parent.wait().unwrap();
        let server = server.expect("the parent says which its server is");
        let (pid, port) = server.split_once(' ').unwrap();
        let orphan = Orphan { pid: pid.parse().unwrap(), port: port.parse().unwrap() };
        assert!(orphan.is_running(), "the server ended with its parent");
        orphan
    }

    fn is_running(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }
}

async fn start(config: Config) -> Result<Broker, StartError> {
    let nats_server = find(None).expect("cargo xtask test installs nats-server");
    Broker::start(&nats_server.path, config).await
}

fn config(dir: &TempDir) -> Config {
    Config { dir: dir.path().to_owned(), listen: Listen::Loopback, port: None, users: vec![user()] }
}

fn user() -> User {
    let dir = tempfile::tempdir().unwrap();
    let key = UserKey::create(&dir.path().join("user.nk")).unwrap();
    User { name: "user".to_owned(), public_key: key.public().to_owned(), permissions: Permissions::default() }
}

/// The server's first line; the wait is bounded.
fn greeting(port: u16) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut line = String::new();
    BufReader::new(stream.take(4096)).read_line(&mut line).unwrap();
    line
}

fn files(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}
