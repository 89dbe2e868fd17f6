//! What codes are for, in the labelled messages whose tag says so.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::print_stdout, reason = "the figures and every miss are shown by `--nocapture`")]

use std::fs;
use std::path::Path;

use agent_otp_user::extract::{self, Text};
use serde::Deserialize;

#[derive(Deserialize)]
struct Message {
    id: String,
    #[serde(default)]
    subject: String,
    text: String,
    expected: Option<String>,
    tag: String,
}

#[test]
fn a_code_for_something_grave_is_hardly_ever_taken_for_a_sign_in_code() {
    let (mut grave, mut known, mut lighter) = (0, 0, 0);
    for message in messages() {
        let said = extract::purpose(&Text::with_subject(&message.subject, &message.text));
        let said = said.map(|said| said.to_string());
        if !matches!(message.tag.as_str(), "payment" | "reset" | "change" | "pairing") {
            continue;
        }
        grave += 1;
        known += u32::from(said.as_deref() == Some(message.tag.as_str()));
        lighter += u32::from(matches!(said.as_deref(), Some("login" | "sign-up")));
        if said.as_deref() != Some(message.tag.as_str()) {
            println!("{} {} {said:?} {}", message.id, message.tag, message.text);
        }
    }
    println!("{known} of {grave} known, {lighter} taken for something lighter");
    assert!(f64::from(known) >= 0.85 * f64::from(grave), "{known} of {grave}");
    assert!(f64::from(lighter) <= 0.03 * f64::from(grave), "{lighter} of {grave}");
}

#[test]
fn a_sign_in_code_is_hardly_ever_taken_for_something_grave() {
    let (mut light, mut grave) = (0, 0);
    for message in messages() {
        if !matches!(message.tag.as_str(), "login" | "signup") {
            continue;
        }
        light += 1;
        let said = extract::purpose(&Text::with_subject(&message.subject, &message.text));
        let said = said.map(|said| said.to_string());
        if !matches!(said.as_deref(), None | Some("login" | "sign-up")) {
            grave += 1;
            println!("{} {} {said:?} {}", message.id, message.tag, message.text);
        }
    }
    println!("{grave} of {light} taken for something graver");
    assert!(f64::from(grave) <= 0.08 * f64::from(light), "{grave} of {light}");
}

/// The messages with a code, their tag in the form of the corpus or of django-allauth.
fn messages() -> Vec<Message> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let files = [
        "sms_own.jsonl",
        "public_mit.jsonl",
        "varied_tune.jsonl",
        "varied_held.jsonl",
        "varied_blind_4.jsonl",
        "varied_blind_5.jsonl",
        "varied_blind_6.jsonl",
        "varied_blind_7.jsonl",
        "varied_blind_8.jsonl",
        "varied_blind_9.jsonl",
    ];
    let rows = files.map(|file| fs::read_to_string(folder.join(file)).unwrap()).join("\n");
    rows.lines()
        .filter(|row| !row.is_empty())
        .map(|row| serde_json::from_str::<Message>(row).unwrap())
        .filter(|message| message.expected.is_some())
        .map(|message| Message { tag: message.tag.trim_start_matches("allauth:").to_owned(), ..message })
        .collect()
}
