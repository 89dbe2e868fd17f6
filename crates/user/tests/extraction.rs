//! What is taken out of real messages, and what is not: never a wrong code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::print_stdout, reason = "the figures and every miss are shown by `--nocapture`")]

use std::fs;
use std::path::PathBuf;

use agent_otp_user::extract::{self, Extraction, Text};
use agent_otp_user::mail;
use serde::Deserialize;

#[test]
fn codes_are_found_in_messages_around_the_world() {
    for (file, recall, falsely) in [
        ("sms_own.jsonl", 0.99, 0),
        ("public_mit.jsonl", 0.98, 0),
        ("varied_tune.jsonl", 0.99, 0),
        ("varied_held.jsonl", 0.97, 0),
        ("varied_fresh.jsonl", 0.95, 0),
        ("varied_blind.jsonl", 0.97, 0),
        ("varied_blind_2.jsonl", 0.97, 0),
        ("varied_blind_3.jsonl", 0.97, 0),
        ("varied_blind_4.jsonl", 0.97, 0),
        ("varied_blind_5.jsonl", 0.97, 0),
        ("varied_blind_6.jsonl", 0.93, 0),
        ("varied_blind_7.jsonl", 0.95, 2),
        ("varied_blind_8.jsonl", 0.96, 4),
        ("varied_blind_9.jsonl", 0.99, 0),
        ("varied_reviewed.jsonl", 0.99, 0),
        ("varied_eml", 0.98, 1),
        ("varied_eml_2", 0.98, 1),
        ("varied_eml_3", 0.99, 0),
    ] {
        let figures = measure(file);
        assert_eq!(figures.wrong, 0, "{file}");
        assert!(figures.falsely <= falsely, "{file}: {} false positives", figures.falsely);
        assert!(figures.recall() >= recall, "{file}: recall {}", figures.recall());
    }
}

#[test]
fn no_code_is_found_in_ordinary_messages() {
    let figures = measure("sms_uci_negatives.jsonl");
    assert_eq!((figures.falsely, figures.of_negatives), (0, 400));
}

#[test]
fn digits_that_might_be_a_date_are_a_code_where_they_are_announced_as_one() {
    for (text, expected) in [
        ("Your verification code is: 20441123", Some("20441123")),
        ("Your ACME code is 20251123. It expires in 5 minutes.", Some("20251123")),
        ("Your order 482913 was shipped on 20251123", None),
        ("Your code 482913 is valid until 20251123", Some("482913")),
    ] {
        assert_eq!(found(&Text::plain(text)).as_deref(), expected, "{text}");
    }
}

#[test]
fn mail_is_read_as_a_person_reads_it() {
    for row in mails().filter(|row| row.tag != "auth" && row.tag != "forwarded") {
        let mail = mail::read(&row.raw()).unwrap();
        let found = found(&mail.text);
        assert_eq!(found, row.expected, "{}: {}", row.file, row.tag);
    }
}

#[test]
fn the_sender_of_a_forwarded_mail_is_who_forwarded_it() {
    for row in mails().filter(|row| row.tag == "forwarded") {
        let mail = mail::read(&row.raw()).unwrap();
        let service = row.filter_service.clone().unwrap();
        assert!(!mail.from.ends_with(&service), "{}", row.file);
        assert_eq!(found(&mail.text), row.expected, "{}", row.file);
    }
}

#[test]
fn the_sender_is_the_address_whatever_the_name_says() {
    let senders: Vec<_> = [
        "074_auth_display_name_spoof.eml",
        "075_auth_lookalike_domain.eml",
        "080_auth_from_two_mailboxes.eml",
    ]
    .map(|file| mail::read(&fs::read(data("eml").join(file)).unwrap()).map(|mail| mail.from))
    .into();
    let expected = [
        Ok("noreply@evil.example".to_owned()),
        Ok("noreply@github.example.evil.example".to_owned()),
        Err(mail::MailError::ManySenders),
    ];
    assert_eq!(senders, expected);
}

