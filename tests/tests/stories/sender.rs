//! Mail whose sender is proven, and mail whose sender is not, with nothing accepted on its word.

use agent_otp_tests::Place;
use data_encoding::BASE64;
use lettre::Message;
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::DkimSigner;
use serde_json::json;

#[path = "../../../crates/user/tests/dns/mod.rs"]
mod dns;

#[tokio::test]
async fn a_signed_mail_answers_and_a_forged_one_is_refused_where_the_request_stands() {
    let github = Github::new();
    let server = dns::serve(dns::zone(&github.zone()).unwrap()).to_string();
    let place = Place::new();
    let _up = place.up_with(&["--dns-server", &server]).await;
    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;

    let signed = github.sign("Your GitHub verification code is 482913.");
    let heard = place.smtp(&session(&signed.replace("482913", "771204"))).await;
    let refusal = "250 2.0.0 not used: the sender of this mail is not proven: its signature is wrong";
    assert!(heard.iter().any(|line| line.starts_with(refusal)), "{heard:?}");
    let notice = loop {
        let shown = place.pending_one(&asked.id).await.unwrap();
        if let Some(notice) = shown["notice"].as_str() {
            break notice.to_owned();
        }
    };
    assert!(notice.contains("refused, because its signature does not prove it"), "{notice}");

    let heard = place.smtp(&session(&signed)).await;
    assert!(heard.iter().any(|line| line == "250 2.0.0 accepted"), "{heard:?}");
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    let shown = place.agent_otp(&["audit", "show", &asked.id, "--json"]).await.well().json();
    assert_eq!(shown["events"][2]["data"]["statement"]["evidence"]["sender"], "dkim");
}

/// Who signs mail for github.com here.
struct Github {
    key: Ed25519Key,
}

impl Github {
    fn new() -> Self {
        Self { key: Ed25519Key::from_pkcs8_der(&Ed25519Key::generate_pkcs8().unwrap()).unwrap() }
    }

    /// What the DNS says of it.
    fn zone(&self) -> String {
        let key = BASE64.encode(&self.key.public_key());
        let records = json!({
            "s1._domainkey.github.com": format!("v=DKIM1; k=ed25519; p={key}"),
            "_dmarc.github.com": "v=DMARC1; p=reject",
        });
        json!({ "txt": records }).to_string()
    }

    fn sign(self, text: &str) -> String {
        let mail = Message::builder()
            .from("GitHub <noreply@github.com>".parse().unwrap())
            .to("me@example.org".parse().unwrap())
            .subject("Your code")
            .body(format!("{text}\r\n"))
            .unwrap();
        let mail = String::from_utf8(mail.formatted()).unwrap();
        let signer = DkimSigner::from_key(self.key).domain("github.com").selector("s1");
        let signature = signer.headers(["From", "To", "Subject", "Date"]).sign(mail.as_bytes()).unwrap();
        format!("{}{mail}", signature.to_header())
    }
}

/// An SMTP session that delivers a mail.
fn session(mail: &str) -> Vec<u8> {
    let envelope = "EHLO a\r\nMAIL FROM:<bounce@github.com>\r\nRCPT TO:<me@example.org>\r\nDATA\r\n";
    format!("{envelope}{mail}.\r\nQUIT\r\n").into_bytes()
}
