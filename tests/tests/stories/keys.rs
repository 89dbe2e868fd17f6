//! Keys at rest: sealed with a passphrase, rotated, lost and recovered; and killed in the middle of each.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agent_otp_domain::Role;
use agent_otp_keyring::Home;
use agent_otp_tests::{Needle, Place, Process, eventually, files_below, nats_server, search, strings};
use rustix::process::Signal;
use serde_json::Value;

const PASSPHRASE: &str = "correct horse battery";
const PROMPT: &str = "Passphrase (it is not shown): ";
const MEMBERS: [&str; 5] = ["owner", "agent:shopper", "approver:local", "capturer:local", "auditor:local"];

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
        restore(&place, &plain);
        // As a crash leaves it that came while a key was written.
        let unfinished = place.dir().join("members/agent-shopper/.unfinished-x");
        fs::copy(place.dir().join("members/agent-shopper/identity.key"), unfinished).unwrap();
        let protecting = place.start(&["keys", "protect"]);
        killed(protecting, || count(&place, "identity.key", "agent-otp-sealed-identity-v1") >= sealed).await;
        assert!(count(&place, "identity.key", "") == MEMBERS.len(), "no key is lost");
        place.agent_otp(&["keys", "protect"]).await.well();
        assert!(shown(&place).await.values().all(|is_sealed| *is_sealed));
        assert_eq!(search(&place.dir(), &seeds), [], "no plain key is left");
    }
    let unprotecting = place.start(&["keys", "unprotect"]);
    killed(unprotecting, || count(&place, "identity.key", "agent-otp-identity-v1") >= 2).await;
    place.agent_otp(&["keys", "unprotect"]).await.well();
    assert!(shown(&place).await.values().all(|is_sealed| !is_sealed));
    assert_eq!(keys(&place), keys_of(&plain), "they are the keys that they were");
}

#[tokio::test]
async fn another_passphrase_takes_the_place_of_the_first_also_when_it_was_broken_off() {
    let place = sealed().await;
    let other = secret(&place, "other", "another passphrase");
    let change = ["keys", "protect", "--change", other.to_str().unwrap()];
    place.set_passphrase(Some(PASSPHRASE));
    let was = fs::read(place.dir().join("owner/identity.key")).unwrap();
    let changing = place.start(&change);
    killed(changing, || fs::read(place.dir().join("owner/identity.key")).unwrap() != was).await;
    place.agent_otp(&change).await.well();
    assert_eq!(place.start_up(&[]).ended().await.code, Some(1), "the first opens nothing any more");
    place.set_passphrase(Some("another passphrase"));
    place.agent_otp(&["keys", "unprotect"]).await.well();
}

#[tokio::test]
async fn a_member_is_rotated_and_its_old_key_is_refused() {
    let place = sealed().await;
    place.set_passphrase(Some(PASSPHRASE));
    let up = place.up().await;
    let running = place.agent_otp(&["keys", "rotate", "agent:shopper"]).await;
    let said = format!("another `agent-otp up` (pid {}) runs on", up.pid());
    assert!(running.code == Some(1) && running.stderr.contains(&said), "{running:?}");
    carries_a_code(&place).await;
    up.stop().await.well();

    let old = fs::read(place.home(Role::Agent, "shopper").dir().join("identity.key")).unwrap();
    let (before, number) = (keys(&place), latest(&place));
    for member in &MEMBERS[1..] {
        place.agent_otp(&["keys", "rotate", member]).await.well();
    }
    let after = keys(&place);
    assert!(MEMBERS[1..].iter().all(|member| before[*member] != after[*member]));
    assert_eq!(latest(&place), number + 4, "one roster for each");
    let unknown = place.agent_otp(&["keys", "rotate", "agent:nobody"]).await;
    assert!(unknown.stderr.contains("names no `agent:nobody`; it names agent:shopper, "), "{unknown:?}");

    let up = place.up().await;
    carries_a_code(&place).await;
    fs::write(place.home(Role::Agent, "shopper").dir().join("identity.key"), old).unwrap();
    let refused = place.start_request(&[]).ended().await;
    assert!(refused.stderr.contains("does not name this agent's key"), "{refused:?}");
    assert_eq!(place.agent_otp(&["alarms"]).await.well().stdout, "No alarms.\n");
    up.stop().await.well();
}

