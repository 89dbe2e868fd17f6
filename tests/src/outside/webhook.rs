//! Deliveries of SMS gateways.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use agent_otp_domain::Channel;
use agent_otp_jetstream::clock;
use agent_otp_user::source::{Source, sms_webhook::SmsWebhook};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use tempfile::TempDir;

use super::mail::takes_codes_alone;
use super::peer::Peer;

/// The key that gateways sign with.
const KEY: &[u8] = b"a key of the family";
/// The other lines of their file: the path of those that do not sign the text, and the keys of some.
const LINES: &[u8] = b"\npath = 0123456789abcdef\nincoming-sms = a key of the family\nvonage = a key of the family\nsmsforwarder = a key of the family\n";
/// What may be answered; 400 also by the HTTP server itself.
const ANSWERS: [&str; 9] = ["200", "400", "401", "404", "405", "408", "413", "414", "431"];

thread_local! {
    static PEER: RefCell<(Peer, TempDir)> = RefCell::new(start());
}

/// Every answer is one that is known, and a message comes of what was signed alone.
///
/// The first byte says what the rest is: a whole request, the body of a phone's event, that of Twilio's form, or that of
/// a phone that signs nothing. The bodies are signed by the gateway whose they are, the last comes to the secret path.
pub fn sms_webhook(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else { return };
    let (request, is_signed) = match what % 4 {
        0 => (rest.to_vec(), false),
        1 => (phone(rest), true),
        2 => (twilio(rest), true),
        _ => (request("/sms/0123456789abcdef", "X-Capture-Token: a key of the family\r\n", rest), true),
    };
    let source = if what % 4 == 3 { "sms-webhook-unsigned" } else { "sms-webhook" };
    let before = clock::now();
    let heard = PEER.with_borrow_mut(|(peer, _)| peer.hear(&request));
    if !heard.answer.is_empty() {
        let status =
            heard.answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5)).unwrap_or_default();
        let status = String::from_utf8_lossy(status);
        assert!(ANSWERS.contains(&&*status), "{:?}", String::from_utf8_lossy(&heard.answer));
        assert!(!is_signed || matches!(&*status, "200" | "400"), "{status}");
    }
    assert!(heard.messages.len() <= usize::from(is_signed), "what nobody signed is no message");
    for message in heard.messages {
        assert_eq!((message.channel, message.source), (Channel::Sms, source));
        assert!(message.received_at <= clock::now().max(before), "no message comes from a time to come");
        takes_codes_alone(&message.text, None);
    }
}

fn start() -> (Peer, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let sources = dir.path().join("sources");
    fs::create_dir(&sources).unwrap();
    fs::set_permissions(&sources, fs::Permissions::from_mode(0o700)).unwrap();
    let secret = sources.join("sms-webhook.secret");
    fs::write(&secret, [KEY, LINES].concat()).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let peer = Peer::of(async move {
        let webhook = SmsWebhook::bind(([127, 0, 0, 1], 0).into(), &sources).await.unwrap();
        Box::new(webhook) as Box<dyn Source>
    });
    (peer, dir)
}

fn phone(body: &[u8]) -> Vec<u8> {
    let timestamp = (clock::now().as_unix_ms() / 1_000).to_string();
    let mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap().chain_update(body).chain_update(&timestamp);
    let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
    request("/sms", &format!("X-Timestamp: {timestamp}\r\nX-Signature: {signature}\r\n"), body)
}

fn twilio(body: &[u8]) -> Vec<u8> {
    let mut fields: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    fields.sort();
    fields.dedup();
    let mut mac = Hmac::<Sha1>::new_from_slice(KEY).unwrap().chain_update("https://capture.example/sms");
    for (name, value) in fields {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = BASE64.encode(&mac.finalize().into_bytes());
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    request("/sms", &format!("{form}X-Twilio-Signature: {signature}\r\n"), body)
}

fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: capture.example\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
