//! Every labelled message against every filter that is not its own: nothing leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use agent_otp_domain::{Channel, Channels, Filter, Purpose, Sender, SenderPattern};
use agent_otp_user::desk::Desk;
use agent_otp_user::extract::Text;
use agent_otp_user::{Message, mail};
use serde::Deserialize;

use crate::given::{approved_of_many, at, capturer, filter, mail as mail_that_says};

/// Each purpose that can be asked for, and none.
const PURPOSES: [Option<Purpose>; 7] = [
    None,
    Some(Purpose::Login),
    Some(Purpose::SignUp),
    Some(Purpose::Reset),
    Some(Purpose::Payment),
    Some(Purpose::Change),
    Some(Purpose::Pairing),
];

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    sender: String,
    #[serde(default)]
    subject: String,
    text: String,
}

#[test]
fn no_message_of_the_corpus_answers_a_request_for_another_sender() {
    let messages: Vec<(Sender, Text)> = text_messages().chain(mails()).collect();
    let patterns = patterns(&messages);
    assert!(messages.len() > 500 && patterns.len() > 150, "{} {}", messages.len(), patterns.len());
    let (mut pairs, mut received) = (0, 0);
    // Of any two senders one is asked for in one of these rounds, and the other is not.
    let rounds = (0..usize::BITS - patterns.len().leading_zeros()).flat_map(|bit| [(bit, 0), (bit, 1)]);
    for (bit, side) in rounds {
        let is_asked = |place: &usize| (place >> bit) & 1 == side;
        let asked: Vec<&SenderPattern> = patterns
            .iter()
            .enumerate()
            .filter(|(place, _)| is_asked(place))
            .map(|(_, pattern)| pattern)
            .collect();
        let mut desk = Desk::new(capturer(), BTreeSet::new());
        let mut number = 0;
        for (pattern, purpose) in asked.iter().flat_map(|pattern| PURPOSES.map(|purpose| (*pattern, purpose)))
        {
            number += 1;
            let asked = Filter {
                channels: Channels::Any,
                sender: pattern.clone().into(),
                purpose,
                ..filter("acme.example")
            };
            desk.learn(approved_of_many(number, asked));
        }
        for message in &messages {
            if asked.iter().any(|pattern| pattern.admits(&message.0)) {
                continue;
            }
            received += 1;
            pairs += asked.len() * PURPOSES.len();
            desk.receive(as_received(message));
            let outcomes = desk.settle(at(2));
            assert!(outcomes.is_empty(), "{outcomes:?}");
        }
    }
    assert!(received > 2_000 && pairs > 1_000_000, "{received} {pairs}");
}

fn as_received((sender, text): &(Sender, Text)) -> Message {
    let channel = if matches!(sender, Sender::Address(_)) { Channel::Email } else { Channel::Sms };
    let readings: Vec<&str> = text.readings().collect();
    let text = Text::with_subject(text.subject(), &readings.join("\n"));
    Message { channel, sender: sender.clone(), text, ..mail_that_says("") }
}

/// Every sender that could be asked for, once: as it is, and of an address its domain.
fn patterns(messages: &[(Sender, Text)]) -> Vec<SenderPattern> {
    let named = messages.iter().flat_map(|(sender, _)| match sender {
        Sender::Address(address) => {
            let own = SenderPattern::Address(address.clone());
            let domain = own.domain().and_then(|domain| domain.parse().ok());
            vec![own].into_iter().chain(domain).collect()
        }
        Sender::Number(number) => vec![SenderPattern::Number(number.clone())],
        Sender::SenderId(id) => vec![SenderPattern::SenderId(id.clone())],
    });
    let named: BTreeMap<String, SenderPattern> =
        named.map(|pattern| (pattern.to_string().to_lowercase(), pattern)).collect();
    named.into_values().collect()
}

/// The text messages whose sender could be asked for.
fn text_messages() -> impl Iterator<Item = (Sender, Text)> {
    let files = ["sms_own.jsonl", "varied_tune.jsonl", "varied_held.jsonl", "varied_fresh.jsonl"];
    let rows = files.map(|file| fs::read_to_string(data(file)).unwrap()).join("\n");
    let rows: Vec<Row> =
        rows.lines().filter(|row| !row.is_empty()).map(|row| serde_json::from_str(row).unwrap()).collect();
    rows.into_iter().filter_map(|row| {
        let sender = match row.sender.parse::<SenderPattern>().ok()? {
            SenderPattern::Address(address) => Sender::Address(address),
            SenderPattern::Number(number) => Sender::Number(number),
            SenderPattern::SenderId(id) => Sender::SenderId(id),
            SenderPattern::Domain(_) => return None,
        };
        Some((sender, Text::with_subject(&row.subject, &row.text)))
    })
}

fn mails() -> impl Iterator<Item = (Sender, Text)> {
    let files = fs::read_dir(data("eml")).unwrap().map(|entry| entry.unwrap().path());
    let mails = files.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
    mails.filter_map(|path| {
        let mail = mail::read(&fs::read(path).unwrap()).ok()?;
        Some((Sender::Address(mail.from.parse().ok()?), mail.text))
    })
}

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
