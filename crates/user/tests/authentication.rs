//! Who sent a mail: every labelled case, and mails that are signed here and then changed in every way.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod dns;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_domain::{Sender, SenderPattern, Timestamp};
use agent_otp_jetstream::clock;
use agent_otp_trust::SenderCheck;
use agent_otp_user::extract::{self, Extraction};
use agent_otp_user::mail::authentication::{
    AGE_MAX, Authentic, Authenticator, Dns, Envelope, Handover, NotAuthentic, WAIT_MAX,
};
use agent_otp_user::mail::{self, Mail};
use data_encoding::BASE64;
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use mail_parser::DateTime;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

/// Where the mails of these tests are from.
const DOMAIN: &str = "acme.example";
/// A server of that domain, as its SPF says.
const SERVER: &str = "198.51.100.7";
/// A mail that is to be signed.
const MAIL: &str = "From: Acme <no-reply@acme.example>\r\nTo: user@home.example\r\nSubject: Sign in\r\n\
    Date: Mon, 23 Nov 2026 09:14:05 +0000\r\nMessage-ID: <1@acme.example>\r\n\r\nYour code is 482913.\r\n";

#[tokio::test]
async fn of_every_labelled_mail_exactly_that_leaves_which_may_leave_for_its_request() {
    for (folder, count) in [("eml", 17), ("varied_eml_2", 31)] {
        let folder = data("..").join(folder);
        let zone = fs::read_to_string(folder.join("zone.json")).unwrap();
        let authenticator = asking(dns::serve(dns::zone(&zone).unwrap()));
        let rows = fs::read_to_string(folder.join("expected.jsonl")).unwrap();
        let mut judged = 0;
        for row in rows.lines().map(|row| serde_json::from_str::<Row>(row).unwrap()) {
            // What is not signed for a zone of these is labelled for its sender's name alone.
            let (Some(service), Some(release)) = (&row.filter_service, row.release_for_filter) else {
                continue;
            };
            if row.auth.is_none() && release {
                continue;
            }
            let raw = fs::read(folder.join(&row.file)).unwrap();
            let envelope = row.auth.clone().unwrap_or_default().envelope();
            let code = released(&authenticator, &raw, &envelope, service).await;
            assert_eq!(code, row.expected.filter(|_| release), "{}", row.file);
            judged += 1;
        }
        assert_eq!(judged, count, "{}", folder.display());
    }
}

#[tokio::test]
async fn each_trap_is_refused_for_its_own_reason() {
    let zone = fs::read_to_string(data("zone.json")).unwrap();
    let authenticator = asking(dns::serve(dns::zone(&zone).unwrap()));
    for (file, why) in [
        ("073_auth_dkim_esp_unaligned.eml", NotAuthentic::Unsigned),
        ("077_auth_dkim_body_modified.eml", NotAuthentic::Changed),
        ("078_auth_forged_ar_header.eml", NotAuthentic::Unsigned),
        ("080_auth_from_two_mailboxes.eml", NotAuthentic::Unsigned),
        ("081_auth_dkim_l_tag.eml", NotAuthentic::Partial),
        ("083_auth_expired_signature.eml", NotAuthentic::Stale),
        ("084_auth_strict_subdomain.eml", NotAuthentic::Unaligned),
        ("087_auth_maillist_modified.eml", NotAuthentic::Changed),
    ] {
        let raw = fs::read(data(file)).unwrap();
        assert_eq!(authenticator.verify(&raw, &Envelope::local(), now()).await, Err(why), "{file}");
    }
}

