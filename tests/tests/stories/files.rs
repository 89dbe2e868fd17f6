//! Who can read what lies in a data directory: its user alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agent_otp_domain::Role;
use agent_otp_tests::Place;

use crate::enrol::LISTEN;

/// Where `nats-server` writes on which port it listens, with a mode of its own.
const PORTS: &str = "nats/ports/";

#[tokio::test]
async fn nobody_else_can_read_a_file_of_ours_or_enter_a_directory() {
    let (place, other) = (Place::new(), Place::new());
    let up = place.up_with(&LISTEN).await;
    place.enrolled(&other, "agent", "laptop").await;
    let add = [
        "sources",
        "add",
        "imap",
        "name=private",
        "host=imap.example.com",
        "user=me",
        "--ask",
        "password_file",
    ];
    place.piped(&add, b"app password\n").await.well();
    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    asked.ended().await.well();
    place.agent_otp(&["audit", "rebuild"]).await.well();
    assert_eq!(loose(&place.dir()), [] as [String; 0]);
    assert_eq!(loose(&other.dir()), [] as [String; 0]);
    up.stop().await.well();
    place.agent_otp(&["keys", "rotate", "agent:shopper"]).await.well();
    assert_eq!(loose(&place.dir()), [] as [String; 0]);
    let key = place.home(Role::Agent, "shopper").dir().join("identity.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(loose(&place.dir()), ["0644 members/agent-shopper/identity.key"], "it is looked at");
}

/// What somebody else can read, write or enter, and with which mode.
fn loose(dir: &Path) -> Vec<String> {
    let told = |path: PathBuf| {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777;
        let named = path.strip_prefix(dir).unwrap().display().to_string();
        (!named.starts_with(PORTS) && mode & 0o077 != 0).then(|| format!("{mode:04o} {named}"))
    };
    let mut loose: Vec<String> = below(dir).into_iter().filter_map(told).collect();
    loose.sort();
    loose
}

/// A directory with everything below it: directories, sockets and locks too.
fn below(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if fs::symlink_metadata(path).unwrap().is_dir() {
        all.extend(fs::read_dir(path).unwrap().flat_map(|entry| below(&entry.unwrap().path())));
    }
    all
}
