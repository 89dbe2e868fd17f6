//! Each source, and what really delivers to it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use agent_otp_domain::Channel;
use agent_otp_jetstream::clock;
use agent_otp_user::source::Source;
use agent_otp_user::source::sms_webhook::SmsWebhook;
use agent_otp_user::source::smtp::Smtp;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::dovecot::{Dovecot, belongings, free_port};
use crate::running::{open, within};
use crate::swaks::{self, mail};

/// A source, and what really delivers to it.
pub(crate) trait World {
    fn name(&self) -> &'static str;

    fn channel(&self) -> Channel {
        Channel::Email
    }

    /// Opens the source, each time at the same place.
    async fn open(&mut self) -> Box<dyn Source>;

    /// Delivers a message with this code; whether it was taken. One that was not may be delivered again.
    async fn deliver(&mut self, code: &str) -> bool;

    /// Everything of the user's that the source could change.
    fn belongings(&self) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::new()
    }
}

/// A mailbox of dovecot that its LMTP delivers to.
pub(crate) struct DovecotImap(Dovecot);

impl DovecotImap {
    pub(crate) async fn new() -> Self {
        Self(Dovecot::start().await)
    }
}

impl World for DovecotImap {
    fn name(&self) -> &'static str {
        "imap"
    }

    async fn open(&mut self) -> Box<dyn Source> {
        open(&self.0.table()).await
    }

    async fn deliver(&mut self, code: &str) -> bool {
        self.0.deliver(&mail(code)).await;
        true
    }

    fn belongings(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.mails()
    }
}

/// A Maildir that dovecot's delivery agent delivers to.
pub(crate) struct DovecotMaildir(Dovecot);

impl DovecotMaildir {
    pub(crate) async fn new() -> Self {
        let dovecot = Dovecot::start().await;
        // The first delivery makes the directories.
        dovecot.deliver_locally(&mail("000000").replace("no-reply@", "")).await;
        for (name, _) in dovecot.mails() {
            fs::remove_file(dovecot.maildir().join(name)).unwrap();
        }
        Self(dovecot)
    }
}

impl World for DovecotMaildir {
    fn name(&self) -> &'static str {
        "maildir"
    }

    async fn open(&mut self) -> Box<dyn Source> {
        open(&format!("[[maildir]]\nname = \"mine\"\npath = \"{}\"\n", self.0.maildir().display())).await
    }

    async fn deliver(&mut self, code: &str) -> bool {
        self.0.deliver_locally(&mail(code)).await;
        true
    }

    fn belongings(&self) -> BTreeMap<String, Vec<u8>> {
        belongings(&self.0.maildir())
    }
}

/// An SMTP listener that swaks delivers to.
pub(crate) struct SmtpTcp(SocketAddr);

impl SmtpTcp {
    pub(crate) fn new() -> Self {
        Self(([127, 0, 0, 1], free_port()).into())
    }
}

impl World for SmtpTcp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn open(&mut self) -> Box<dyn Source> {
        Box::new(Smtp::bind(self.0).await.unwrap())
    }

    async fn deliver(&mut self, code: &str) -> bool {
        swaks::deliver(&["--server", &self.0.to_string()], &["me@home.example"], &mail(code)).await.is_taken
    }
}

/// An LMTP listener on a port that swaks delivers to.
pub(crate) struct LmtpTcp(SocketAddr);

impl LmtpTcp {
    pub(crate) fn new() -> Self {
        Self(([127, 0, 0, 1], free_port()).into())
    }
}

impl World for LmtpTcp {
    fn name(&self) -> &'static str {
        "lmtp"
    }

    async fn open(&mut self) -> Box<dyn Source> {
        open(&format!("[[lmtp]]\nname = \"mine\"\nlisten = \"{}\"\n", self.0)).await
    }

    async fn deliver(&mut self, code: &str) -> bool {
        let to = ["--server", &self.0.to_string(), "--protocol", "LMTP"];
        swaks::deliver(&to, &["me@home.example"], &mail(code)).await.is_taken
    }
}

/// An LMTP listener on a socket that swaks delivers to.
pub(crate) struct LmtpSocket(TempDir);

impl LmtpSocket {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("lmtp")
    }
}

impl World for LmtpSocket {
    fn name(&self) -> &'static str {
        "lmtp"
    }

    async fn open(&mut self) -> Box<dyn Source> {
        open(&format!("[[lmtp]]\nname = \"mine\"\nsocket = \"{}\"\n", self.socket().display())).await
    }

    async fn deliver(&mut self, code: &str) -> bool {
        let to = ["--socket", self.socket().to_str().unwrap(), "--protocol", "LMTP"].map(str::to_owned);
        let to = to.each_ref().map(String::as_str);
        swaks::deliver(&to, &["me@home.example"], &mail(code)).await.is_taken
    }
}

/// The webhook, and a phone that signs what it delivers there.
pub(crate) struct Android {
    dir: TempDir,
    address: SocketAddr,
}

impl Android {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), address: ([127, 0, 0, 1], free_port()).into() }
    }
}

impl World for Android {
    fn name(&self) -> &'static str {
        "sms-webhook"
    }

    fn channel(&self) -> Channel {
        Channel::Sms
    }

    async fn open(&mut self) -> Box<dyn Source> {
        Box::new(SmsWebhook::bind(self.address, &self.dir.path().join("sources")).await.unwrap())
    }

    async fn deliver(&mut self, code: &str) -> bool {
        let now = clock::now();
        let text = format!("Ihr Code für Bücher: {code}");
        let payload = serde_json::json!({ "message": text, "sender": "Acme", "receivedAt": now.to_string() });
        let body = serde_json::json!({ "id": code, "event": "sms:received", "payload": payload }).to_string();
        let timestamp = (now.as_unix_ms() / 1_000).to_string();
        let secrets = fs::read_to_string(self.dir.path().join("sources/sms-webhook.secret")).unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(secrets.lines().next().unwrap().as_bytes()).unwrap();
        let signature = mac.chain_update(&body).chain_update(&timestamp).finalize().into_bytes();
        let request = format!(
            "POST /sms HTTP/1.1\r\nHost: localhost\r\nX-Timestamp: {timestamp}\r\nX-Signature: {}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            HEXLOWER.encode(&signature),
            body.len()
        );
        let Ok(mut stream) = TcpStream::connect(self.address).await else { return false };
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
        answer.starts_with("HTTP/1.1 200")
    }
}