#[tokio::test]
async fn a_signed_mail_is_authentic_and_one_that_is_changed_anywhere_it_counts_is_not() {
    let owner = Signer::new();
    let authenticator = asking(dns::serve(owner.records()));
    let signed = owner.sign(MAIL, &["From", "To", "Subject", "Date"]);
    let authentic = Authentic { check: SenderCheck::Dkim, written_at: Some(written()), covers_subject: true };
    assert_eq!(authenticator.verify(signed.as_bytes(), &Envelope::local(), now()).await, Ok(authentic));
    for (from, to, outcome) in [
        // What canonicalisation lets pass (RFC 6376 §3.4) changes nothing.
        ("Subject: Sign in", "subject:   Sign   in  ", Ok(authentic)),
        ("482913.\r\n", "482913.  \r\n\r\n", Ok(authentic)),
        ("DKIM-Signature:", "X-Spam: no\r\nDKIM-Signature:", Ok(authentic)),
        ("<1@acme.example>", "<2@acme.example>", Ok(authentic)),
        ("482913", "482914", Err(NotAuthentic::Changed)),
        ("482913.\r\n", "482913.\r\nYour code is 771204.\r\n", Err(NotAuthentic::Changed)),
        ("Subject: Sign in", "Subject: 771204 is your code", Err(NotAuthentic::Changed)),
        ("no-reply@acme", "reply@acme", Err(NotAuthentic::Changed)),
        ("Acme <", "Other <", Err(NotAuthentic::Changed)),
        ("09:14:05", "09:14:06", Err(NotAuthentic::Changed)),
        ("user@home", "other@home", Err(NotAuthentic::Changed)),
        ("@acme.example>\r\nTo", "@mail.acme.example>\r\nTo", Err(NotAuthentic::Changed)),
        ("@acme.example>\r\nTo", "@other.example>\r\nTo", Err(NotAuthentic::Unsigned)),
        ("s=s1", "s=s2", Err(NotAuthentic::NoKey)),
        ("d=acme.example", "d=mail.acme.example", Err(NotAuthentic::NoKey)),
        ("d=acme.example", "d=evil.example", Err(NotAuthentic::Unsigned)),
        ("d=acme.example", "l=20; d=acme.example", Err(NotAuthentic::Partial)),
        ("DKIM-Signature:", "X-Signature:", Err(NotAuthentic::Unsigned)),
        // A second header of the same name is no second reading.
        ("From: ", "From: x@evil.example\r\nFrom: ", Err(NotAuthentic::Unsigned)),
        ("From: ", "From: x@acme.example, ", Err(NotAuthentic::Unsigned)),
        ("Subject: ", "Subject: 771204\r\nSubject: ", Ok(Authentic { covers_subject: false, ..authentic })),
    ] {
        let changed = signed.replacen(from, to, 1);
        assert_ne!(changed, signed, "{from}");
        let verified = authenticator.verify(changed.as_bytes(), &Envelope::local(), now()).await;
        assert_eq!(verified, outcome, "{from:?} becomes {to:?}");
    }
}

#[tokio::test]
async fn every_byte_of_what_is_signed_counts() {
    let owner = Signer::new();
    let authenticator = asking(dns::serve(owner.records()));
    let signed = owner.sign(MAIL, &["From", "To", "Subject", "Date", "Message-ID"]);
    let written = signed.find("From: ").unwrap();
    for place in written..signed.len() {
        let mut changed = signed.clone().into_bytes();
        // Neither another case nor another white space of the same letter.
        changed[place] ^= 0x02;
        let verified = authenticator.verify(&changed, &Envelope::local(), now()).await;
        assert!(verified.is_err(), "byte {place}: {:?}", char::from(signed.as_bytes()[place]));
    }
}

#[tokio::test]
async fn what_a_signature_leaves_out_proves_nothing() {
    let owner = Signer::new();
    let authenticator = asking(dns::serve(owner.records()));
    let of_sender = owner.sign(MAIL, &["To", "Subject", "Date"]);
    let verified = authenticator.verify(of_sender.as_bytes(), &Envelope::local(), now()).await;
    assert_eq!(verified, Err(NotAuthentic::Weak));
    let of_subject = owner.sign(MAIL, &["From", "Date"]);
    let verified = authenticator.verify(of_subject.as_bytes(), &Envelope::local(), now()).await;
    let uncovered =
        Authentic { check: SenderCheck::Dkim, written_at: Some(written()), covers_subject: false };
    assert_eq!(verified, Ok(uncovered));
}

