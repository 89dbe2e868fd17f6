//! What is said of a phone's and of Twilio's deliveries, whole and bent, at any time that is wanted.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::HeaderMap;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use super::desk::{Desk, SIGNED_AT, Vector, copy};
use super::*;

const KEY: &str = "a key of the user";

#[test]
fn a_body_that_is_no_form_is_bound_by_its_digest_in_the_url() {
    let mut vector = Vector::of("twilio-json");
    assert_eq!(Desk::new().judge(&vector.delivery, &vector.key, SIGNED_AT).unwrap(), Outcome::NoSms);
    vector.delivery.body[0] ^= 1;
    assert!(matches!(Desk::new().judge(&vector.delivery, &vector.key, SIGNED_AT), Err(Refusal::Forged)));
}

#[test]
fn each_part_of_the_url_is_signed_by_twilio() {
    let desk = Desk::new();
    let Vector { key, delivery, .. } = Vector::of("twilio");
    let with = |host: &str, target: &str| {
        let mut bent = copy(&delivery);
        bent.headers.insert("host", host.parse().unwrap());
        target.clone_into(&mut bent.target);
        bent
    };
    assert!(desk.judge(&with("capture.example", "/hook/twilio?src=1"), &key, SIGNED_AT).is_ok());
    let hosts =
        ["capture.example.evil.example", "capture.exampl", "Capture.example", "127.0.0.1:8080", "a b", ""];
    for host in hosts {
        desk.refuse(&with(host, "/hook/twilio?src=1"), &key, host);
    }
    for target in ["/hook/twilio", "/hook/twilio?src=2", "/hook/twilio?src=1&", "/hook/twili?src=1", "/"] {
        desk.refuse(&with("capture.example", target), &key, target);
    }
}

#[test]
fn the_url_that_twilio_called_is_found_behind_any_proxy() {
    let url = |host: &str| format!("{host}/sms?src=1");
    let table = [
        ("https://capture.example", vec![("host", "capture.example")]),
        ("http://capture.example", vec![("host", "capture.example")]),
        ("https://capture.example:443", vec![("host", "capture.example")]),
        ("http://capture.example:80", vec![("host", "capture.example")]),
        ("https://capture.example", vec![("host", "capture.example:443")]),
        ("https://capture.example:8443", vec![("host", "capture.example:8443")]),
        (
            "https://capture.example",
            vec![("host", "127.0.0.1:2580"), ("x-forwarded-host", "capture.example")],
        ),
        ("https://a.example", vec![("host", "127.0.0.1:2580"), ("x-forwarded-host", "a.example, b.example")]),
        ("https://a.example", vec![("host", "a.example"), ("x-forwarded-host", "localhost")]),
        ("http://[::1]:8080", vec![("host", "[::1]:8080")]),
    ];
    for (origin, headers) in table {
        let delivery = twilio(&url(origin), "MessageSid=SM1&From=GitHub&Body=482913", &headers);
        let outcome = Desk::new().judge(&delivery, KEY, SIGNED_AT);
        assert_eq!(outcome.unwrap(), Outcome::Taken, "{origin} {headers:?}");
    }
    let mut rewritten =
        twilio(&url("https://capture.example/hook"), "MessageSid=SM1&From=GitHub&Body=1", &[("host", "a")]);
    rewritten.target = "/sms?src=1".to_owned();
    let desk = Desk::new();
    desk.refuse(&rewritten, KEY, "the proxy tells neither host nor path");
    rewritten.public_urls =
        vec!["https://other.example".to_owned(), "https://capture.example/hook".to_owned()];
    assert_eq!(desk.judge(&rewritten, KEY, SIGNED_AT).unwrap(), Outcome::Taken);
    let elsewhere = twilio(
        &url("https://b.example"),
        "MessageSid=SM1&From=GitHub&Body=1",
        &[("x-forwarded-host", "a.example, b.example")],
    );
    Desk::new().refuse(&elsewhere, KEY, "not the first host");
}

