//! Every gateway's own delivery, whole, and with each of its octets bent.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_otp_domain::Channel;
use agent_otp_trust::SenderCheck;
use data_encoding::HEXUPPER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::header::{HeaderName, HeaderValue};
use sha2::Sha512;

use crate::desk::KEPT_FOR;

use super::super::certificates::{Certificate, NotFetched};
use super::super::fields;
use super::desk::{Desk, SIGNED_AT, Vector, copy};
use super::*;

/// The gateways that sign the text.
const COVERED: [&str; 6] =
    ["android-sms-gateway", "twilio", "telnyx", "vonage-messages", "vonage-sms-legacy", "aws-sns"];

/// Those that do not.
const NOT_COVERED: [&str; 5] =
    ["plivo", "httpsms", "smsforwarder-form", "smsforwarder-json-template", "incoming-sms-url-forwarder"];

/// The headers that something is signed or told by.
const SIGNED_HEADERS: [&str; 9] = [
    "x-signature",
    "x-timestamp",
    "x-twilio-signature",
    "telnyx-timestamp",
    "telnyx-signature-ed25519",
    "x-plivo-signature-v2",
    "x-plivo-signature-v2-nonce",
    "authorization",
    "x-capture-token",
];

#[test]
fn a_gateways_own_delivery_is_taken_with_its_sender_and_text() {
    for (providers, source) in [(&COVERED[..], "sms-webhook"), (&NOT_COVERED, "sms-webhook-unsigned")] {
        for provider in providers {
            let Vector { key, sender: expected, text, delivery } = Vector::of(provider);
            let mut desk = Desk::new();
            assert_eq!(desk.judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Taken, "{provider}");
            let message = desk.message().unwrap();
            let readings: Vec<&str> = message.text.readings().collect();
            // The form of SmsForwarder tells more behind the text.
            assert!(readings.len() == 1 && readings[0].starts_with(&text), "{provider}: {readings:?}");
            assert_eq!(Some(message.sender), sender(&expected), "{provider}");
            assert_eq!((message.channel, message.source), (Channel::Sms, source), "{provider}");
            assert_eq!(message.check, SenderCheck::Unverified);
            assert!(message.received_at <= SIGNED_AT && SIGNED_AT.since(message.received_at).as_secs() <= 2);
            assert!(message.id.is_some());
        }
    }
}

#[test]
fn a_delivery_that_is_played_again_is_taken_once_or_refused() {
    for provider in COVERED.into_iter().chain(NOT_COVERED) {
        let Vector { key, delivery, .. } = Vector::of(provider);
        let desk = Desk::new();
        assert_eq!(desk.judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Taken, "{provider}");
        assert_eq!(desk.judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Copy, "{provider}");
        let has_time = !matches!(provider, "twilio" | "plivo" | "incoming-sms-url-forwarder");
        let late_max = if provider == "aws-sns" { KEPT_FOR } else { OFF_MAX };
        for (off, now) in [
            ("behind", SIGNED_AT.after(late_max + Duration::from_secs(2))),
            ("ahead of", SIGNED_AT.before(Duration::from_secs(302))),
        ] {
            let told = desk.judge(&delivery, &key, now);
            if has_time {
                let told = told.unwrap_err().to_string();
                assert!(told.contains(off) && told.contains("set the clocks"), "{provider}: {told}");
            } else {
                assert_eq!(told.unwrap(), Outcome::Copy, "{provider}");
            }
        }
    }
}

#[test]
fn one_bit_that_is_bent_in_what_is_signed_breaks_the_signature() {
    let desk = Desk::new();
    for provider in COVERED.into_iter().chain(NOT_COVERED) {
        let Vector { key, delivery, .. } = Vector::of(provider);
        for at in signed_octets(provider, &delivery) {
            let mut bent = copy(&delivery);
            bent.body[at] ^= 1;
            desk.refuse(&bent, &key, &format!("{provider}, octet {at} of the body"));
        }
        for name in SIGNED_HEADERS {
            let Some(value) = delivery.header(name) else { continue };
            for at in 0..value.len() {
                let mut octets = value.as_bytes().to_vec();
                octets[at] ^= 1;
                let mut bent = copy(&delivery);
                bent.headers.insert(HeaderName::from_static(name), octets.as_slice().try_into().unwrap());
                desk.refuse(&bent, &key, &format!("{provider}, octet {at} of {name}"));
            }
        }
        desk.refuse(&delivery, &format!("{key}0"), "another key");
        desk.refuse(&delivery, "another key\nvonage = another\nplivo = another\nhttpsms = another", provider);
        desk.refuse(&delivery, "", "no key");
    }
}