#[tokio::test]
async fn a_signature_proves_nothing_once_it_has_expired() {
    let owner = Signer::new();
    let authenticator = asking(dns::serve(owner.records()));
    let author = DkimSigner::from_key(owner.key()).domain(owner.domain).selector("s1");
    // It expires at the end of this second or of the next.
    let signature = author.headers(["From", "Date"]).expiration(1).sign(MAIL.as_bytes()).unwrap();
    let signed = format!("{}{MAIL}", signature.to_header());
    let expired = timeout(WAIT_MAX, async {
        loop {
            match authenticator.verify(signed.as_bytes(), &Envelope::local(), now()).await {
                Ok(authentic) => assert_eq!(authentic.check, SenderCheck::Dkim),
                Err(why) => return why,
            }
        }
    });
    assert_eq!(expired.await, Ok(NotAuthentic::Expired));
}

#[tokio::test]
async fn without_one_signed_date_the_time_of_the_signature_counts() {
    let owner = Signer::new();
    let authenticator = asking(dns::serve(owner.records()));
    let signed_at = clock::now();
    for signed in [
        owner.sign(MAIL, &["From", "Subject"]),
        owner.sign(MAIL, &["From", "Date"]).replacen(
            "Date: ",
            "Date: Mon, 23 Nov 2020 09:14:05 +0000\r\nDate: ",
            1,
        ),
    ] {
        let verified = authenticator.verify(signed.as_bytes(), &Envelope::local(), signed_at).await.unwrap();
        assert!(verified.written_at.unwrap().distance(signed_at) < Duration::from_mins(1));
    }
}

#[tokio::test]
async fn a_replayed_mail_is_refused_after_an_hour_and_counts_as_old_before() {
    let owner = Signer::new();
    let authenticator = asking(dns::serve(owner.records()));
    let signed = owner.sign(MAIL, &["From", "To", "Subject", "Date"]);
    let verify = async |now| authenticator.verify(signed.as_bytes(), &Envelope::local(), now).await;
    let second = Duration::from_secs(1);
    assert_eq!(verify(written().after(AGE_MAX)).await.unwrap().written_at, Some(written()));
    assert_eq!(verify(written().after(AGE_MAX + second)).await, Err(NotAuthentic::Stale));
    assert_eq!(verify(written().before(AGE_MAX + second)).await, Err(NotAuthentic::Ahead));
}

#[tokio::test]
async fn a_domain_without_a_policy_and_a_key_that_is_revoked_prove_nothing() {
    let owner = Signer::new();
    let signed = owner.sign(MAIL, &["From", "To", "Subject", "Date"]);
    for (name, text, outcome) in [
        ("_dmarc.acme.example", "", NotAuthentic::NoPolicy),
        ("_dmarc.acme.example", "v=DMARC1", NotAuthentic::NoPolicy),
        ("_dmarc.acme.example", "v=spf1 -all", NotAuthentic::NoPolicy),
        ("s1._domainkey.acme.example", "v=DKIM1; k=ed25519; p=", NotAuthentic::NoKey),
        ("s1._domainkey.acme.example", "", NotAuthentic::NoKey),
    ] {
        let mut records = owner.records();
        match text {
            "" => drop(records.remove(name)),
            text => drop(records.insert(name.to_owned(), text.to_owned())),
        }
        let authenticator = asking(dns::serve(records));
        let verified = authenticator.verify(signed.as_bytes(), &Envelope::local(), now()).await;
        assert_eq!(verified, Err(outcome), "{name} {text:?}");
    }
}

#[tokio::test]
async fn a_signature_below_a_public_suffix_proves_nothing_of_its_neighbour() {
    // `gov.uk` publishes a policy for all below it, and is a public suffix.
    let owner = Signer { domain: "evil.gov.uk", ..Signer::new() };
    let mut records = owner.records();
    records.insert("_dmarc.gov.uk".to_owned(), "v=DMARC1; p=reject".to_owned());
    let authenticator = asking(dns::serve(records));
    let mail = MAIL.replace("no-reply@acme.example", "no-reply@tax.gov.uk");
    let signed = owner.sign(&mail, &["From", "To", "Subject", "Date"]);
    let verified = authenticator.verify(signed.as_bytes(), &Envelope::local(), now()).await;
    assert_eq!(verified, Err(NotAuthentic::Unsigned));
}

