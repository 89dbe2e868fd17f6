//! `up` itself: alone on its data, orderly in its end, and whole again after a crash.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use agent_otp_tests::{Place, ending_signals, eventually, ignores, is_alive, nats_server, program, strings};
use rustix::process::Signal;

#[tokio::test]
async fn a_second_up_on_the_same_data_is_refused() {
    let place = Place::new();
    let up = place.up().await;
    let second = place.start_up(&[]).ended().await;
    assert_eq!(second.code, Some(1));
    let said = format!("another `agent-otp up` (pid {}) runs on {}", up.pid(), place.dir().display());
    assert!(second.stderr.contains(&said), "{second:?}");
    assert!(second.stderr.contains("stop it first, or name another directory with --data"), "{second:?}");
    assert!(place.pending().await.is_empty(), "the first one goes on");
}

#[tokio::test]
async fn what_is_said_to_be_typed_next_can_be_typed() {
    let place = Place::new();
    let up = place.up().await;
    let mut asked = place.request(&[]).await;
    let said = asked.said();
    let approve = said.lines().find_map(|line| Some(line.split_once("the user decides: ")?.1)).unwrap();
    let greeting = up.said();
    let pending = typed(greeting.lines().find(|line| line.contains(" pending ")).unwrap());
    let (_, deny) = pending.lines().last().unwrap().split_once("  or  ").unwrap();
    assert_eq!(typed(approve), format!("approved {}\n", asked.id));
    assert_eq!(typed(&deny.replace("ID", &asked.id)), format!("denied {}\n", asked.id));
    assert_eq!(asked.ended().await.code, Some(10));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--smtp-port", "--sms-webhook-port", "--nats-port"] {
        let ended = place.start_up(&[option, &port]).ended().await;
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(&port), "{ended:?}");
        assert!(ended.stderr.contains("another port"), "{ended:?}");
        assert!(!place.dir().join("run.json").exists());
    }
    let asked = format!("127.0.0.1:{port}");
    drop(taken);
    let _up = place.up_with(&["--smtp-port", &port]).await;
    assert_eq!(place.run().smtp, asked);
}

#[tokio::test]
async fn ports_are_kept_from_one_start_to_the_next() {
    let place = Place::new();
    place.up().await.stop().await.well();
    let up = place.up().await;
    let first = place.run();
    up.stop().await.well();
    let _up = place.up().await;
    let second = place.run();
    assert_eq!((first.nats_url, first.smtp), (second.nats_url, second.smtp));
    assert_eq!(first.owner, second.owner);
}

#[tokio::test]
async fn a_signal_leaves_nothing_running() {
    let place = Place::new();
    for signal in ending_signals() {
        let mut up = place.up().await;
        let run = place.run();
        assert!(run.has_broker());
        up.signal(signal);
        let ended = up.ended().await.well();
        assert!(!ended.stderr.contains("the trail may lack"), "{ended:?}");
        assert!(!run.has_broker());
        assert!(!place.dir().join("run.json").exists());
    }
}

#[tokio::test]
async fn the_end_of_the_terminal_is_ignored_by_whoever_was_started_so() {
    let place = Place::new();
    let (program, nats_server) = (program("agent-otp"), nats_server());
    let up = format!(
        "trap '' HUP; exec {} --data {} up --nats-server {}",
        program.display(),
        place.dir().display(),
        nats_server.display()
    );
    let mut up = place.spawn("/bin/sh", &["-c", &up]);
    eventually("`up` to be ready", async || up.said().contains("Agent OTP is up").then_some(())).await;
    up.signal(Signal::HUP);
    assert!(ignores(up.pid(), Signal::HUP), "a signal that is heard is not ignored any more");
    assert!(place.pending().await.is_empty(), "it goes on");
    up.signal(Signal::TERM);
    up.ended().await.well();
}

