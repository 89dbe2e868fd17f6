//! Commands that work in a temporary directory: neither their end nor a signal leaves that or a nats-server behind.

use std::fs;
use std::path::PathBuf;

use agent_otp_tests::{Place, Process, ending_signals, eventually, is_alive, nats_server};
use rustix::process::Signal;

#[tokio::test]
async fn a_signal_during_bench_leaves_nothing() {
    for signal in ending_signals() {
        let place = Place::new();
        let bench = start(&place, &["bench"]);
        let both = eventually("both brokers", async || Some(brokers(&place)).filter(|pids| pids.len() == 2));
        let pids = both.await;
        is_gone_by(signal, bench, &place, &pids).await;
    }
}

#[tokio::test]
async fn a_signal_at_any_time_of_the_demo_leaves_nothing() {
    for signal in ending_signals() {
        let place = Place::new();
        let demo = start(&place, &["demo"]);
        let pids = broker(&place).await;
        is_gone_by(signal, demo, &place, &pids).await;

        let demo = start(&place, &["demo"]);
        let told = || demo.printed().contains("1. A code by e-mail");
        eventually("the first chapter", async || told().then_some(())).await;
        let pids = broker(&place).await;
        is_gone_by(signal, demo, &place, &pids).await;
    }
}

#[tokio::test]
async fn the_demo_keeps_every_promise_and_leaves_nothing() {
    let place = Place::new();
    for options in [&[][..], &["--json"]] {
        let ended = start(&place, &[&["demo"], options].concat()).ended().await.well();
        assert!(!ended.stdout.contains("NOT SO") && !ended.stdout.contains(r#""ok":false"#), "{ended:?}");
        let last = ended.stdout.lines().last().unwrap();
        assert!(last.starts_with("Every check held.") || last == r#"{"failures":0,"ok":true,"step":"end"}"#);
        assert_eq!(ended.stderr, "");
        assert_eq!(left(&place), [] as [PathBuf; 0]);
    }
}

fn start(place: &Place, words: &[&str]) -> Process {
    let tmp = place.root().join("tmp");
    fs::create_dir_all(&tmp).unwrap();
    let nats_server = nats_server().to_str().unwrap();
    place.start_with(&[words, &["--nats-server", nats_server]].concat(), [("TMPDIR", tmp.to_str().unwrap())])
}

async fn broker(place: &Place) -> Vec<u32> {
    eventually("a broker", async || Some(brokers(place)).filter(|pids| !pids.is_empty())).await
}

/// The brokers of the one directory in the temporary one.
fn brokers(place: &Place) -> Vec<u32> {
    let dir = fs::read_dir(place.root().join("tmp")).unwrap().next();
    let Some(Ok(dir)) = dir else { return Vec::new() };
    let records = ["real", "bare", "data"].map(|part| dir.path().join(part).join("nats/broker.json"));
    let pid = |path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).ok()?).ok()?["pid"].as_u64();
    records.into_iter().filter_map(pid).map(|pid| pid.try_into().unwrap()).collect()
}

async fn is_gone_by(signal: Signal, mut process: Process, place: &Place, pids: &[u32]) {
    process.signal(signal);
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.ends_with("agent-otp: interrupted\n"), "{ended:?}");
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{signal:?} leaves a nats-server");
    assert_eq!(left(place), [] as [PathBuf; 0], "{signal:?}");
}

fn left(place: &Place) -> Vec<PathBuf> {
    fs::read_dir(place.root().join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
}