#[tokio::test]
async fn spf_proves_a_mail_that_a_server_of_its_sender_hands_over_and_no_other() {
    let owner = Signer::new();
    let authenticator = asking(dns::serve(owner.records()));
    let envelope = |peer: &str, helo: &str, sender: &str| Envelope {
        peer: peer.parse().unwrap(),
        handover: Handover::Relay,
        helo: helo.to_owned(),
        sender: sender.to_owned(),
    };
    let by_spf = Authentic { check: SenderCheck::Spf, written_at: Some(written()), covers_subject: true };
    for (peer, helo, sender, outcome) in [
        (SERVER, "mx.acme.example", "bounce@acme.example", Ok(by_spf)),
        (SERVER, "acme.example", "", Ok(by_spf)),
        ("203.0.113.9", "mx.acme.example", "bounce@acme.example", Err(NotAuthentic::Unsigned)),
        (SERVER, "mx.acme.example", "bounce@esp.example", Err(NotAuthentic::Unsigned)),
        (SERVER, "mx.acme.example", "", Err(NotAuthentic::Unsigned)),
        // SPF says nothing of the user's own forwarder, whatever a domain lets in.
        ("127.0.0.1", "mx.acme.example", "bounce@open.example", Err(NotAuthentic::Unsigned)),
        ("::1", "mx.acme.example", "bounce@open.example", Err(NotAuthentic::Unsigned)),
        ("192.168.1.2", "mx.acme.example", "bounce@open.example", Err(NotAuthentic::Unsigned)),
        ("::ffff:10.0.0.1", "mx.acme.example", "bounce@open.example", Err(NotAuthentic::Unsigned)),
    ] {
        let mail = if sender.ends_with("open.example") {
            MAIL.replace(DOMAIN, "open.example")
        } else {
            MAIL.to_owned()
        };
        let verified = authenticator.verify(mail.as_bytes(), &envelope(peer, helo, sender), now()).await;
        assert_eq!(verified, outcome, "{peer} {helo} {sender}");
    }
    // Nor of a server that delivers for the user, wherever it is.
    let delivered = Envelope {
        handover: Handover::Delivery,
        ..envelope(SERVER, "mx.acme.example", "bounce@acme.example")
    };
    let verified = authenticator.verify(MAIL.as_bytes(), &delivered, now()).await;
    assert_eq!(verified, Err(NotAuthentic::Unsigned));
    let handed_over = envelope(SERVER, "mx.acme.example", "bounce@acme.example");
    let kept_back = authenticator.verify(MAIL.as_bytes(), &handed_over, now().after(AGE_MAX * 2)).await;
    assert_eq!(kept_back, Err(NotAuthentic::Stale), "a server may hand over late what is not signed");
    let changed = owner.sign(MAIL, &["From", "Date"]).replace("482913", "771204");
    let verified = authenticator.verify(changed.as_bytes(), &handed_over, now()).await;
    assert_eq!(verified, Err(NotAuthentic::Changed), "where a signature is wrong, SPF does not make it good");
}

#[tokio::test]
async fn spf_is_asked_for_the_ipv4_address_of_a_peer_that_a_socket_of_ipv6_shows() {
    let mut records = Signer::new().records();
    records.insert(DOMAIN.to_owned(), "v=spf1 include:%{i}.spf.acme.example -all".to_owned());
    records.insert(format!("{SERVER}.spf.acme.example"), "v=spf1 +all".to_owned());
    let authenticator = asking(dns::serve(records));
    for peer in [SERVER.to_owned(), format!("::ffff:{SERVER}")] {
        let envelope = Envelope {
            peer: peer.parse().unwrap(),
            handover: Handover::Relay,
            helo: "mx.acme.example".to_owned(),
            sender: "bounce@acme.example".to_owned(),
        };
        let verified = authenticator.verify(MAIL.as_bytes(), &envelope, now()).await;
        assert_eq!(verified.map(|authentic| authentic.check), Ok(SenderCheck::Spf), "{peer}");
    }
}

