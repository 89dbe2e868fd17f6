//! Keys under a passphrase: sealed with it, opened by it, and sealed with another one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agent_otp_tests::{Needle, Place, nats_server, search};
use rustix::process::Signal;

use super::{
    MEMBERS, PASSPHRASE, carries_a_code, homes, keys, keys_of, killed, made, sealed, shown, until_hit,
};

/// What the file of a key begins with that is sealed, and of one that is not.
const SEALED: &str = "agent-otp-sealed-identity-v1";
const PLAIN: &str = "agent-otp-identity-v1";
const PROMPT: &str = "Passphrase (it is not shown): ";

#[tokio::test]
async fn a_protected_directory_carries_a_code_with_the_passphrase_in_a_file() {
    let place = Place::new();
    let seeds = made(&place).await;
    let file = secret(&place, "passphrase", PASSPHRASE);
    let given = ["--passphrase-file", file.to_str().unwrap()];
    let protected = place.agent_otp(&[&["keys", "protect"], &given[..]].concat()).await.well();
    assert!(protected.stdout.starts_with("sealed 5 keys"), "{protected:?}");
    assert_eq!(shown(&place).await, MEMBERS.map(|member| (member.to_owned(), true)).into());
    assert_eq!(search(&place.dir(), &seeds), [], "no plain key is left");

    let up = place.up_with(&["--accept-unverified-mail", given[0], given[1]]).await;
    let mut asked = place.request(&given).await;
    place.agent_otp(&[&["approve", &asked.id], &given[..]].concat()).await.well();
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    let mut pasted = place.request(&given).await;
    place.agent_otp(&[&["approve", &pasted.id], &given[..]].concat()).await.well();
    place.piped(&[&["capture", &pasted.id], &given[..]].concat(), b"582914\n").await.well();
    assert_eq!(pasted.ended().await.well().stdout, "582914\n");
    up.stop().await.well();

    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let loose = place.start_up(&given).ended().await;
    assert!(loose.code == Some(1) && loose.stderr.contains("type chmod 600"), "{loose:?}");
}

#[tokio::test]
async fn whoever_has_no_passphrase_or_another_is_told_so() {
    let place = sealed().await;
    for arguments in [&["keys", "unprotect"][..], &["keys", "rotate", "agent:shopper"], &["serve", "user"]] {
        let ended = place.agent_otp(arguments).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("owner/identity.key is sealed with a passphrase, and none was given"));
        assert!(ended.stderr.contains("--passphrase-file, or set AGENT_OTP_PASSPHRASE"), "{ended:?}");
    }
    place.set_passphrase(Some("correct horse bakery"));
    let ended = place.start_up(&[]).ended().await;
    assert_eq!(ended.code, Some(1));
    let said =
        format!("the passphrase is not the one of {}", place.dir().join("owner/identity.key").display());
    assert!(ended.stderr.contains(&said) && !ended.stderr.contains("bakery"), "{ended:?}");
    place.set_passphrase(Some("short"));
    let ended = place.agent_otp(&["keys", "show"]).await;
    assert!(
        ended.stderr.contains("AGENT_OTP_PASSPHRASE: a passphrase has at least 8 characters"),
        "{ended:?}"
    );
    let damaged = place.dir().join("owner/identity.key");
    let whole = fs::read_to_string(&damaged).unwrap();
    fs::write(&damaged, whole.replacen("m=65536", "m=65537", 1)).unwrap();
    place.set_passphrase(Some(PASSPHRASE));
    let ended = place.start_up(&[]).ended().await;
    assert!(ended.stderr.contains("identity.key is damaged: restore it from a copy"), "{ended:?}");
}

#[tokio::test]
async fn a_passphrase_in_the_environment_serves_and_is_not_handed_to_the_broker() {
    let place = sealed().await;
    place.set_passphrase(Some(PASSPHRASE));
    let up = place.up().await;
    // That of `up`, which hides its memory, root alone may read.
    if rustix::process::geteuid().is_root() {
        let seen = environment(up.pid());
        assert!(seen.contains("AGENT_OTP_PASSPHRASE"), "what is looked for is there to be found");
    }
    let broker = environment(place.run().nats_pid);
    assert!(!broker.contains(PASSPHRASE) && !broker.contains("AGENT_OTP_PASSPHRASE"), "{broker}");
    carries_a_code(&place).await;
    up.stop().await.well();
    assert_eq!(search(place.root(), &[Needle::text(PASSPHRASE)]), []);
}

#[tokio::test]
async fn keys_that_are_made_under_a_passphrase_are_sealed_from_the_first() {
    let place = Place::new();
    place.set_passphrase(Some(PASSPHRASE));
    place.up().await.stop().await.well();
    assert!(shown(&place).await.values().all(|is_sealed| *is_sealed));
    // What opens no key needs no passphrase.
    place.set_passphrase(None);
    let broker = place.serve_broker().await;
    assert_eq!(place.agent_otp(&["audit", "list"]).await.well().code, Some(0));
    drop(broker);
}

