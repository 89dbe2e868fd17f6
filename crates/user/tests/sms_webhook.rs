//! The webhook of SMS gateways, over real connections: with gateways' signatures, and octet by octet.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_domain::{ContentPattern, Sender, Timestamp};
use agent_otp_jetstream::clock;
use agent_otp_user::mail::authentication::{Authenticator, Dns};
use agent_otp_user::source::sms_webhook::{KIND, SmsWebhook};
use agent_otp_user::source::{Source, SourceError};
use agent_otp_user::{Intake, Message, Received, Unverified};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// The longest body.
const BODY_MAX: usize = 64 * 1_024;

#[tokio::test]
async fn a_phones_message_is_taken_once() {
    let webhook = Webhook::start().await;
    let delivery = webhook.phone("1", "GitHub", "Your code is 482913");
    assert_eq!(webhook.send(&delivery).await.line(), "200 taken");
    assert_eq!(webhook.send(&delivery).await.line(), "200 taken before");
    let messages = webhook.stop().await;
    assert_eq!(messages.len(), 1);
    assert!(says(&messages[0], "^Your code is 482913$"));
    assert_eq!(messages[0].sender, Sender::SenderId("GitHub".parse().unwrap()));
}

#[tokio::test]
async fn twilios_message_is_taken_and_no_reply_is_made_of_the_answer() {
    let webhook = Webhook::start().await;
    let body = "MessageSid=SM1&NumMedia=0&From=%2B15551234567&Body=Your+code+is+482913";
    let signed =
        "https://capture.example/sms?a=1BodyYour code is 482913From+15551234567MessageSidSM1NumMedia0";
    let mac = Hmac::<Sha1>::new_from_slice(webhook.key().as_bytes()).unwrap();
    let signature = BASE64.encode(&mac.chain_update(signed).finalize().into_bytes());
    let delivery = request(
        "POST /sms?a=1",
        &[
            ("Host", "127.0.0.1:2580"),
            ("X-Forwarded-Host", "capture.example"),
            ("X-Forwarded-Proto", "https"),
            ("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),
            ("X-Twilio-Signature", &signature),
        ],
        body,
    );
    for _ in 0..2 {
        let heard = webhook.send(&delivery).await;
        assert!(heard.head.contains("content-type: text/xml\r\n"), "{heard:?}");
        assert_eq!(heard.line(), "200 <Response/>");
    }
    let elsewhere = delivery.replace("capture.example", "capture.example.evil.example");
    assert_eq!(webhook.send(&elsewhere).await.status(), "401");
    let messages = webhook.stop().await;
    assert_eq!(messages.len(), 1);
    assert!(says(&messages[0], "482913"));
    assert_eq!(messages[0].sender, Sender::Number("+15551234567".parse().unwrap()));
}

#[tokio::test]
async fn the_text_that_a_gateway_does_not_sign_is_taken_at_the_secret_path_alone() {
    let webhook = Webhook::start().await;
    let secrets = fs::read_to_string(webhook.secret()).unwrap();
    let path = secrets.lines().find_map(|line| line.strip_prefix("path = ")).unwrap().to_owned();
    fs::write(webhook.secret(), secrets + "incoming-sms = a word of the user\n").unwrap();
    let body = serde_json::json!({
        "from": "GitHub", "text": "Your code is 482913", "sentStamp": clock::now().as_unix_ms()
    });
    let delivery = |to: &str, word: &str| {
        request(&format!("POST {to}"), &[("X-Capture-Token", word)], &body.to_string())
    };
    let (to, word) = (format!("/sms/{path}"), "a word of the user");
    let nowhere = "404 there is nothing here; deliver to /sms";
    for wrong in ["/sms/", "/sms/0123456789abcdef", &to[..to.len() - 1], &format!("{to}/"), &format!("{to}0")]
    {
        assert_eq!(webhook.send(&delivery(wrong, word)).await.line(), nowhere, "{wrong}");
    }
    for (to, word, why) in [
        ("/sms", word, "401 incoming-sms does not sign the text; deliver to /sms/"),
        (&to, "a word of others", "401 no key of the user made this signature"),
        (&to, "", "401 no key of the user made this signature"),
    ] {
        let heard = webhook.send(&delivery(to, word)).await;
        assert!(heard.line().starts_with(why), "{heard:?}");
    }
    assert_eq!(webhook.send(&delivery(&to, word)).await.line(), "200 taken");
    assert_eq!(webhook.send(&delivery(&to, word)).await.line(), "200 taken before");
    // What is signed may come there as well.
    let signed =
        webhook.phone("1", "GitHub", "Your code is 482913").replace("POST /sms ", &format!("POST {to} "));
    assert_eq!(webhook.send(&signed).await.line(), "200 taken");
    let sources: Vec<&str> = webhook.stop().await.iter().map(|message| message.source).collect();
    assert_eq!(sources, ["sms-webhook-unsigned", "sms-webhook"]);
}

#[tokio::test]
async fn a_gateway_that_the_user_has_no_key_for_is_told_where_one_belongs() {
    let webhook = Webhook::start().await;
    let delivery = request("POST /sms", &[("telnyx-signature-ed25519", "AA==")], "{}");
    let heard = webhook.send(&delivery).await;
    assert_eq!(
        heard.line(),
        "401 this is of telnyx, and the user has no key for it; `sms_webhook_secret` in run.json names the file that takes one, as a line `telnyx = …`"
    );
    webhook.stop().await;
}

#[tokio::test]
async fn what_no_key_has_signed_or_long_ago_is_refused_and_says_so() {
    let webhook = Webhook::start().await;
    let delivery = webhook.phone("1", "GitHub", "Your code is 482913");
    let old = webhook.phone_at(clock::now().before(Duration::from_secs(301)), "1", "GitHub", "482913");
    let early = webhook.phone_at(clock::now().after(Duration::from_secs(320)), "1", "GitHub", "482913");
    let table = [
        (request("POST /sms", &[], "{}"), "no signature of a gateway that is known; docs/sources/sms.md"),
        (
            delivery.replace("482913", "482914"),
            "no key of the user made this signature; `sms_webhook_secret` in run.json",
        ),
        (delivery.replace("X-Timestamp: 1", "X-Timestamp: 2"), "no key of the user made this signature"),
        (delivery.replace("X-Timestamp", "X-Time"), "no key of the user made this signature"),
        (old, "the time of its signature is 30"),
        (early, "s ahead of this machine's clock, and at most 300 s are allowed; set the clocks"),
    ];
    for (delivery, why) in table {
        let heard = webhook.send(&delivery).await;
        assert_eq!(heard.status(), "401", "{heard:?}");
        assert!(heard.body.contains(why) && !heard.body.contains("48291"), "{why}: {heard:?}");
    }
    assert_eq!(webhook.stop().await.len(), 0);
}

#[tokio::test]
async fn what_is_no_delivery_is_answered_with_what_would_be_one() {
    let webhook = Webhook::start().await;
    let table = [
        (request("GET /sms", &[], ""), "405 deliver with POST"),
        (request("PUT /sms", &[], ""), "405 deliver with POST"),
        (request("POST /", &[], ""), "404 there is nothing here; deliver to /sms"),
        (request("POST /sms/", &[], ""), "404 there is nothing here; deliver to /sms"),
        (request("POST /%73ms", &[], ""), "404 there is nothing here; deliver to /sms"),
        ("EHLO phone\r\n".to_owned(), "400 "),
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), "400 "),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400 "),
        (request("POST /sms", &[("Content-Length", "many")], ""), "400 "),
        (request("POST /sms", &[("X", &"x".repeat(20_000))], ""), "431 "),
        (
            request("POST /sms", &[("Content-Length", "100")], "short"),
            "400 the delivery broke off; send it again",
        ),
        (
            webhook.sign(clock::now(), "Your code is 482913"),
            "400 the delivery cannot be read: its body is no event in JSON",
        ),
    ];
    for (sent, expected) in table {
        let heard = webhook.send(&sent).await;
        let shown: String = sent.chars().take(120).collect();
        assert_eq!(heard.line(), expected, "{shown:?}");
        assert_eq!(heard.head.contains("allow: POST\r\n"), heard.status() == "405");
    }
    assert_eq!(webhook.stop().await.len(), 0);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_however_its_length_is_told() {
    let webhook = Webhook::start().await;
    let whole = "x".repeat(BODY_MAX);
    let refused = "413 a delivery has at most 65536 bytes";
    let chunked = |octets: &str| {
        let chunks = format!("{:x}\r\n{octets}\r\n0\r\n\r\n", octets.len());
        format!("POST /sms HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
    };
    for body in [whole.clone() + "x", "x".repeat(20 * BODY_MAX)] {
        assert_eq!(webhook.send(&request("POST /sms", &[], &body)).await.line(), refused);
        assert_eq!(webhook.send(&chunked(&body)).await.line(), refused);
    }
    let announced = [("Content-Length", "99999999999"), ("Expect", "100-continue")];
    assert_eq!(webhook.send(&request("POST /sms", &announced, "")).await.line(), refused);
    assert_eq!(webhook.send(&request("POST /sms", &[], &whole)).await.status(), "401");
    assert_eq!(webhook.send(&chunked(&whole)).await.status(), "401");

    let text = "Your code is 482913".to_owned() + &" ".repeat(BODY_MAX - 200);
    assert_eq!(webhook.send(&webhook.phone("1", "GitHub", &text)).await.line(), "200 taken");
    assert_eq!(webhook.stop().await.len(), 1);
}

#[tokio::test]
async fn whatever_follows_a_delivery_on_its_connection_is_not_heard() {
    let webhook = Webhook::start().await;
    let first = webhook.phone("1", "GitHub", "Your code is 482913");
    let second = webhook.phone("2", "GitHub", "Your code is 550127");
    for more in [second.as_str(), "\0garbage\r\n\r\n", &"x".repeat(1 << 20)] {
        let heard = webhook.send(&(first.clone() + more)).await;
        assert_eq!(heard.status(), "200", "{heard:?}");
        assert!(heard.head.contains("connection: close\r\n"), "{heard:?}");
        assert!(!heard.body.contains("HTTP/1.1"), "one answer: {heard:?}");
    }
    assert_eq!(webhook.stop().await.len(), 1);
}

#[tokio::test]
async fn messages_are_put_off_while_too_many_wait_and_taken_when_they_come_again() {
    let mut webhook = Webhook::start().await;
    for number in 0..64 {
        let delivery = webhook.phone(&number.to_string(), "GitHub", "Your code is 482913");
        assert_eq!(webhook.send(&delivery).await.line(), "200 taken");
    }
    let last = webhook.phone("64", "GitHub", "Your code is 550127");
    let heard = webhook.send(&last).await;
    assert_eq!(heard.line(), "503 too many messages are waiting; deliver this one again in a moment");
    assert!(heard.head.contains("retry-after: 5\r\n"), "{heard:?}");
    webhook.messages.recv().await.unwrap();
    assert_eq!(webhook.send(&last).await.line(), "200 taken");
    assert!(webhook.stop().await.iter().any(|message| says(message, "550127")));
}

#[tokio::test]
async fn a_key_can_be_added_and_taken_away_while_it_runs() {
    let webhook = Webhook::start().await;
    let made = webhook.key();
    let of_made = webhook.phone("1", "GitHub", "Your code is 482913");
    let write = |keys: &str| fs::write(webhook.secret(), keys).unwrap();
    write(&format!("# both\n{made}\nthe next key\n"));
    let of_next = phone_of("the next key", "2");
    assert_eq!(webhook.send(&of_next).await.line(), "200 taken");
    assert_eq!(webhook.send(&of_made).await.line(), "200 taken");
    write("the next key\n");
    assert_eq!(webhook.send(&of_made).await.status(), "401");
    assert_eq!(webhook.send(&phone_of("the next key", "3")).await.line(), "200 taken");
    write("# none\n");
    let heard = webhook.send(&of_next).await;
    assert_eq!(heard.line(), "503 no key can be read; the log of `agent-otp up` says why");
    write("the next key\n");
    fs::set_permissions(webhook.secret(), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(webhook.send(&of_next).await.status(), "503", "others may have read it");
    assert_eq!(webhook.stop().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_finish_is_told_so_after_ten_seconds() {
    let webhook = Webhook::start().await;
    let delivery = webhook.phone("1", "GitHub", "Your code is 482913");
    let began = Instant::now();
    for length in [0, 30, delivery.len() - 1] {
        let mut stream = TcpStream::connect(webhook.address).await.unwrap();
        stream.write_all(delivery.get(..length).unwrap().as_bytes()).await.unwrap();
        let heard = Heard::all_of(&mut stream).await;
        // Of a request whose head never came, there is nothing to answer to.
        let expected =
            if length < 100 { "" } else { "408 the delivery took longer than 10 s; send it again" };
        assert_eq!(heard.line(), expected, "{length}");
    }
    assert!(began.elapsed() < Duration::from_secs(3 * 13), "{:?}", began.elapsed());
    assert_eq!(webhook.stop().await.len(), 0);
}

#[tokio::test]
async fn one_peer_too_many_is_put_off_and_served_when_there_is_room() {
    let webhook = Webhook::start().await;
    let delivery = webhook.phone("1", "GitHub", "Your code is 482913");
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(webhook.address).await.unwrap());
    }
    let heard = Heard::all_of(&mut TcpStream::connect(webhook.address).await.unwrap()).await;
    assert_eq!(heard.line(), "503 too many deliveries at once; deliver again in a moment");
    silent.clear();
    let taken = timeout(Duration::from_secs(30), async {
        while webhook.send(&delivery).await.line() != "200 taken" {
            tokio::task::yield_now().await;
        }
    });
    taken.await.unwrap();
    webhook.stop().await;
}

#[tokio::test]
async fn it_stops_although_peers_are_silent() {
    let webhook = Webhook::start().await;
    let mut streams = Vec::new();
    for sent in ["", "POST /sms HTTP/1.1\r\n", "POST /sms HTTP/1.1\r\nContent-Length: 5\r\n\r\n1"] {
        let mut stream = TcpStream::connect(webhook.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    let (began, address) = (Instant::now(), webhook.address);
    webhook.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_is_told_of_it_is_where_it_listens_and_where_its_keys_are() {
    let dir = tempfile::tempdir().unwrap();
    let source =
        (KIND.loopback.unwrap().bind)(([127, 0, 0, 1], 0).into(), dir.path().join("sources")).await.unwrap();
    let url = format!("http://{}/sms", source.local_addr().unwrap());
    let told = source.told();
    let secret = dir.path().join("sources/sms-webhook.secret").display().to_string();
    let entries =
        [("sms_webhook".to_owned(), url.clone()), ("sms_webhook_secret".to_owned(), secret.clone())];
    assert_eq!((source.name(), told.entries), ("sms-webhook", entries.to_vec()));
    let greeting: Vec<String> = told.greeting.into_iter().map(|(_, line)| line).collect();
    assert!(greeting.join("\n").contains(&url) && greeting.join("\n").contains(&secret), "{greeting:?}");
}

/// Whether some reading of the message contains the pattern.
fn says(message: &Message, pattern: &str) -> bool {
    let pattern: ContentPattern = pattern.parse().unwrap();
    message.text.readings().any(|reading| pattern.is_in(reading))
}

/// A request with these headers; `Host` and `Content-Length` are added where they are missing.
fn request(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let length = body.len().to_string();
    let usual = [("Host", "a"), ("Content-Length", length.as_str())].into_iter();
    let missing = usual.filter(|(name, _)| !headers.iter().any(|(given, _)| given == name));
    let lines = headers.iter().copied().chain(missing).map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{line} HTTP/1.1\r\n{}\r\n{body}", lines.collect::<String>())
}

/// A running webhook on a free port, with a key of its own.
struct Webhook {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<Result<(), SourceError>>,
    messages: mpsc::Receiver<Received>,
    dir: TempDir,
}

impl Webhook {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = SmsWebhook::bind(([127, 0, 0, 1], 0).into(), &dir.path().join("sources")).await.unwrap();
        let address = source.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (intake, messages) =
            Intake::new(Unverified::Refuse, Authenticator::new(Dns::None, None).unwrap());
        let running = tokio::spawn(Box::new(source).run(intake, stop.clone()));
        Self { address, stop, running, messages, dir }
    }

    fn secret(&self) -> PathBuf {
        self.dir.path().join("sources/sms-webhook.secret")
    }

    fn key(&self) -> String {
        fs::read_to_string(self.secret()).unwrap().lines().next().unwrap().to_owned()
    }

    /// What a phone delivers.
    fn phone(&self, id: &str, sender: &str, text: &str) -> String {
        self.phone_at(clock::now(), id, sender, text)
    }

    fn phone_at(&self, at: Timestamp, id: &str, sender: &str, text: &str) -> String {
        self.sign(at, &event(id, sender, text, at))
    }

    fn sign(&self, at: Timestamp, body: &str) -> String {
        signed(&self.key(), at, body)
    }

    /// Sends octets on a connection of their own, and hears all that is answered.
    async fn send(&self, octets: &str) -> Heard {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (mut incoming, mut outgoing) = stream.split();
        let dialogue = async {
            tokio::join!(Heard::all_of(&mut incoming), async {
                // The endpoint need not read it all.
                outgoing.write_all(octets.as_bytes()).await.ok();
                outgoing.shutdown().await.ok();
            })
        };
        timeout(Duration::from_secs(30), dialogue).await.unwrap().0
    }

    /// Stops, and returns what arrived and was not looked at.
    async fn stop(mut self) -> Vec<Message> {
        self.stop.cancel();
        timeout(Duration::from_secs(30), self.running).await.unwrap().unwrap().unwrap();
        std::iter::from_fn(|| self.messages.try_recv().ok()).filter_map(Received::message).collect()
    }
}

/// What a phone with another key delivers.
fn phone_of(key: &str, id: &str) -> String {
    let at = clock::now();
    signed(key, at, &event(id, "GitHub", "Your code is 482913", at))
}

fn event(id: &str, sender: &str, text: &str, at: Timestamp) -> String {
    let payload = serde_json::json!({ "message": text, "sender": sender, "receivedAt": at.to_string() });
    serde_json::json!({ "id": id, "event": "sms:received", "payload": payload }).to_string()
}

fn signed(key: &str, at: Timestamp, body: &str) -> String {
    let timestamp = (at.as_unix_ms() / 1_000).to_string();
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    let signature = mac.chain_update(body).chain_update(&timestamp).finalize().into_bytes();
    request("POST /sms", &[("X-Timestamp", &timestamp), ("X-Signature", &HEXLOWER.encode(&signature))], body)
}

/// An answer, if there was one.
#[derive(Debug)]
struct Heard {
    head: String,
    body: String,
}

impl Heard {
    async fn all_of(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Self {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Self { head: format!("{head}\r\n"), body: body.to_owned() }
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The status and the body's one line.
    fn line(&self) -> String {
        let line = format!("{} {}", self.status(), self.body.trim_end());
        if self.status().is_empty() { String::new() } else { line }
    }
}
