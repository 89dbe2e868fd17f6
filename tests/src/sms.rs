//! Text messages by webhook, as a phone with SMS Gateway for Android delivers them.

use std::fs;

use agent_otp_jetstream::clock;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::place::Place;
use crate::wait::within;

impl Place {
    /// Delivers a text message, which must be taken.
    pub async fn sms(&self, id: &str, sender: &str, text: &str) {
        let answer = self.deliver_sms(&self.signed_sms(id, sender, text)).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ntaken\n"), "{answer}");
    }

    /// A whole HTTP request: a text message that came this moment, signed with the key of this user.
    #[must_use]
    pub fn signed_sms(&self, id: &str, sender: &str, text: &str) -> String {
        let now = clock::now();
        let payload = json!({ "message": text, "sender": sender, "receivedAt": now.to_string() });
        let body = json!({ "id": id, "event": "sms:received", "payload": payload }).to_string();
        let timestamp = (now.as_unix_ms() / 1_000).to_string();
        let secret = fs::read_to_string(self.dir().join("sources/sms-webhook.secret")).unwrap();
        let key = secret.lines().next().unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        let signature = mac.chain_update(&body).chain_update(&timestamp).finalize().into_bytes();
        let (signature, length) = (HEXLOWER.encode(&signature), body.len());
        format!(
            "POST /sms HTTP/1.1\r\nHost: phone\r\nContent-Type: application/json; charset=utf-8\r\n\
             X-Timestamp: {timestamp}\r\nX-Signature: {signature}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Sends bytes to the webhook, and gives all that it answers.
    pub async fn deliver_sms(&self, request: &str) -> String {
        let url = self.webhook();
        let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix("/sms")).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (mut read, mut write) = stream.split();
        let talk = async {
            // It may hang up in the middle, and then it has said why.
            write.write_all(request.as_bytes()).await.ok();
        };
        let hear = async {
            let mut heard = String::new();
            read.read_to_string(&mut heard).await.unwrap();
            heard
        };
        within("the answer of the webhook", async { tokio::join!(talk, hear).1 }).await
    }

    /// Where the webhook is; of a user's side that runs by itself, `run.json` does not say.
    fn webhook(&self) -> String {
        let read = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(self.dir().join(name)).unwrap()).unwrap()
        };
        match read("run.json").get("sms_webhook").and_then(Value::as_str) {
            Some(url) => url.to_owned(),
            None => format!("http://127.0.0.1:{}/sms", read("ports.json").get("sms-webhook").unwrap()),
        }
    }
}