#[tokio::test]
async fn the_results_of_another_server_are_believed_only_if_the_user_says_so() {
    let results = "Authentication-Results: mx.home.example; dmarc=pass header.from=acme.example\r\n";
    let raw = format!("{results}{MAIL}");
    let silent = Dns::Server(dns::serve(BTreeMap::new()));
    let trusting = Authenticator::new(silent, Some("mx.home.example".parse().unwrap())).unwrap();
    let believed = Authentic {
        check: SenderCheck::AuthenticationResults,
        written_at: Some(written()),
        covers_subject: true,
    };
    assert_eq!(trusting.verify(raw.as_bytes(), &Envelope::local(), now()).await, Ok(believed));
    // A peer elsewhere may have written them itself; one on a network of ours brings what our server wrote.
    for (peer, outcome) in [
        (SERVER, Err(NotAuthentic::Unsigned)),
        ("2001:db8::7", Err(NotAuthentic::Unsigned)),
        ("192.168.1.2", Ok(believed)),
    ] {
        let envelope = Envelope { peer: peer.parse().unwrap(), ..Envelope::local() };
        assert_eq!(trusting.verify(raw.as_bytes(), &envelope, now()).await, outcome, "{peer}");
    }
    let stale = trusting.verify(raw.as_bytes(), &Envelope::local(), now().after(AGE_MAX * 2)).await;
    assert_eq!(stale, Err(NotAuthentic::Stale));
    let partial = format!("{results}{}", Signer::new().sign(MAIL, &["From"]).replacen("d=", "l=9; d=", 1));
    let verified = trusting.verify(partial.as_bytes(), &Envelope::local(), now()).await;
    assert_eq!(verified, Err(NotAuthentic::Partial));
    let believing_nobody = Authenticator::new(silent, None).unwrap();
    let verified = believing_nobody.verify(raw.as_bytes(), &Envelope::local(), now()).await;
    assert_eq!(verified, Err(NotAuthentic::Unsigned));
}

