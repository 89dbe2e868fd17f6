//! Enrolment: members on other machines, which share nothing with the owner's but a broker and a token.

mod broken;
mod revoke;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agent_otp_domain::Digest;
use agent_otp_jetstream::{Connection, Credentials, Login, Who};
use agent_otp_tests::{Ended, Place, RIGHT, eventually, strings};
use agent_otp_trust::enrolment::Token;
use data_encoding::BASE32_NOPAD;
use nkeys::{KeyPair, KeyPairType};
use serde_json::Value;

pub(crate) const LISTEN: [&str; 3] = ["--accept-unverified-mail", "--listen", "127.0.0.1"];
const FROM: &str = "noreply@github.com";
const TEXT: &str = "Your GitHub verification code is 482913.";
/// The members that every owner has.
const FIRST: [&str; 4] = ["agent:shopper", "approver:local", "capturer:local", "auditor:local"];

#[tokio::test]
async fn a_member_of_each_role_joins_from_a_machine_of_its_own_and_works() {
    let owner = Place::new();
    let _up = owner.up_with(&LISTEN).await;
    let [agent, approver, capturer, auditor] = [(); 4].map(|()| Place::new());
    owner.enrolled(&agent, "agent", "booker").await;
    owner.enrolled(&approver, "approver", "phone").await;
    owner.enrolled(&capturer, "capturer", "desk").await;
    owner.enrolled(&auditor, "auditor", "archive").await;
    let _capturing = capturer.serve(RIGHT, &["capturer", "--accept-unverified-mail"]).await;
    let _auditing = auditor.serve(RIGHT, &["audit"]).await;

    let mut asked = agent.request(&["--agent", "booker"]).await;
    let pending = approver.pending_one(&asked.id).await.unwrap();
    assert_eq!(pending["agent"], "booker");
    approver.approve(&asked.id).await;
    capturer.mail(FROM, TEXT).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    let pasted = agent.request(&["--agent", "booker"]).await;
    approver.approve(&pasted.id).await;
    capturer.piped(&["capture", &pasted.id], b"582914\n").await.well();

    let life = strings(["requested", "approved", "captured", "consumed"]);
    for place in [&owner, &auditor] {
        assert_eq!(place.history(&asked.id).await, life);
    }
    let events = auditor.events().await;
    let actors: Vec<&Value> =
        events.iter().filter(|event| event["request"] == asked.id).map(|event| &event["actor"]).collect();
    assert_eq!(actors, ["agent:booker", "approver:phone", "capturer:desk", "agent:booker"]);
    for place in [&owner, &agent, &approver, &capturer, &auditor] {
        if place.dir().join("audit.db").exists() {
            assert_eq!(place.agent_otp(&["alarms"]).await.well().stdout, "No alarms.\n");
        }
    }
    assert!(!agent.dir().join("run.json").exists() && !agent.dir().join("owner").exists());
    let shown = members(&owner).await;
    assert_eq!(shown.len(), 8);
    let of = |member: &str| shown.iter().find(|shown| shown["member"] == member).unwrap();
    assert_eq!((&of("agent:booker")["here"], &of("agent:shopper")["here"]), (&false.into(), &true.into()));
}

#[tokio::test]
async fn a_member_that_joined_finds_the_broker_again_after_a_restart() {
    let owner = Place::new();
    let up = owner.up_with(&LISTEN).await;
    let agent = Place::new();
    agent.set_passphrase(Some("correct horse battery"));
    owner.enrolled(&agent, "agent", "booker").await;
    let key = fs::read_to_string(agent.dir().join("members/agent-booker/identity.key")).unwrap();
    assert!(key.starts_with("agent-otp-sealed-identity-v1"), "a passphrase that is given seals the key");
    let shown = agent.agent_otp(&["keys", "show"]).await.well().stdout;
    assert!(shown.starts_with("agent:booker ") && shown.ends_with("  sealed\n"), "{shown}");
    assert_eq!(agent.agent_otp(&["alarms"]).await.well().stdout, "No alarms.\n");
    up.stop().await.well();
    let rotated = owner.agent_otp(&["keys", "rotate", "agent:booker"]).await;
    assert!(rotated.stderr.contains("the key of agent:booker is on another machine"), "{rotated:?}");
    let _up = owner.up_with(&LISTEN).await;
    carries_a_code(&owner, &agent, "booker").await;
}