#[test]
fn a_delivery_whose_text_is_not_signed_is_taken_at_the_secret_path_alone() {
    for provider in NOT_COVERED {
        let Vector { key, mut delivery, .. } = Vector::of(provider);
        delivery.is_at_secret_path = false;
        let refused = Desk::new().judge(&delivery, &key, SIGNED_AT).unwrap_err();
        assert!(
            refused.to_string().contains("does not sign the text; deliver to /sms/"),
            "{provider}: {refused}"
        );
    }
    for provider in COVERED {
        let Vector { key, mut delivery, .. } = Vector::of(provider);
        delivery.is_at_secret_path = false;
        assert_eq!(Desk::new().judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Taken, "{provider}");
    }
}

#[test]
fn a_signature_that_does_not_cover_the_text_is_good_for_one_message() {
    let Vector { key, delivery, .. } = Vector::of("plivo");
    let desk = Desk::new();
    assert_eq!(desk.judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Taken);
    let mut other = copy(&delivery);
    let body = String::from_utf8(other.body.to_vec()).unwrap();
    other.body = Zeroizing::new(body.replace("MessageUUID=db34", "MessageUUID=db35").into_bytes());
    assert!(matches!(desk.judge(&other, &key, SIGNED_AT), Err(Refusal::Replayed)));
}

#[test]
fn what_another_path_or_host_was_signed_for_is_refused() {
    for provider in ["plivo", "httpsms", "twilio"] {
        for target in ["/hook/plivo", "/hook/other", "/"] {
            let Vector { key, mut delivery, .. } = Vector::of(provider);
            target.clone_into(&mut delivery.target);
            Desk::new().refuse(&delivery, &key, provider);
        }
        let Vector { key, mut delivery, .. } = Vector::of(provider);
        delivery.headers.insert("host", "evil.example".parse().unwrap());
        Desk::new().refuse(&delivery, &key, provider);
    }
}

#[test]
fn a_field_or_a_header_that_is_there_twice_is_none() {
    for provider in ["vonage-sms-legacy", "smsforwarder-json-template", "telnyx", "aws-sns"] {
        let Vector { key, mut delivery, .. } = Vector::of(provider);
        let body = String::from_utf8(delivery.body.to_vec()).unwrap();
        let doubled = body.replacen('{', "{\"text\":\"Your code is 111111\",\"sig\":\"\",\"sign\":\"\",", 1);
        delivery.body = Zeroizing::new(doubled.into_bytes());
        if provider == "aws-sns" {
            // What is not signed and not known says nothing.
            assert_eq!(Desk::new().judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Taken);
        } else {
            Desk::new().refuse(&delivery, &key, provider);
        }
    }
    for provider in ["plivo", "smsforwarder-form"] {
        let Vector { key, mut delivery, .. } = Vector::of(provider);
        delivery.body.extend_from_slice(b"&From=111111&from=111111&sign=");
        let judged = Desk::new().judge(&delivery, &key, SIGNED_AT);
        assert!(judged.is_err(), "{provider}: {judged:?}");
    }
    for name in SIGNED_HEADERS {
        for provider in COVERED.into_iter().chain(NOT_COVERED) {
            let Vector { key, mut delivery, .. } = Vector::of(provider);
            let Some(value) = delivery.headers.get(name).cloned() else { continue };
            delivery.headers.append(name, value);
            Desk::new().refuse(&delivery, &key, provider);
        }
    }
}

#[test]
fn the_encrypted_text_of_httpsms_is_refused_with_the_next_step() {
    let Vector { key, mut delivery, .. } = Vector::of("httpsms");
    let body = String::from_utf8(delivery.body.to_vec()).unwrap();
    delivery.body = Zeroizing::new(body.replace("\"encrypted\":false", "\"encrypted\":true").into_bytes());
    let refused = Desk::new().judge(&delivery, &key, SIGNED_AT).unwrap_err();
    insta::assert_snapshot!(refused, @"the delivery cannot be read: its text is encrypted with a key that only the phone has; switch the encryption of received messages off in the httpSMS app");
}