#[test]
fn a_sign_in_link_is_found_and_a_lying_one_is_not() {
    for row in mails().filter(|row| row.tag == "link") {
        let mail = mail::read(&row.raw()).unwrap();
        let link = match extract::link(&mail.text, "acme.example") {
            Extraction::Code(link, _) => Some(link.expose().to_owned()),
            Extraction::Ambiguous | Extraction::Conflicting | Extraction::None => None,
        };
        assert_eq!(link, row.link, "{}", row.file);
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(alias = "file")]
    id: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
    /// The mail as it came, if it is one.
    #[serde(skip)]
    mail: Option<Vec<u8>>,
    expected: Option<String>,
    also_accept: Vec<String>,
    /// Whether it may leave for a request, where the sender decides that.
    release_for_filter: Option<bool>,
}

impl Message {
    fn found(&self) -> Option<String> {
        match &self.mail {
            Some(raw) => mail::read(raw).ok().and_then(|mail| found(&mail.text)),
            None => found(&Text::with_subject(&self.subject, &self.text)),
        }
    }
}

#[derive(Deserialize)]
struct MailRow {
    file: String,
    expected: Option<String>,
    link: Option<String>,
    tag: String,
    filter_service: Option<String>,
}

impl MailRow {
    fn raw(&self) -> Vec<u8> {
        fs::read(data("eml").join(&self.file)).unwrap()
    }
}

#[derive(Default)]
struct Figures {
    right: u32,
    wrong: u32,
    of_codes: u32,
    falsely: u32,
    of_negatives: u32,
}

impl Figures {
    fn recall(&self) -> f64 {
        f64::from(self.right) / f64::from(self.of_codes)
    }
}

/// The messages of a file, or the mails of a folder; where the sender decides, `authentication.rs` judges.
fn messages(file: &str) -> Vec<Message> {
    let folder = Some(data(file)).filter(|path| path.is_dir());
    let rows = folder.as_ref().map_or_else(|| data(file), |folder| folder.join("expected.jsonl"));
    let read = |line| {
        let mut message: Message = serde_json::from_str(line).unwrap();
        message.mail = folder.as_ref().map(|folder| fs::read(folder.join(&message.id)).unwrap());
        message
    };
    fs::read_to_string(rows)
        .unwrap()
        .lines()
        .map(read)
        .filter(|message| message.release_for_filter.is_none())
        .collect()
}

/// Extracts from every message of a file, and prints the figures with each message that went otherwise.
fn measure(file: &str) -> Figures {
    let mut figures = Figures::default();
    for message in messages(file) {
        let found = message.found();
        let right = found.as_ref().is_none_or(|found| {
            message.expected.as_ref() == Some(found) || message.also_accept.contains(found)
        });
        match (&message.expected, &found) {
            (Some(_), Some(_)) if right => figures.right += 1,
            (Some(_), Some(_)) => figures.wrong += 1,
            (None, Some(_)) => figures.falsely += 1,
            (_, None) => {}
        }
        figures.of_codes += u32::from(message.expected.is_some());
        figures.of_negatives += u32::from(message.expected.is_none());
        if found.is_some() != message.expected.is_some() || !right {
            println!("{} {:?} {:?} {:?}", message.id, message.expected, found, message.text);
        }
    }
    let Figures { right, wrong, of_codes, falsely, of_negatives } = figures;
    println!("{file}: {right} of {of_codes} right, {wrong} wrong; {falsely} of {of_negatives} false");
    figures
}

fn found(text: &Text) -> Option<String> {
    match extract::code(text, None, None) {
        Extraction::Code(code, _) => Some(code.expose().to_owned()),
        Extraction::Ambiguous | Extraction::Conflicting | Extraction::None => None,
    }
}

fn mails() -> impl Iterator<Item = MailRow> {
    let rows = fs::read_to_string(data("eml/expected.jsonl")).unwrap();
    rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>().into_iter()
}

fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}