#[tokio::test]
async fn a_token_that_cannot_be_printed_is_void_at_once() {
    let owner = Place::new();
    let _up = owner.up().await;
    let ended = owner.on_a_full_disk(&["enroll", "agent", "booker"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the token could not be written to stdout"), "{ended:?}");
    let mut users =
        fs::read_dir(owner.dir().join("nats-users")).unwrap().map(|user| user.unwrap().file_name());
    assert!(users.all(|user| !user.to_str().unwrap().contains(".enrolment.")), "it admits nobody");
}

#[tokio::test]
async fn a_member_that_joined_on_its_owners_machine_is_rotated_there() {
    let owner = Place::new();
    let up = owner.up().await;
    owner.enrolled(&owner, "agent", "booker").await;
    carries_a_code(&owner, &owner, "booker").await;
    up.stop().await.well();
    owner.agent_otp(&["keys", "rotate", "agent:booker"]).await.well();
    let _up = owner.up().await;
    carries_a_code(&owner, &owner, "booker").await;

    let way = owner.dir().join("members/agent-booker/broker.json");
    fs::set_permissions(&way, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = owner.start_request(&["--agent", "booker"]).ended().await;
    assert!(ended.stderr.contains("broker.json") && ended.stderr.contains("type chmod 600"), "{ended:?}");
}

#[tokio::test]
async fn words_that_are_not_confirmed_enrol_nobody() {
    let owner = Place::new();
    let _up = owner.up_with(&LISTEN).await;
    for answer in ["abandon ability able about above absent", "yes", "no", ""] {
        let other = Place::new();
        let mut enrolling = owner.enroll("agent", "booker").await;
        let mut joining = other.join(&enrolling.token).await;
        joining.words().await;
        enrolling.answer(answer).await;
        is_void(&owner, &other, enrolling.ended().await, "the six words were not confirmed").await;
        let ended = joining.ended().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("the six words were not confirmed on the owner's side"), "{ended:?}");
    }
    let other = Place::new();
    owner.enrolled(&other, "agent", "booker").await;
}

#[tokio::test]
async fn a_token_is_good_for_one_try() {
    let owner = Place::new();
    let _up = owner.up_with(&LISTEN).await;
    let (other, thief) = (Place::new(), Place::new());
    // Somebody else comes while a person compares words.
    let enrolling = owner.enroll("agent", "booker").await;
    let mut joining = other.join(&enrolling.token).await;
    joining.words().await;
    let second = thief.join(&enrolling.token).await.ended().await;
    assert!(
        second.code == Some(1) && second.stderr.contains("the token is void: it was used twice"),
        "{second:?}"
    );
    let token = enrolling.token.clone();
    is_void(&owner, &thief, enrolling.ended().await, "it was used twice").await;
    let first = joining.ended().await;
    assert!(first.code == Some(1) && first.stderr.contains("it was used twice"), "{first:?}");
    // Whoever comes afterwards does not even get in.
    let late = thief.join(&token).await.ended().await;
    assert!(
        late.code == Some(1) && late.stderr.contains("the token is void: it was used, has lapsed"),
        "{late:?}"
    );

    let mut enrolling = owner.enroll("agent", "booker").await;
    let mut joining = other.join(&enrolling.token).await;
    let words = joining.words().await;
    enrolling.answer(&words).await;
    joining.ended().await.well();
    let token = enrolling.token.clone();
    enrolling.ended().await.well();
    let again = other.join(&token).await.ended().await;
    assert!(again.code == Some(1) && again.stderr.contains("agent:booker is enrolled in"), "{again:?}");
    let late = thief.join(&token).await.ended().await;
    assert!(late.stderr.contains("the token is void: it was used, has lapsed"), "{late:?}");
    is_empty(&thief);
}

#[tokio::test]
async fn a_token_that_was_changed_or_has_lapsed_is_told_as_such() {
    let owner = Place::new();
    let _up = owner.up_with(&LISTEN).await;
    let other = Place::new();
    let mut enrolling = owner.enroll("agent", "booker").await;
    let at = enrolling.token.len() / 2;
    let wrong = if &enrolling.token[at..=at] == "a" { "b" } else { "a" };
    let mut mistyped = enrolling.token.clone();
    mistyped.replace_range(at..=at, wrong);
    for (token, said) in [
        (mistyped.as_str(), "the token is mistyped: its checksum does not fit"),
        ("", "this is no enrolment token"),
        ("otp", "this is no enrolment token"),
    ] {
        let ended = other.join(token).await.ended().await;
        assert!(ended.code == Some(1) && ended.stderr.contains(said), "{ended:?}");
    }
    // One that was changed with care: the secret is right, and the rest is not.
    let changed = with_role(&enrolling.token, 2);
    let ended = other.join(&changed).await.ended().await;
    assert!(
        ended.code == Some(1) && ended.stderr.contains("the token is void: it was used, has lapsed"),
        "{ended:?}"
    );
    let lapsed = other.start_off("+11m", &["join", &enrolling.token]).ended().await;
    assert!(lapsed.code == Some(1) && lapsed.stderr.contains("the token has lapsed at"), "{lapsed:?}");
    is_empty(&other);
    // None of these was the one try.
    let mut joining = other.join(&enrolling.token).await;
    let words = joining.words().await;
    enrolling.answer(&words).await;
    joining.ended().await.well();
    enrolling.ended().await.well();

    // By the owner's own clock, which runs very fast here, ten minutes are over at once.
    let enrolling = owner.enroll_off("+0 x1000000", "agent", "reader").await;
    let token = enrolling.token.clone();
    let ended = enrolling.ended().await;
    let late = Place::new().join(&token).await.ended().await;
    assert!(
        late.code == Some(1) && late.stderr.contains("the token is void: it was used, has lapsed"),
        "{late:?}"
    );
    assert!(ended.code == Some(1) && ended.stderr.contains("its ten minutes are over"), "{ended:?}");
}

#[tokio::test]
async fn the_user_of_a_token_may_do_nothing_but_enrol() {
    let place = Place::new();
    let _up = place.up().await;
    let owner = place.run().owner;
    let enrolling = place.enroll("agent", "booker").await;
    let token: Token = enrolling.token.parse().unwrap();
    let id = token.id();
    let pair = KeyPair::new_from_raw(KeyPairType::User, *token.user_seed()).unwrap();
    let credentials = Credentials::Nkey(pair.seed().unwrap().into());
    let login = Login { credentials, ..place.login("agent:shopper") };
    let who = Who::Enrolment { owner: owner.parse().unwrap(), id: id.clone() };
    Connection::open(&login, &who).await.unwrap();
    let mut wire = place.wire_of(&login, &who).await;
    for subject in [
        format!("otp.v1.enrol.{owner}.other.join"),
        format!("otp.v1.enrol.{}.{id}.join", "a".repeat(32)),
        format!("otp.v1.cmd.{owner}.agent.booker.request"),
        format!("otp.v1.cmd.{owner}.agent.shopper.request"),
        format!("otp.v1.cmd.{owner}.approver.local.enrol"),
        format!("otp.v1.roster.{owner}.2"),
        format!("otp.v1.standing.{owner}.2"),
        format!("_INBOX.enrol.{owner}.{id}.x"),
        "$JS.API.INFO".to_owned(),
        "$SRV.PING".to_owned(),
    ] {
        assert!(!wire.may_publish(&subject).await, "{subject}");
    }
    for subject in [
        format!("otp.v1.enrol.{owner}.*.join"),
        format!("otp.v1.enrol.{owner}.{id}.join"),
        format!("otp.v1.event.{owner}.>"),
        format!("otp.v1.standing.{owner}.*"),
        format!("_INBOX.enrol.{owner}.other.>"),
        "_INBOX.>".to_owned(),
        ">".to_owned(),
    ] {
        assert!(!wire.may_subscribe(&subject).await, "{subject}");
    }
    assert!(wire.may_subscribe(&format!("_INBOX.enrol.{owner}.{id}.>")).await);
    // What cannot be read is a guess, too.
    assert!(wire.may_publish(&format!("otp.v1.enrol.{owner}.{id}.join")).await);
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_broker_that_is_away_are_said_before_a_token_is_made() {
    let owner = Place::new();
    let none = owner.agent_otp(&["enroll", "agent", "booker"]).await;
    assert!(none.code == Some(1) && none.stderr.contains("there are no keys in"), "{none:?}");
    let up = owner.up().await;
    let taken = owner.agent_otp(&["enroll", "agent", "shopper"]).await;
    assert!(taken.code == Some(1) && taken.stdout.is_empty(), "{taken:?}");
    assert!(taken.stderr.contains("revoke it first: agent-otp revoke agent:shopper"), "{taken:?}");
    let first = owner.enroll("agent", "booker").await;
    let second = owner.agent_otp(&["enroll", "agent", "reader"]).await;
    let said = format!("another `agent-otp enroll` (pid {})", first.pid());
    assert!(second.code == Some(1) && second.stderr.contains(&said), "{second:?}");
    assert!(first.said().contains("Only this machine reaches nats://127.0.0.1:"), "{}", first.said());
    drop(first);
    up.stop().await.well();
    let away = owner.agent_otp(&["enroll", "agent", "booker"]).await;
    assert!(away.code == Some(14) && away.stderr.contains("no relay is running on"), "{away:?}");
    for (member, said) in [
        ("approver:local", "is this machine's own, and needed here"),
        ("agent:nobody", "the rosters name no `agent:nobody`"),
    ] {
        let refused = owner.agent_otp(&["revoke", member]).await;
        assert!(refused.code == Some(1) && refused.stderr.contains(said), "{refused:?}");
    }
}

#[tokio::test]
async fn a_person_at_a_terminal_sees_a_qr_code_and_says_yes() {
    let owner = Place::new();
    let _up = owner.up_with(&LISTEN).await;
    let other = Place::new();
    let mut terminal = owner.at_terminal(&["enroll", "agent", "booker"]);
    terminal.until("Waiting for it", 1).await;
    let screen = terminal.screen();
    let token = screen.lines().find(|line| line.starts_with("otp1")).unwrap().to_owned();
    assert!(screen.contains("\u{1b}[30;107m") && screen.contains('▀'), "{screen}");
    // No words are there yet: what is typed confirms none.
    terminal.types("yes\r");
    terminal.until("yes\n", 1).await;
    let mut joining = other.join(&token).await;
    let words = joining.words().await;
    let question = "Does the other machine show the same six words? Type yes or no:";
    terminal.until(question, 1).await;
    assert!(terminal.screen().contains(&words));
    terminal.types("perhaps\r");
    terminal.until(question, 2).await;
    terminal.types("yes\r");
    let (code, screen) = terminal.ended().await;
    assert_eq!((code, screen.contains("enrolled agent:booker with the key")), (Some(0), true), "{screen}");
    joining.ended().await.well();

    let mut unseen = other.at_terminal(&["join", "-"]);
    unseen.until("Token (it is not shown): ", 1).await;
    assert!(!unseen.shows_what_is_typed());
    unseen.types(&format!("{token}\r"));
    let (code, screen) = unseen.ended().await;
    assert_eq!((code, screen.contains("agent:booker is enrolled in")), (Some(1), true), "{screen}");
    assert!(!screen.contains("otp1"), "{screen}");
}

/// A whole life with an agent on another machine.
pub(crate) async fn carries_a_code(owner: &Place, agent: &Place, name: &str) {
    let mut asked = agent.request(&["--agent", name]).await;
    owner.approve(&asked.id).await;
    owner.mail(FROM, TEXT).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

/// Asserts that an enrolment came to nothing, and says why and what to type next.
pub(crate) async fn is_void(owner: &Place, other: &Place, ended: Ended, why: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&format!("the token is void: {why}")), "{ended:?}");
    assert!(ended.stderr.contains("for another try: agent-otp enroll agent booker"), "{ended:?}");
    let shown = members(owner).await;
    let named: Vec<&str> = shown.iter().filter_map(|shown| shown["member"].as_str()).collect();
    assert_eq!(named, FIRST);
    assert_eq!(admitted(owner), 0);
    eventually("nothing to be left", async || {
        (!other.dir().join("members/agent-booker").exists()).then_some(())
    })
    .await;
}

/// Asserts that nobody lives here.
pub(crate) fn is_empty(place: &Place) {
    let members = place.dir().join("members");
    assert!(!members.exists() || fs::read_dir(&members).unwrap().next().is_none(), "{}", members.display());
}

/// How many NATS users are admitted besides those of the owner's machine.
pub(crate) fn admitted(owner: &Place) -> usize {
    let is_user = |path: &Path| path.extension().is_some_and(|extension| extension == "json");
    let entries = fs::read_dir(owner.dir().join("nats-users")).unwrap();
    entries.filter(|entry| is_user(&entry.as_ref().unwrap().path())).count()
}

pub(crate) async fn members(owner: &Place) -> Vec<Value> {
    let Value::Array(members) = owner.agent_otp(&["members", "--json"]).await.well().json() else {
        panic!("an array")
    };
    members
}

/// The token with another role, and a checksum that fits.
fn with_role(token: &str, role: u8) -> String {
    let mut bytes = BASE32_NOPAD.decode(&token.to_uppercase().as_bytes()[4..]).unwrap();
    bytes[0] = role;
    let body = bytes.len() - 4;
    let sum = Digest::of(&[b"agent-otp/v1/enrol/token\0", &bytes[..body]]);
    bytes[body..].copy_from_slice(&sum.as_bytes()[..4]);
    format!("otp1{}", BASE32_NOPAD.encode(&bytes)).to_lowercase()
}