#[tokio::test]
async fn trusted_results_make_no_mail_newer_than_its_signature_and_leave_no_choice_of_subjects() {
    let results = "Authentication-Results: mx.home.example; dmarc=pass header.from=acme.example\r\n";
    let silent = Dns::Server(dns::serve(BTreeMap::new()));
    let trusting = Authenticator::new(silent, Some("mx.home.example".parse().unwrap())).unwrap();
    let owner = Signer::new();
    let signed_at = clock::now();
    let later = signed_at.after(AGE_MAX / 2);
    let date = DateTime::from_timestamp(later.as_unix_ms() / 1_000).to_rfc822();
    let mail = MAIL.replace("Mon, 23 Nov 2026 09:14:05 +0000", &date);
    let doubled = mail.replace("Subject: ", "Subject: 771204\r\nSubject: ");
    let forged =
        "DKIM-Signature: v=1; a=rsa-sha256; d=acme.example; s=s1; h=from:subject:date; bh=YQ==; b=YQ==\r\n";
    let weak = "DKIM-Signature: v=1; a=rsa-sha1; d=acme.example; s=s1; h=from:date; bh=YQ==; b=YQ==\r\n";
    for (mail, is_as_new_as_it_says, covers_subject) in [
        (owner.sign(&mail, &["From", "Subject"]), false, true),
        (owner.sign(&mail, &["From", "Subject", "Date"]), true, true),
        (owner.sign(&mail, &["From", "Date"]), true, false),
        (owner.sign(&doubled, &["From", "Subject", "Date"]), true, false),
        (mail.clone(), true, true),
        (doubled, true, false),
        // Whichever of them the server has found good.
        (forged.repeat(4) + &owner.sign(&mail, &["From"]), false, false),
        (weak.to_owned() + &mail, true, false),
        ("X: a\r\n".repeat(1_000) + &owner.sign(&mail, &["From"]), false, false),
    ] {
        let raw = format!("{results}{mail}");
        let verified = trusting.verify(raw.as_bytes(), &Envelope::local(), later).await.unwrap();
        let written_at = verified.written_at.unwrap();
        assert_eq!(written_at.distance(later) < Duration::from_mins(1), is_as_new_as_it_says, "{mail}");
        assert_eq!(verified.covers_subject, covers_subject, "{mail}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_waits_for_a_dns_that_does_not_answer_and_is_refused_for_now() {
    // Nobody reads what comes to this socket.
    let silent = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let authenticator = asking(silent.local_addr().unwrap());
    let signed = Signer::new().sign(MAIL, &["From", "To", "Subject", "Date"]);
    let began = Instant::now();
    let verified = authenticator.verify(signed.as_bytes(), &Envelope::local(), now()).await;
    assert_eq!(verified, Err(NotAuthentic::NoAnswer));
    assert!(began.elapsed() <= WAIT_MAX);
}

#[derive(Deserialize)]
struct Row {
    file: String,
    expected: Option<String>,
    filter_service: Option<String>,
    release_for_filter: Option<bool>,
    auth: Option<Auth>,
}

/// What a label says of a mail's envelope, where it matters.
#[derive(Default, Clone, Deserialize)]
struct Auth {
    ip: Option<String>,
    mail_from: Option<String>,
}

impl Auth {
    fn envelope(self) -> Envelope {
        match (self.ip, self.mail_from) {
            (Some(ip), Some(sender)) => Envelope {
                peer: ip.parse().unwrap(),
                handover: Handover::Relay,
                helo: "mx.sender.example".to_owned(),
                sender,
            },
            _ => Envelope::local(),
        }
    }
}

/// The code that a request for this service would get out of the mail.
async fn released(
    authenticator: &Authenticator,
    raw: &[u8],
    envelope: &Envelope,
    service: &str,
) -> Option<String> {
    let Mail { from, text, .. } = mail::read(raw).ok()?;
    let authentic = authenticator.verify(raw, envelope, now()).await.ok()?;
    let pattern = SenderPattern::Domain(service.parse().unwrap());
    let sender = Sender::Address(from.parse().ok()?);
    let text = if authentic.covers_subject { text } else { text.without_subject() };
    let found = extract::code(&text, None, pattern.domain());
    let Extraction::Code(code, _) = found else { return None };
    pattern.admits(&sender).then(|| code.expose().to_owned())
}

/// Who signs for [`DOMAIN`].
struct Signer {
    domain: &'static str,
    key: Vec<u8>,
}

impl Signer {
    fn new() -> Self {
        Self { domain: DOMAIN, key: Ed25519Key::generate_pkcs8().unwrap() }
    }

    fn key(&self) -> Ed25519Key {
        Ed25519Key::from_pkcs8_der(&self.key).unwrap()
    }

    /// What the DNS says of the domain.
    fn records(&self) -> BTreeMap<String, String> {
        let public = BASE64.encode(&self.key().public_key());
        [
            (format!("s1._domainkey.{}", self.domain), format!("v=DKIM1; k=ed25519; p={public}")),
            (format!("_dmarc.{}", self.domain), "v=DMARC1; p=reject".to_owned()),
            (self.domain.to_owned(), format!("v=spf1 ip4:{SERVER} -all")),
            ("open.example".to_owned(), "v=spf1 +all".to_owned()),
            ("_dmarc.open.example".to_owned(), "v=DMARC1; p=none".to_owned()),
        ]
        .into()
    }

    /// The mail with a signature over its body and these headers.
    fn sign(&self, mail: &str, headers: &[&str]) -> String {
        let signature = DkimSigner::from_key(self.key())
            .domain(self.domain)
            .selector("s1")
            .headers(headers.iter().map(|header| (*header).to_owned()))
            .sign(mail.as_bytes())
            .unwrap();
        format!("{}{mail}", signature.to_header())
    }
}

fn asking(server: SocketAddr) -> Authenticator {
    Authenticator::new(Dns::Server(server), None).unwrap()
}

/// When the mails say that they were written: 2026-11-23T09:14:05Z.
fn written() -> Timestamp {
    "2026-11-23T09:14:05Z".parse().unwrap()
}

/// A few seconds later.
fn now() -> Timestamp {
    written().after(Duration::from_secs(5))
}

fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/eml").join(file)
}