#[test]
fn a_weaker_signature_than_is_taken_is_refused_with_what_to_choose() {
    let Vector { key, mut delivery, .. } = Vector::of("aws-sns");
    let body = String::from_utf8(delivery.body.to_vec()).unwrap();
    let older = body.replace("\"SignatureVersion\":\"2\"", "\"SignatureVersion\":\"1\"");
    delivery.body = Zeroizing::new(older.into_bytes());
    insta::assert_snapshot!(Desk::new().judge(&delivery, &key, SIGNED_AT).unwrap_err(), @"no key of the user made this signature; set the attribute SignatureVersion of the topic to 2, which signs with SHA-256");
    let Vector { key, mut delivery, .. } = Vector::of("vonage-sms-legacy");
    let body = String::from_utf8(delivery.body.to_vec()).unwrap();
    let at = body.find("1EC256174").unwrap();
    let weaker = format!("{}0123456789abcdef0123456789ABCDEF{}", &body[..at], &body[at + 64..]);
    delivery.body = Zeroizing::new(weaker.into_bytes());
    insta::assert_snapshot!(Desk::new().judge(&delivery, &key, SIGNED_AT).unwrap_err(), @"no key of the user made this signature; choose SHA-256 HMAC as the signature method in the settings of the Vonage account");
}

#[test]
fn a_message_of_sns_that_comes_late_is_taken_as_long_as_one_is_kept_and_is_as_old_as_it_is() {
    let Vector { key, delivery, .. } = Vector::of("aws-sns");
    let published_at = SIGNED_AT.after(Duration::from_millis(123));
    let ms = Duration::from_millis(1);
    let mut desk = Desk::new();
    assert_eq!(desk.judge(&delivery, &key, published_at.after(KEPT_FOR)).unwrap(), Outcome::Taken);
    assert_eq!(desk.message().unwrap().received_at, published_at);
    let later = published_at.after(KEPT_FOR + ms);
    insta::assert_snapshot!(Desk::new().judge(&delivery, &key, later).unwrap_err(), @"the time of its signature is 601 s behind this machine's clock, and at most 600 s are allowed; set the clocks, and let the gateway sign anew");
    let earlier = published_at.before(OFF_MAX + ms);
    assert!(matches!(
        Desk::new().judge(&delivery, &key, earlier),
        Err(Refusal::Clock { is_ahead: true, .. })
    ));
}

#[test]
fn a_subscription_is_answered_and_left_to_the_user() {
    let Vector { key, delivery, .. } = Vector::of("aws-sns-subscription");
    let mut desk = Desk::new();
    assert_eq!(desk.judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Subscription);
    assert!(desk.message().is_none());
    for at in 0..delivery.body.len() {
        let mut bent = copy(&delivery);
        bent.body[at] ^= 1;
        desk.refuse(&bent, &key, &format!("octet {at} of the body"));
    }
    desk.refuse(&delivery, "aws-sns = arn:aws:sns:eu-west-1:123456789012:other", "another topic");
}

#[test]
fn what_a_body_is_called_changes_nothing_that_a_signature_covers() {
    for content_type in ["application/json", "application/x-www-form-urlencoded", "text/plain", "\u{ff}", ""]
    {
        for provider in COVERED.into_iter().chain(NOT_COVERED) {
            let Vector { key, mut delivery, .. } = Vector::of(provider);
            let is_form = fields::is_form(&delivery.headers);
            let value = HeaderValue::from_bytes(content_type.as_bytes()).unwrap();
            delivery.headers.insert("content-type", value);
            let is_read_alike = fields::is_form(&delivery.headers) == is_form;
            let reads_raw = matches!(
                provider,
                "android-sms-gateway"
                    | "telnyx"
                    | "vonage-messages"
                    | "aws-sns"
                    | "httpsms"
                    | "incoming-sms-url-forwarder"
            );
            let judged = Desk::new().judge(&delivery, &key, SIGNED_AT);
            assert_eq!(judged.is_ok(), is_read_alike || reads_raw, "{provider} {content_type}: {judged:?}");
        }
    }
}

#[test]
fn a_part_of_a_long_message_is_not_taken() {
    let fields = [
        ("concat", "true"),
        ("concat-part", "1"),
        ("message-timestamp", "2026-11-23 09:14:05"),
        ("messageId", "1"),
        ("msisdn", "447700900001"),
        ("text", "Your code is 4829"),
        ("timestamp", "1795425245"),
        ("type", "text"),
    ];
    let signed = fields.map(|(name, value)| format!("&{name}={value}")).concat();
    let mac = Hmac::<Sha512>::new_from_slice(b"secret").unwrap().chain_update(signed);
    let sig = HEXUPPER.encode(&mac.finalize().into_bytes());
    let mut form = form_urlencoded::Serializer::new(String::new());
    let form = form.extend_pairs(fields).append_pair("sig", &sig).finish();
    let mut delivery = Delivery::empty();
    delivery.headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    delivery.body = Zeroizing::new(form.into_bytes());
    assert_eq!(Desk::new().judge(&delivery, "vonage = secret", SIGNED_AT).unwrap(), Outcome::Part);
}