#[tokio::test]
async fn a_rotation_that_is_killed_between_any_two_steps_goes_on() {
    let place = Place::new();
    made(&place).await;
    let home = place.home(Role::Agent, "shopper");
    let next = home.dir().join("identity.next");
    for step in 0..3 {
        let (before, number) = (keys(&place), latest(&place));
        let has_come = || match step {
            0 => next.exists(),
            1 => latest(&place) > number,
            _ => home.public().unwrap().id().to_string() != before["agent:shopper"],
        };
        killed(place.start(&["keys", "rotate", "agent:shopper"]), has_come).await;
        let is_half_done = next.exists();
        let rotated = place.agent_otp(&["keys", "rotate", "agent:shopper"]).await.well();
        assert!(!next.exists());
        if is_half_done {
            assert_eq!(latest(&place), number + 1, "the one roster: {rotated:?}");
        }
        assert_ne!(keys(&place)["agent:shopper"], before["agent:shopper"]);
    }
    let _up = place.up().await;
    carries_a_code(&place).await;
}

#[tokio::test]
async fn an_owner_without_its_key_is_recovered_and_everyone_follows() {
    let place = sealed().await;
    place.set_passphrase(Some(PASSPHRASE));
    let paper = place.root().join("paper");
    let none = place.agent_otp(&["keys", "recover"]).await;
    assert!(none.stderr.contains("names no recovery key"), "{none:?}");
    let made = place.agent_otp(&["keys", "recovery", "new", "--to", paper.to_str().unwrap()]).await.well();
    let words = fs::read_to_string(&paper).unwrap();
    assert!(!made.stdout.contains(&words) && !made.stderr.contains(&words));
    assert_eq!(fs::metadata(&paper).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(search(&place.dir(), &[Needle::text(words.trim()), seed_of(&words)]), []);
    let up = place.up().await;
    carries_a_code(&place).await;
    let owner = place.run().owner;
    up.stop().await.well();

    let stolen = fs::read(place.dir().join("owner/identity.key")).unwrap();
    fs::remove_file(place.dir().join("owner/identity.key")).unwrap();
    for ended in [place.start_up(&[]).ended().await, place.agent_otp(&["keys", "show"]).await] {
        assert!(ended.code == Some(1) && ended.stderr.contains("the owner's key is missing in"), "{ended:?}");
    }
    let recover = ["keys", "recover", "--recovery-file", paper.to_str().unwrap()];
    place.agent_otp(&recover).await.well();
    assert!(shown(&place).await.values().all(|is_sealed| *is_sealed), "the new key too");
    let up = place.up().await;
    assert_eq!(place.run().owner, owner, "the owner is called as ever");
    carries_a_code(&place).await;
    assert_eq!(place.agent_otp(&["alarms"]).await.well().stdout, "No alarms.\n");
    assert_eq!(place.agent_otp(&["audit", "rebuild", "--json"]).await.well().json()["differing"], 0);
    up.stop().await.well();

    fs::write(place.dir().join("owner/identity.key"), stolen).unwrap();
    let ended = place.start_up(&[]).ended().await;
    assert!(ended.code == Some(1) && ended.stderr.contains("the key of the owner here is"), "{ended:?}");
}

#[tokio::test]
async fn a_recovery_that_is_killed_between_any_two_steps_goes_on() {
    let place = Place::new();
    made(&place).await;
    let paper = place.root().join("paper");
    let new = ["keys", "recovery", "new", "--to", paper.to_str().unwrap()];
    killed(place.start(&new), || paper.exists()).await;
    place.agent_otp(&new).await.well();
    let recover = ["keys", "recover", "--recovery-file", paper.to_str().unwrap()];
    let (key, next) = (place.dir().join("owner/identity.key"), place.dir().join("owner/identity.next"));
    for step in 0..3 {
        let number = latest(&place);
        fs::remove_dir_all(place.root().join("lost")).ok();
        fs::rename(&key, place.root().join("lost")).unwrap();
        fs::remove_file(place.root().join("lost")).unwrap();
        let has_come = || match step {
            0 => next.exists(),
            1 => latest(&place) > number,
            _ => key.exists(),
        };
        killed(place.start(&recover), has_come).await;
        place.agent_otp(&recover).await.well();
        assert!(key.exists() && !next.exists());
    }
    let _up = place.up().await;
    carries_a_code(&place).await;
}

#[tokio::test]
async fn a_recovery_key_is_shown_once_and_typed_unseen() {
    let place = Place::new();
    made(&place).await;
    let piped = place.agent_otp(&["keys", "recovery", "new"]).await;
    assert!(piped.code == Some(1) && piped.stderr.contains("name a file for it with --to"), "{piped:?}");
    let mut terminal = place.at_terminal(&["keys", "recovery", "new"]);
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    let words: String = screen.lines().filter(|line| line.starts_with("    ")).collect();
    assert_eq!(words.matches(|letter: char| letter.is_ascii_alphanumeric()).count(), 56, "{screen}");

    let prompt = "Recovery key (it is not shown): ";
    for (typed, said) in [
        ("ABCD-EFGH", "a recovery key has 56 letters and digits, this has 8"),
        (&*"ABCD".repeat(14), "the recovery key is mistyped: its checksum does not fit"),
        ("\u{3}", "interrupted"),
    ] {
        let mut terminal = place.at_terminal(&["keys", "recover"]);
        terminal.until(prompt, 1).await;
        terminal.types(&format!("{typed}\r"));
        let (code, screen) = terminal.ended().await;
        assert_eq!((code, screen.contains(said)), (Some(1), true), "{screen}");
        assert!(terminal.shows_what_is_typed());
    }
    // The recovery key alone names the next one.
    let mut terminal = place.at_terminal(&["keys", "recovery", "new"]);
    terminal.until(prompt, 1).await;
    terminal.types(&format!("{}\r", words.to_lowercase()));
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    let mut terminal = place.at_terminal(&["keys", "recover"]);
    terminal.until(prompt, 1).await;
    terminal.types(&format!("{words}\r"));
    let (code, screen) = terminal.ended().await;
    assert_eq!((code, screen.contains("this is the recovery key ")), (Some(1), true), "{screen}");
}

#[tokio::test]
async fn a_forgotten_passphrase_costs_the_keys_and_nothing_else() {
    let place = Place::new();
    made(&place).await;
    let paper = place.root().join("paper");
    place.agent_otp(&["keys", "recovery", "new", "--to", paper.to_str().unwrap()]).await.well();
    place.set_passphrase(Some("nobody remembers this"));
    place.agent_otp(&["keys", "protect"]).await.well();
    place.set_passphrase(Some(PASSPHRASE));
    place.agent_otp(&["keys", "recover", "--recovery-file", paper.to_str().unwrap()]).await.well();
    for member in &MEMBERS[1..] {
        place.agent_otp(&["keys", "rotate", member]).await.well();
    }
    let _up = place.up().await;
    carries_a_code(&place).await;
}

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

/// A file that nobody else can read.
fn secret(place: &Place, name: &str, line: &str) -> PathBuf {
    let file = place.root().join(name);
    fs::write(&file, format!("{line}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
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

/// How many files of this name begin so.
fn count(place: &Place, name: &str, beginning: &str) -> usize {
    let files = files_below(&place.dir()).into_iter().filter(|path| path.ends_with(name));
    files.filter(|path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(beginning.as_bytes()))).count()
}

/// Kills a program as soon as something has come about, if it does not end before.
async fn killed(mut process: Process, has_come: impl Fn() -> bool) {
    // Steps follow each other within a millisecond: this one looks without a pause.
    while !has_come() && !process.has_ended() {
        std::hint::spin_loop();
    }
    if !process.has_ended() {
        process.signal(Signal::KILL);
    }
    eventually("the end of what was killed", async || process.has_ended().then_some(())).await;
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

fn seed_of(words: &str) -> Needle {
    let key = agent_otp_keyring::recovery::read(words).unwrap();
    Needle::bytes("the recovery key", key.seed().as_slice())
}

fn environment(pid: u32) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).unwrap()).into_owned()
}
