//! Keys at rest: sealed with a passphrase, rotated, lost and recovered; and killed in the middle of each.

mod protect;
mod recovery;
mod rotate;

use std::collections::BTreeMap;
use std::path::Path;

use agent_otp_keyring::Home;
use agent_otp_tests::{Needle, Place, Process, eventually, files_below, strings};
use rustix::process::Signal;
use serde_json::Value;

const PASSPHRASE: &str = "correct horse battery";
/// How often something is broken off at most.
const TRIES_MAX: u32 = 50;
const MEMBERS: [&str; 5] = ["owner", "agent:shopper", "approver:local", "capturer:local", "auditor:local"];

/// A whole life, in which every member's key is needed.
async fn carries_a_code(place: &Place) {
    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved", "captured", "consumed"]));
}

/// Has the keys made, and says how each could be found.
async fn made(place: &Place) -> Vec<Needle> {
    place.up().await.stop().await.well();
    let homes = homes(&place.dir());
    homes.iter().map(|(name, home)| Needle::bytes(name, home.identity().unwrap().seed().as_slice())).collect()
}

/// A data directory whose keys are sealed, and with the passphrase nowhere.
async fn sealed() -> Place {
    let place = Place::new();
    made(&place).await;
    place.set_passphrase(Some(PASSPHRASE));
    place.agent_otp(&["keys", "protect"]).await.well();
    place.set_passphrase(None);
    place
}

/// What `keys show` says: each key, and whether it is sealed.
async fn shown(place: &Place) -> BTreeMap<String, bool> {
    let shown = place.agent_otp(&["keys", "show", "--json"]).await.well().json();
    let Value::Array(keys) = &shown["keys"] else { panic!("an array") };
    keys.iter()
        .map(|key| (key["member"].as_str().unwrap().to_owned(), key["sealed"].as_bool().unwrap()))
        .collect()
}

fn homes(dir: &Path) -> BTreeMap<String, Home> {
    let home = |member: &str| match member.split_once(':') {
        None => Home::at(dir.join(member)),
        Some((role, name)) => Home::at(dir.join("members").join(format!("{role}-{name}"))),
    };
    MEMBERS.map(|member| (member.to_owned(), home(member))).into()
}

/// The fingerprint of each key.
fn keys(place: &Place) -> BTreeMap<String, String> {
    keys_of(&place.dir())
}

fn keys_of(dir: &Path) -> BTreeMap<String, String> {
    homes(dir).into_iter().map(|(name, home)| (name, home.public().unwrap().id().to_string())).collect()
}

/// The number of the latest roster.
fn latest(place: &Place) -> usize {
    let rosters = files_below(&place.dir().join("owner/rosters"));
    rosters.iter().filter(|path| path.extension().is_some_and(|extension| extension == "roster")).count()
}

/// Breaks something off again and again until it stood still in the middle: its steps follow each other within a
/// millisecond, and a kill may come late.
async fn until_hit(middle: &str, mut is_hit: impl AsyncFnMut() -> bool) {
    for _ in 0..TRIES_MAX {
        if is_hit().await {
            return;
        }
    }
    panic!("{TRIES_MAX} kills came late for this: {middle}");
}

/// Kills a program as soon as something has come about, if it does not end before.
async fn killed(mut process: Process, has_come: impl Fn() -> bool) {
    // Without a pause, or it comes late every time.
    while !has_come() && !process.has_ended() {
        std::hint::spin_loop();
    }
    if !process.has_ended() {
        process.signal(Signal::KILL);
    }
    eventually("the end of what was killed", async || process.has_ended().then_some(())).await;
}