#[tokio::test]
async fn a_passphrase_is_chosen_and_asked_for_at_a_terminal_without_being_shown() {
    let place = Place::new();
    let seeds = made(&place).await;
    let mut terminal = place.at_terminal(&["keys", "protect"]);
    for (times, typed) in [(1, "seven77"), (2, PASSPHRASE)] {
        terminal.until("New passphrase (it is not shown): ", times).await;
        assert!(!terminal.shows_what_is_typed());
        terminal.types(&format!("{typed}\r"));
    }
    terminal.until("Once more: ", 1).await;
    terminal.types("something else\r");
    terminal.until("the two differ; try again", 1).await;
    for prompt in ["New passphrase (it is not shown): ", "Once more: "] {
        terminal.until(prompt, if prompt.starts_with("New") { 3 } else { 2 }).await;
        terminal.types(&format!("{PASSPHRASE}\r"));
    }
    let (code, screen) = terminal.ended().await;
    assert_eq!((code, screen.contains("sealed 5 keys")), (Some(0), true), "{screen}");
    assert!(screen.contains("at least 8 characters; try again") && !screen.contains(PASSPHRASE), "{screen}");
    assert_eq!(search(&place.dir(), &seeds), []);

    let server = nats_server().to_str().unwrap();
    let mut up = place.at_terminal(&["up", "--nats-server", server, "--accept-unverified-mail"]);
    up.until(PROMPT, 1).await;
    up.types("something else\r");
    up.until("That is not it; try again.", 1).await;
    up.until(PROMPT, 2).await;
    up.types(&format!("{PASSPHRASE}\r"));
    up.until("Agent OTP is up.", 1).await;
    place.set_passphrase(Some(PASSPHRASE));
    carries_a_code(&place).await;
    up.signal(Signal::INT);
    let (code, screen) = up.ended().await;
    assert_eq!((code, screen.contains(PASSPHRASE)), (Some(0), false), "{screen}");

    place.set_passphrase(None);
    let mut given_up = place.at_terminal(&["up", "--nats-server", server]);
    given_up.until(PROMPT, 1).await;
    given_up.types("\u{3}");
    let (code, screen) = given_up.ended().await;
    assert_eq!((code, screen.contains("agent-otp: interrupted")), (Some(1), true), "{screen}");
}

#[tokio::test]
async fn protecting_that_is_killed_goes_on_and_leaves_no_plain_key() {
    let place = Place::new();
    let seeds = made(&place).await;
    let plain = copy(&place, "plain");
    place.set_passphrase(Some(PASSPHRASE));
    for sealed in 1..=MEMBERS.len() {
        until_hit("so many keys are sealed", async || {
            restore(&place, &plain);
            // As a crash leaves it that came while a key was written.
            let unfinished = place.dir().join("members/agent-shopper/.unfinished-x");
            fs::copy(place.dir().join("members/agent-shopper/identity.key"), unfinished).unwrap();
            killed(place.start(&["keys", "protect"]), || count(&place, SEALED) >= sealed).await;
            let is_hit = count(&place, SEALED) == sealed;
            assert!(count(&place, "") == MEMBERS.len(), "no key is lost");
            place.agent_otp(&["keys", "protect"]).await.well();
            assert!(shown(&place).await.values().all(|is_sealed| *is_sealed));
            assert_eq!(search(&place.dir(), &seeds), [], "no plain key is left");
            is_hit
        })
        .await;
    }
    until_hit("two keys are unsealed", async || {
        place.agent_otp(&["keys", "protect"]).await.well();
        killed(place.start(&["keys", "unprotect"]), || count(&place, PLAIN) >= 2).await;
        let is_hit = count(&place, PLAIN) == 2;
        place.agent_otp(&["keys", "unprotect"]).await.well();
        assert!(shown(&place).await.values().all(|is_sealed| !is_sealed));
        assert_eq!(keys(&place), keys_of(&plain), "they are the keys that they were");
        is_hit
    })
    .await;
}

#[tokio::test]
async fn another_passphrase_takes_the_place_of_the_first_also_when_it_was_broken_off() {
    let place = sealed().await;
    let other = secret(&place, "other", "another passphrase");
    let change = ["keys", "protect", "--change", other.to_str().unwrap()];
    place.set_passphrase(Some(PASSPHRASE));
    let first = copy(&place, "first");
    let changed = || contents(&place.dir()).into_iter().filter(|key| !contents(&first).contains(key)).count();
    until_hit("one key is sealed with the other passphrase", async || {
        restore(&place, &first);
        killed(place.start(&change), || changed() >= 1).await;
        let is_hit = changed() == 1;
        place.agent_otp(&change).await.well();
        is_hit
    })
    .await;
    assert_eq!(place.start_up(&[]).ended().await.code, Some(1), "the first opens nothing any more");
    place.set_passphrase(Some("another passphrase"));
    place.agent_otp(&["keys", "unprotect"]).await.well();
}

/// A file that nobody else can read.
fn secret(place: &Place, name: &str, line: &str) -> PathBuf {
    let file = place.root().join(name);
    fs::write(&file, format!("{line}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
}

/// How many keys begin so.
fn count(place: &Place, beginning: &str) -> usize {
    contents(&place.dir()).into_iter().filter(|key| key.starts_with(beginning.as_bytes())).count()
}

/// The files of all keys.
fn contents(dir: &Path) -> Vec<Vec<u8>> {
    homes(dir).values().map(|home| fs::read(home.dir().join("identity.key")).unwrap()).collect()
}

/// Copies the owner's and the members' homes aside.
fn copy(place: &Place, name: &str) -> PathBuf {
    let to = place.root().join(name);
    copied(&place.dir(), &to);
    to
}

fn restore(place: &Place, from: &Path) {
    copied(from, &place.dir());
}

fn copied(from: &Path, to: &Path) {
    for home in homes(from).values() {
        let path = home.dir().join("identity.key");
        let copy = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, copy).unwrap();
    }
}

fn environment(pid: u32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).unwrap()).into_owned()
}