#[tokio::test]
async fn what_is_asked_is_told_at_once_and_once_where_up_runs() {
    let place = Place::new();
    let up = place.up().await;
    // What looks like lines of our own does not begin where those do.
    let lines = "  answer   agent-otp approve 01a2074f-d940-78dd-a5ee-67b332e181a7   (or deny)";
    let reason = format!("Pay “now” \u{1b}[2Jand\nsoon{}{lines}", " ".repeat(80));
    let asked = place.request(&["--reason", &reason, "--from", "acme.example"]).await;
    let line = [
        &format!("asked      {}  by shopper", asked.id),
        "  says     “Pay \"now\" <U+001B>[2Jand<U+000A>soon answer agent-otp",
        "           approve 01a2074f-d940-78dd-a5ee-67b332e181a7 (or deny)”",
        "  sender   acme.example\n",
    ]
    .join("\n");
    let told = eventually("what is asked", async || {
        let said = up.said();
        said.split_once(&line).map(|(_, after)| after.to_owned())
    });
    let answer = format!("agent-otp --data {} approve {}   (or deny)\n", place.dir().display(), asked.id);
    assert!(told.await.contains(&answer), "{}", up.said());
    place.approve(&asked.id).await;
    place.deny(&asked.id).await;
    up.stop().await.well();
    // One that waits is told again by the next.
    let up = place.up().await;
    let next = place.request(&[]).await;
    eventually("the next one", async || up.said().contains(&next.id).then_some(())).await;
    assert!(!up.said().contains(&asked.id));
    up.stop().await.well();
    let up = place.up().await;
    eventually("the one that waits", async || up.said().contains(&next.id).then_some(())).await;
    assert_eq!(up.said().matches("asked      ").count(), 1, "{}", up.said());
}

#[tokio::test]
async fn after_a_crash_the_next_up_stops_the_orphan_and_goes_on() {
    let place = Place::new();
    let up = place.up().await;
    let mut asked = place.request(&[]).await;
    let crashed = place.run();
    up.crash().await;
    assert!(crashed.has_broker(), "the broker is an orphan");

    let up = place.up().await;
    let said = up.said();
    let orphan = format!(
        "stopped the nats-server (pid {}) that an `agent-otp up` before left behind",
        crashed.nats_pid
    );
    assert!(said.contains(&orphan), "{said}");
    assert!(!crashed.has_broker());
    // The agent's program has waited all the time.
    place.approve(&asked.id).await;
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved", "captured", "consumed"]));
}

#[tokio::test]
async fn a_signal_during_the_start_leaves_nothing_running() {
    let place = Place::new();
    let mut starting = place.start_up(&[]);
    let started = place.dir().join("nats").join("broker.json");
    eventually("the broker to start", async || started.exists().then_some(())).await;
    let broker: serde_json::Value =
        eventually("the broker's record", async || serde_json::from_slice(&fs::read(&started).ok()?).ok())
            .await;
    starting.signal(Signal::TERM);
    starting.ended().await.well();
    let pid = broker["pid"].as_u64().unwrap().try_into().unwrap();
    eventually("the broker to be gone", async || (!is_alive(pid)).then_some(())).await;
    assert!(!place.dir().join("run.json").exists());
    let _up = place.up().await;
}

#[tokio::test]
async fn a_signal_while_nats_server_is_installed_leaves_nothing() {
    let place = Place::new();
    let [bin, cache, pid] = ["bin", "cache", "pid"].map(|name| place.root().join(name));
    fs::create_dir(&bin).unwrap();
    // A pip that never comes to an end.
    let python = bin.join("python3");
    let script = format!(
        "#!/bin/sh\n[ \"$3\" = --version ] && exit 0\necho $$ > {}\nexec /bin/sleep 600\n",
        pid.display()
    );
    fs::write(&python, script).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let environment = [("PATH", &bin), ("XDG_CACHE_HOME", &cache)];
    for signal in ending_signals() {
        let mut up =
            place.start_with(&["up"], environment.map(|(name, path)| (name, path.to_str().unwrap())));
        let pip: u32 = eventually("pip", async || fs::read_to_string(&pid).ok()?.trim().parse().ok()).await;
        up.signal(signal);
        up.ended().await.well();
        assert!(!is_alive(pip), "pip goes on");
        fs::remove_file(&pid).unwrap();
        let left = fs::read_dir(cache.join("agent-otp")).unwrap().next().unwrap().unwrap().path();
        let left: Vec<_> = fs::read_dir(left).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);
    }
}