#[test]
fn a_message_of_vonage_that_lacks_its_signature_is_to_come_again_where_the_user_has_a_key_for_it() {
    let Vector { key, mut delivery, .. } = Vector::of("vonage-messages");
    delivery.headers.remove("authorization");
    let desk = Desk::new();
    let judged = desk.judge(&delivery, &key, SIGNED_AT);
    assert!(matches!(judged, Err(Refusal::SignatureLeftOut)), "{judged:?}");
    assert_eq!(Answer::from(Refusal::SignatureLeftOut).status(), 503);
    let judged = desk.judge(&delivery, "twilio = a", SIGNED_AT);
    assert!(matches!(judged, Err(Refusal::Unsigned)), "{judged:?}");
    delivery.body = Zeroizing::new(b"{\"channel\": \"sms\"}".to_vec());
    desk.refuse(&delivery, &key, "not of its form");
}

#[test]
fn fields_that_are_there_twice_are_signed_sorted_and_once() {
    // As `validateRequest` of the npm package twilio has it.
    let body = "MessageSid=SM1&b=2&From=GitHub&b=1&Body=482913&b=2";
    let signed = "https://capture.example/smsBody482913FromGitHubMessageSidSM1b1b2";
    let mut delivery = twilio("https://capture.example/sms", body, &[("host", "capture.example")]);
    delivery.headers.insert("x-twilio-signature", sha1(KEY, signed).parse().unwrap());
    assert_eq!(Desk::new().judge(&delivery, KEY, SIGNED_AT).unwrap(), Outcome::Taken);
}

#[test]
fn a_delivery_is_taken_within_five_minutes_of_its_signature_and_not_beyond() {
    let off = |ms: i64| {
        let now = Timestamp::from_unix_ms(SIGNED_AT.as_unix_ms() + ms);
        let Vector { key, delivery, .. } = Vector::of("android-sms-gateway");
        Desk::new().judge(&delivery, &key, now)
    };
    for within in [0, 300_000, -300_000] {
        assert_eq!(off(within).unwrap(), Outcome::Taken, "{within} ms");
    }
    insta::assert_snapshot!(off(300_001).unwrap_err(), @"the time of its signature is 301 s behind this machine's clock, and at most 300 s are allowed; set the clocks, and let the gateway sign anew");
    insta::assert_snapshot!(off(-7_200_000).unwrap_err(), @"the time of its signature is 7200 s ahead of this machine's clock, and at most 300 s are allowed; set the clocks, and let the gateway sign anew");
    for timestamp in ["", "soon", "1795425245.0", "99999999999999999999"] {
        let delivery = android(&event(), timestamp);
        Desk::new().refuse(&delivery, KEY, timestamp);
    }
    let delivery = android(&event(), &i64::MAX.to_string());
    assert!(matches!(
        Desk::new().judge(&delivery, KEY, SIGNED_AT),
        Err(Refusal::Clock { is_ahead: true, .. })
    ));
}

#[test]
fn what_the_phone_received_long_ago_is_old_and_what_it_will_receive_is_new() {
    let table = [
        ("2026-11-23T09:14:05Z", 0),
        ("2026-11-23T09:14:00.250+00:00", -4_750),
        ("2026-11-23T10:04:05.000+01:00", -600_000),
        ("2026-11-20T09:14:05.000Z", -259_200_000),
        ("1970-01-01T00:00:00Z", -1_795_425_245_000),
        ("2026-11-23T09:14:06Z", 0),
        ("2999-01-01T00:00:00Z", 0),
    ];
    for (received_at, ms) in table {
        let mut event = event();
        event["payload"]["receivedAt"] = received_at.into();
        let mut desk = Desk::new();
        desk.judge(&android(&event, "1795425245"), KEY, SIGNED_AT).unwrap();
        let received_at = desk.message().unwrap().received_at;
        assert_eq!(received_at.as_unix_ms() - SIGNED_AT.as_unix_ms(), ms, "{received_at}");
    }
}

#[test]
fn what_is_no_text_message_that_came_in_is_signed_for_and_ignored() {
    for name in
        ["sms:sent", "sms:delivered", "sms:failed", "sms:data-received", "mms:received", "system:ping"]
    {
        for payload in [json!({ "health": { "status": "pass" } }), event()["payload"].clone()] {
            let event = json!({ "id": "1", "event": name, "payload": payload });
            let outcome = Desk::new().judge(&android(&event, "1795425245"), KEY, SIGNED_AT);
            assert_eq!(outcome.unwrap(), Outcome::NoSms, "{name}");
        }
    }
    for body in [
        "MessageSid=SM1&MessageStatus=delivered&From=GitHub&To=%2B34600111222",
        "MessageSid=SM1&SmsStatus=received&NumMedia=1&MediaUrl0=https://a.example&From=GitHub&Body=482913",
        "CallSid=CA1&From=%2B34600111222",
        "",
    ] {
        assert_eq!(of_twilio(body).unwrap(), Outcome::NoSms, "{body}");
    }
}

