//! A mailbox that is read over IMAP, from what the user types to the code that the agent prints.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use agent_otp_tests::{Place, strings};
use regex::Regex;
use serde_json::json;

use crate::dovecot::{Dovecot, USER};
use crate::swaks::mail;

#[tokio::test]
async fn a_code_that_is_delivered_to_a_mailbox_is_captured_and_the_mailbox_is_not_changed() {
    let (place, dovecot) = (Place::new(), Dovecot::start().await);
    configure(&place, &dovecot).await;
    let up = place.up().await;
    let from = ["--from", "acme.example"];
    let mut asked = place.request(&from).await;
    place.approve(&asked.id).await;
    dovecot.deliver(&mail("482913")).await;
    let before = dovecot.mails();
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved", "captured", "consumed"]));
    let shown = place.agent_otp(&["audit", "show", &asked.id, "--json"]).await.well().json();
    let evidence = &shown["events"][2]["data"]["statement"]["evidence"];
    assert_eq!((&evidence["source"], &evidence["channel"]), (&json!("imap"), &json!("email")));
    assert_eq!((before.len(), &dovecot.mails()), (1, &before));

    // The next start looks back: the mail that was answered with answers nothing else, and what came meanwhile does.
    up.stop().await;
    dovecot.deliver(&mail("550127")).await;
    let _up = place.up().await;
    let mut asked = place.request(&from).await;
    place.approve(&asked.id).await;
    assert_eq!(asked.ended().await.well().stdout, "550127\n");
}

#[tokio::test]
async fn a_source_is_added_checked_tried_and_removed() {
    let (place, dovecot) = (Place::new(), Dovecot::start().await);
    configure(&place, &dovecot).await;
    dovecot.deliver(&mail("482913")).await;
    let _up = place.up().await;
    let listed = place.agent_otp(&["sources", "list", "--json"]).await.well().json();
    assert_eq!((&listed[0]["name"], &listed[0]["kind"]), (&json!("mine"), &json!("imap")));

    let checked = place.agent_otp(&["sources", "check", "mine"]).await.well();
    assert_eq!(without_ports(&checked.stdout), CHECKED);
    // Nothing answers there: what senders publish cannot be looked up.
    let checked = place.agent_otp(&["sources", "check", "--dns-server", "127.0.0.1:9"]).await;
    assert_eq!((checked.code, without_ports(&checked.stdout)), (Some(17), format!("{ALL_CHECKED}{CHECKED}")));
    let tested = place.agent_otp(&["sources", "test", "--accept-unverified-mail"]).await.well();
    assert_eq!(tested.stdout, TESTED);
    assert!(!tested.stdout.contains("482913") && !tested.stderr.contains("482913"));
    let tested = place.agent_otp(&["sources", "test", "mine", "--json"]).await;
    assert_eq!(tested.code, Some(17));
    assert_eq!(tested.json()[0]["findings"][1]["outcome"], "fails");

    assert_eq!(place.agent_otp(&["sources", "remove", "mine"]).await.well().stdout, "removed mine\n");
    assert_eq!(place.agent_otp(&["sources", "list", "--json"]).await.well().json(), json!([]));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_with_its_line_and_nothing_is_started() {
    let place = Place::new();
    fs::create_dir(place.dir()).unwrap();
    fs::set_permissions(place.dir(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = place.dir().join("sources.toml");
    fs::write(&path, "[[imap]]\nname = \"mine\"\npasswort = \"hunter2\"\n").unwrap();
    let ended = place.start_up(&[]).ended().await;
    assert!(ended.stderr.contains("type chmod 600"), "{}", ended.stderr);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let ended = place.start_up(&[]).ended().await;
    assert!(ended.stderr.contains("line 3 of ") && !ended.stderr.contains("hunter2"), "{}", ended.stderr);
    assert_eq!(ended.code, Some(1));
}

#[tokio::test]
async fn an_addition_that_was_broken_off_is_repeated() {
    let place = Place::new();
    let words =
        ["sources", "add", "imap", "name=mine", "host=mail.example", "user=me", "--ask", "password_file"];
    place.piped(&words, b"hunter2\n").await.well();
    // As if it had been killed before the table was written.
    fs::write(place.dir().join("sources.toml"), "").unwrap();
    assert_eq!(place.piped(&words, b"hunter3\n").await.well().stdout, "added mine\n");
    let secret = place.dir().join("sources").join("mine.login");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "hunter3");
    place.agent_otp(&["sources", "remove", "mine"]).await.well();
    assert!(!secret.exists());
}

#[tokio::test]
async fn removing_a_source_leaves_every_other_one_or_everything() {
    let place = Place::new();
    let (other, path) = (format!("path={}", place.root().display()), place.dir().join("sources.toml"));
    place.agent_otp(&["sources", "add", "maildir", "name=one", &other]).await.well();
    let one = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{one}\n# of two\n  [[maildir]]\n  name = \"two\"\n  path = \"/two\"\n"))
        .unwrap();
    place.agent_otp(&["sources", "remove", "one"]).await.well();
    let two = fs::read_to_string(&path).unwrap();
    assert_eq!(two.trim_start(), "# of two\n  [[maildir]]\n  name = \"two\"\n  path = \"/two\"\n");

    let both = "maildir = [{ name = \"one\", path = \"/one\" }, { name = \"two\", path = \"/two\" }]\n";
    fs::write(&path, both).unwrap();
    let ended = place.agent_otp(&["sources", "remove", "one"]).await;
    assert!(ended.stderr.contains("nothing was removed") && ended.stderr.contains("by hand"), "{ended:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), both);
}

const CHECKED: &str = "\
mine (imap)
  ok     connect        localhost:PORT with TLS
  ok     login          me@home.example
  ok     folder INBOX   can be read, and is not changed
  ok     idle           the server tells of new mail by itself
";
const ALL_CHECKED: &str = "\
sender
  FAILS  dns            nobody answers what senders publish, so no mail can be proven; look at the network, or name a server with --dns-server
smtp
  ok     listens        it answers
sms-webhook
  ok     signed event   http://127.0.0.1:PORT/sms knows its signature
";
const TESTED: &str = "\
smtp
  ok     delivery       a mail without proof of its sender is taken
mine (imap)
  ok     sender         somebody at acme.example
  slow   proof          it bears no signature of its sender's domain; it would be taken on its word, as you said
  ok     code           one code: ••••••
";

/// Types what configures dovecot's mailbox.
async fn configure(place: &Place, dovecot: &Dovecot) {
    let fields = dovecot.table();
    let fields = fields.lines().filter(|line| line.contains(" = ")).map(|line| line.replacen(" = ", "=", 1));
    let fields: Vec<String> = fields.collect();
    let words: Vec<&str> =
        ["sources", "add", "imap"].into_iter().chain(fields.iter().map(String::as_str)).collect();
    assert_eq!(place.agent_otp(&words).await.well().stdout, "added mine\n");
    assert!(dovecot.table().contains(USER));
}

fn without_ports(text: &str) -> String {
    Regex::new(":[0-9]{4,5}").unwrap().replace_all(text, ":PORT").into_owned()
}