#[tokio::test]
async fn a_damaged_data_directory_is_named_with_the_next_step() {
    let place = Place::new();
    let up = place.up().await;
    place.request(&["--ttl", "1s"]).await.ended().await;
    up.stop().await.well();
    let table: [(&str, Damage, &str); 13] = [
        ("", Damage::Open, "type chmod 700"),
        ("owner/identity.key", Damage::Open, "type chmod 600"),
        ("owner/identity.key", Damage::Garbage, "restore it"),
        ("owner/rosters/0000000001.roster", Damage::Garbage, "restore "),
        ("members/agent-shopper/identity.key", Damage::Open, "type chmod 600"),
        ("members/agent-shopper/identity.key", Damage::Garbage, "restore it, or enrol anew"),
        ("members/approver-local/pin.json", Damage::Garbage, "restore it, or enrol anew"),
        ("members/capturer-local/pin.json", Damage::Open, "type chmod 600"),
        ("members/capturer-local/nats.nk", Damage::Garbage, "nats.nk"),
        ("operator/relay.nk", Damage::Open, "chmod 600"),
        ("audit.db", Damage::Garbage, "belongs to another program: choose another path"),
        ("nats/nats-server.conf", Damage::Directory, "cannot write the broker's files into"),
        ("lock", Damage::Directory, "cannot write"),
    ];
    for (path, damage, said) in table {
        let path = place.dir().join(path);
        let mend = damage.done_to(&path);
        let ended = place.start_up(&[]).ended().await;
        mend();
        assert_eq!(ended.code, Some(1), "{}: {ended:?}", path.display());
        assert!(ended.stderr.contains(said), "{}: {ended:?}", path.display());
        assert!(
            ended.stderr.contains(path.file_name().unwrap().to_str().unwrap()) || damage == Damage::Directory,
            "{ended:?}"
        );
        assert!(!place.dir().join("run.json").exists());
    }
    let _up = place.up().await;
    assert_eq!(place.events().await.len(), 2, "mended, it goes on");
}

#[tokio::test]
async fn a_file_in_place_of_the_data_directory_is_named() {
    let place = Place::new();
    fs::write(place.dir(), "something else").unwrap();
    for verb in [vec!["up"], vec!["pending"], vec!["audit", "list"]] {
        let ended = place.agent_otp(&verb).await;
        assert_ne!(ended.code, Some(0));
        assert!(ended.stderr.contains(place.dir().to_str().unwrap()), "{ended:?}");
    }
    let ended = place.start_up(&[]).ended().await;
    assert!(ended.stderr.contains("cannot be used; name another with --data"), "{ended:?}");
}

#[tokio::test]
async fn a_damaged_run_json_is_named_and_the_next_up_replaces_it() {
    let place = Place::new();
    let up = place.up().await;
    let path = place.dir().join("run.json");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, whole.get(..40).unwrap()).unwrap();
    let ended = place.agent_otp(&["pending"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("run.json is damaged; restart `agent-otp up`"), "{ended:?}");
    let mend = Damage::Open.done_to(&path);
    let ended = place.agent_otp(&["pending"]).await;
    mend();
    assert_eq!(ended.code, Some(1), "it is there: {ended:?}");
    assert!(ended.stderr.contains("type chmod 600") && ended.stderr.contains("run.json"), "{ended:?}");
    up.stop().await.well();
    fs::write(&path, "{").unwrap();
    let _up = place.up().await;
    assert!(place.pending().await.is_empty());
}

/// What a line prints for programs that is pasted into a shell.
fn typed(line: &str) -> String {
    let ended = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(ended.status.success(), "{line}: {ended:?}");
    String::from_utf8(ended.stdout).unwrap()
}

/// What may happen to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// Others may read it.
    Open,
    /// It holds something else.
    Garbage,
    /// A directory stands in its place.
    Directory,
}

impl Damage {
    /// Does it, and returns how it is undone.
    fn done_to(self, path: &Path) -> Box<dyn FnOnce()> {
        let mode = fs::metadata(path).unwrap().permissions();
        let path = path.to_owned();
        match self {
            Self::Open => {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode.mode() | 0o044)).unwrap();
                Box::new(move || fs::set_permissions(&path, mode).unwrap())
            }
            Self::Garbage => {
                let whole = fs::read(&path).unwrap();
                fs::write(&path, "not what you think, and long enough to be read as something\n").unwrap();
                Box::new(move || fs::write(&path, whole).unwrap())
            }
            Self::Directory => {
                let whole = fs::read(&path).unwrap();
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
                Box::new(move || {
                    fs::remove_dir(&path).unwrap();
                    fs::write(&path, whole).unwrap();
                })
            }
        }
    }
}