#[test]
fn what_is_signed_but_cannot_be_read_says_why_without_its_content() {
    let without = |field: &str| {
        let mut event = event();
        event["payload"].as_object_mut().unwrap().remove(field);
        event
    };
    let with = |field: &str, value: Value| {
        let mut event = event();
        event["payload"][field] = value;
        event
    };
    let mut nameless = event();
    nameless.as_object_mut().unwrap().remove("id");
    let table = [
        (json!("482913"), "its body is no event in JSON"),
        (json!({ "id": "482913" }), "its body is no event in JSON"),
        (nameless, "its event sms:received lacks a field, or has another type in it"),
        (
            json!({ "id": "1", "event": "sms:received" }),
            "its event sms:received lacks a field, or has another type in it",
        ),
        (without("message"), "its event sms:received lacks a field, or has another type in it"),
        (with("message", json!(482_913)), "its event sms:received lacks a field, or has another type in it"),
        (without("sender"), "it names no sender"),
        (without("receivedAt"), "its event sms:received lacks a field, or has another type in it"),
        (with("receivedAt", json!("482913")), "its receivedAt is no time of RFC 3339"),
    ];
    for (event, why) in table {
        let refused = Desk::new().judge(&android(&event, "1795425245"), KEY, SIGNED_AT).unwrap_err();
        assert_eq!(refused.to_string(), format!("the delivery cannot be read: {why}"), "{event}");
    }
    let mut tail = event().to_string();
    tail.push_str("{}");
    let refused = Desk::new().judge(&signed(&tail, "1795425245"), KEY, SIGNED_AT).unwrap_err();
    assert_eq!(refused.to_string(), "the delivery cannot be read: its body is no event in JSON");
    for (body, why) in [
        ("MessageSid=SM1&From=GitHub", "it has no text (Body)"),
        ("MessageSid=SM1&Body=482913", "it names no sender (From)"),
    ] {
        let refused = of_twilio(body).unwrap_err();
        assert_eq!(refused.to_string(), format!("the delivery cannot be read: {why}"), "{body}");
    }
}

#[test]
fn a_sender_is_a_number_or_a_sender_id_as_requests_name_them() {
    let number = |text: &str| Some(Sender::Number(text.parse().unwrap()));
    let id = |text: &str| Some(Sender::SenderId(text.parse().unwrap()));
    let table = [
        ("+15551234567", number("+15551234567")),
        ("22395", number("22395")),
        ("262966", number("262966")),
        ("GitHub", id("github")),
        ("AX-HDFCBK", id("AX-HDFCBK")),
        ("5551234567", None),
        ("whatsapp:+15551234567", None),
        ("a sender with a long name", None),
        ("Müller", None),
        ("", None),
    ];
    for (text, expected) in table {
        let mut event = event();
        event["payload"]["sender"] = text.into();
        let mut desk = Desk::new();
        let outcome = desk.judge(&android(&event, "1795425245"), KEY, SIGNED_AT).unwrap();
        assert_eq!(outcome, if expected.is_some() { Outcome::Taken } else { Outcome::NoSender }, "{text}");
        assert_eq!(desk.message().map(|message| message.sender), expected, "{text}");
    }
    let mut old = event();
    let payload = old["payload"].as_object_mut().unwrap();
    payload.remove("sender");
    payload.insert("phoneNumber".to_owned(), json!("+15551234567"));
    let mut desk = Desk::new();
    desk.judge(&android(&old, "1795425245"), KEY, SIGNED_AT).unwrap();
    assert_eq!(desk.message().map(|message| message.sender), number("+15551234567"));
}