#[tokio::test]
async fn a_certificate_is_fetched_from_aws_once_and_for_the_users_topic_alone() {
    let Vector { key, mut delivery, .. } = Vector::of("aws-sns");
    let pem = pem();
    delivery.certificate = None;
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetched);
    let mut desk = Desk::new();
    desk.endpoint.certificates = Certificates::new(Box::new(move |url| {
        counter.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            url.to_string(),
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0000000000000000000000.pem"
        );
        let pem = pem.clone();
        Box::pin(async move { Ok(pem.into_bytes()) })
    }));
    let keys = KeySet::parse(key.as_bytes()).unwrap();
    for _ in 0..3 {
        delivery.certificate = desk.endpoint.certificate(&delivery, &keys).await.unwrap();
        assert!(delivery.certificate.is_some());
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    assert_eq!(desk.judge(&delivery, &key, SIGNED_AT).unwrap(), Outcome::Taken);
    let other = KeySet::parse(b"aws-sns = arn:aws:sns:eu-west-1:123456789012:other").unwrap();
    assert!(desk.endpoint.certificate(&delivery, &other).await.unwrap().is_none());
    let elsewhere = [
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://sns.evil.example/a.pem",
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com/../a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?b",
        "https://sns.eu-west-1.amazonaws.com/a",
        "https://sns.eu.west.amazonaws.com/a.pem",
        "https://s3.amazonaws.com/a.pem",
    ];
    for url in elsewhere {
        let body = String::from_utf8(delivery.body.to_vec()).unwrap();
        let at = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0000000000000000000000.pem";
        let mut bent = copy(&delivery);
        bent.body = Zeroizing::new(body.replace(at, url).into_bytes());
        bent.certificate = desk.endpoint.certificate(&bent, &keys).await.unwrap();
        assert!(bent.certificate.is_none(), "{url}");
        desk.refuse(&bent, &key, url);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_cannot_be_fetched_is_asked_for_again_after_a_pause() {
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetched);
    let certificates = Certificates::new(Box::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Err(NotFetched("it rains".to_owned())) })
    }));
    let url = || "https://sns.eu-west-1.amazonaws.com/a.pem".parse().unwrap();
    for expected in ["it rains", "another one could not be fetched a moment ago"] {
        assert_eq!(certificates.at(url()).await.unwrap_err().to_string(), expected);
    }
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(certificates.at(url()).await.unwrap_err().to_string(), "it rains");
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

/// The certificate that a vector was signed with, as if it had been fetched.
pub(super) fn certificate(delivery: &Delivery, pem: &str) -> Arc<Certificate> {
    let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
    let url = body["SigningCertURL"].as_str().unwrap().parse().unwrap();
    Arc::new(Certificate::read(url, pem.as_bytes()).unwrap())
}

fn pem() -> String {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/data/sms_webhooks.json")).unwrap();
    let vector = vectors.as_array().unwrap().iter().find(|vector| vector["provider"] == "aws-sns").unwrap();
    vector["certificate"].as_str().unwrap().to_owned()
}

/// The octets of the body that the gateway has signed.
fn signed_octets(provider: &str, delivery: &Delivery) -> Vec<usize> {
    let body = String::from_utf8(delivery.body.to_vec()).unwrap();
    let span = |from: &str, to: &str| -> Range<usize> {
        let start = body.find(from).unwrap() + from.len();
        start..start + body[start..].find(to).unwrap()
    };
    match provider {
        // AWS does not sign where to unsubscribe; nothing reads it.
        "aws-sns" => {
            let unsigned = span("\"UnsubscribeU", ",\"Signature\"");
            (0..body.len()).filter(|at| !(unsigned.start - 13..=unsigned.end).contains(at)).collect()
        }
        "smsforwarder-form" => {
            span("&timestamp=", "&").chain(body.find("&sign=").unwrap() + 6..body.len()).collect()
        }
        "smsforwarder-json-template" => {
            span("\"timestamp\":\"", "\"").chain(span("\"sign\":\"", "\"")).collect()
        }
        "plivo" | "httpsms" | "incoming-sms-url-forwarder" => Vec::new(),
        _ => (0..body.len()).collect(),
    }
}