#[test]
fn a_message_is_taken_once_however_often_it_is_delivered() {
    let mut desk = Desk::new();
    assert_eq!(desk.judge(&android(&event(), "1795425245"), KEY, SIGNED_AT).unwrap(), Outcome::Taken);
    // Delivered again it is signed anew; the same text in another event is another message.
    assert_eq!(desk.judge(&android(&event(), "1795425250"), KEY, SIGNED_AT).unwrap(), Outcome::Copy);
    let mut other = event();
    other["id"] = "2".into();
    assert_eq!(desk.judge(&android(&other, "1795425250"), KEY, SIGNED_AT).unwrap(), Outcome::Taken);
    // The same id at another gateway is another message as well.
    let twilio = twilio("https://a.example/sms", "MessageSid=1&From=GitHub&Body=1", &[("host", "a.example")]);
    assert_eq!(desk.judge(&twilio, KEY, SIGNED_AT).unwrap(), Outcome::Taken);
    let ids: Vec<_> = std::iter::from_fn(|| desk.message()?.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids[0] != ids[1] && ids[0] != ids[2]);
}

#[test]
fn a_message_that_was_put_off_is_taken_when_it_comes_again() {
    let mut desk = Desk::new();
    let numbered = |number: usize| {
        let mut event = event();
        event["id"] = number.to_string().into();
        android(&event, "1795425245")
    };
    for number in 0..64 {
        assert_eq!(desk.judge(&numbered(number), KEY, SIGNED_AT).unwrap(), Outcome::Taken);
    }
    assert!(matches!(desk.judge(&numbered(64), KEY, SIGNED_AT), Err(Refusal::Busy)));
    desk.message().unwrap();
    assert_eq!(desk.judge(&numbered(64), KEY, SIGNED_AT).unwrap(), Outcome::Taken);
}

#[test]
fn any_key_may_sign_and_one_that_is_gone_may_not() {
    let delivery = android(&event(), "1795425245");
    let judge = |keys: [&str; 2]| Desk::new().judge(&delivery, &keys.join("\n"), SIGNED_AT).is_ok();
    assert!(judge(["other", KEY]) && judge([KEY, "other"]) && !judge(["other", "another"]));
}

#[test]
fn a_delivery_without_a_gateways_signature_says_what_would_be_one() {
    let mut delivery = android(&event(), "1795425245");
    delivery.headers.clear();
    let refused = Desk::new().judge(&delivery, KEY, SIGNED_AT).unwrap_err();
    insta::assert_snapshot!(refused, @"no signature of a gateway that is known; docs/sources/sms.md says which there are, and what each has to be told");
}

/// What a phone tells of a text message.
fn event() -> Value {
    json!({
        "id": "1",
        "event": "sms:received",
        "payload": { "message": "Your code is 482913", "sender": "GitHub", "receivedAt": "2026-11-23T09:14:05Z" },
    })
}

/// A phone's delivery.
fn android(event: &Value, timestamp: &str) -> Delivery {
    signed(&event.to_string(), timestamp)
}

fn signed(body: &str, timestamp: &str) -> Delivery {
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    let signature = mac.chain_update(body).chain_update(timestamp).finalize().into_bytes();
    let mut headers = HeaderMap::new();
    headers.insert("x-signature", HEXLOWER.encode(&signature).parse().unwrap());
    headers.insert("x-timestamp", timestamp.parse().unwrap());
    Delivery { headers, body: Zeroizing::new(body.as_bytes().to_vec()), ..Delivery::empty() }
}

/// Twilio's delivery to this URL, its form without repeated fields, and what proxies made of its headers.
fn twilio(url: &str, form: &str, proxied: &[(&'static str, &str)]) -> Delivery {
    let mut fields: Vec<String> =
        form_urlencoded::parse(form.as_bytes()).map(|(name, value)| format!("{name}{value}")).collect();
    fields.sort();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/x-www-form-urlencoded; charset=UTF-8".parse().unwrap());
    headers.insert("x-twilio-signature", sha1(KEY, &(url.to_owned() + &fields.concat())).parse().unwrap());
    for &(name, value) in proxied {
        headers.insert(name, value.parse().unwrap());
    }
    let url: hyper::Uri = url.parse().unwrap();
    let body = Zeroizing::new(form.as_bytes().to_vec());
    Delivery { target: url.path_and_query().unwrap().to_string(), headers, body, ..Delivery::empty() }
}

fn of_twilio(form: &str) -> Result<Outcome, Refusal> {
    Desk::new().judge(&twilio("https://a.example/sms", form, &[("host", "a.example")]), KEY, SIGNED_AT)
}

fn sha1(key: &str, text: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    BASE64.encode(&mac.chain_update(text).finalize().into_bytes())
}
