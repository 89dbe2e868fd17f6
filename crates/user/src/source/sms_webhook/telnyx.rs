//! A number at Telnyx, with a webhook in its messaging profile.
//!
//! `telnyx-signature-ed25519` is the base64 of an Ed25519 signature, by the account's key, over `telnyx-timestamp`, a `|`
//! and the raw body (the portal's public key; `webhook_verification.py` of its package `telnyx`).

use agent_otp_domain::Timestamp;
use data_encoding::BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::gateway::{Gateway, Said, Signed, Sms, Unreadable};

/// The event of a message that came in.
const RECEIVED: &str = "message.received";

/// The gateway.
#[derive(Debug)]
pub(super) struct Telnyx;

#[derive(Deserialize)]
struct Event {
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    event_type: String,
}

/// An event of [`RECEIVED`].
#[derive(Deserialize)]
struct Received {
    data: ReceivedData,
}

#[derive(Deserialize)]
struct ReceivedData {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    id: String,
    from: From,
    text: String,
    r#type: String,
    received_at: String,
}

#[derive(Deserialize)]
struct From {
    phone_number: String,
}

impl Gateway for Telnyx {
    fn name(&self) -> &'static str {
        "telnyx"
    }

    fn check_key(&self, key: &[u8]) -> Result<(), &'static str> {
        public_key(key).map(drop).ok_or("the key of telnyx is its public key: 44 characters of base64")
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        delivery.headers.contains_key("telnyx-signature-ed25519")
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let signature = BASE64.decode(delivery.header("telnyx-signature-ed25519")?.as_bytes()).ok()?;
        let signature = Signature::from_slice(&signature).ok()?;
        let timestamp = delivery.header("telnyx-timestamp")?;
        let mut signed = Zeroizing::new(Vec::with_capacity(timestamp.len() + 1 + delivery.body.len()));
        signed.extend_from_slice(timestamp.as_bytes());
        signed.push(b'|');
        signed.extend_from_slice(&delivery.body);
        public_key(key)?.verify_strict(&signed, &signature).ok()?;
        let seconds: i64 = timestamp.parse().ok()?;
        Some(Signed::At(Timestamp::from_unix_ms(seconds.saturating_mul(1_000))))
    }

    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let Event { data } =
            serde_json::from_slice(&delivery.body).map_err(|_| Unreadable("its body is no event in JSON"))?;
        if data.event_type != RECEIVED {
            return Ok(Said::Nothing);
        }
        let Received { data } = serde_json::from_slice(&delivery.body)
            .map_err(|_| Unreadable("its event message.received lacks a field, or has another type in it"))?;
        let Payload { id, from, text, r#type, received_at } = data.payload;
        let text = Zeroizing::new(text);
        if r#type != "SMS" {
            return Ok(Said::Nothing);
        }
        let received_at =
            received_at.parse().map_err(|_| Unreadable("its received_at is no time of RFC 3339"))?;
        Ok(Said::Sms(Sms { id, sender: from.phone_number, text, received_at: Some(received_at) }))
    }
}

fn public_key(base64: &[u8]) -> Option<VerifyingKey> {
    let key: [u8; 32] = BASE64.decode(base64).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&key).ok().filter(|key| !key.is_weak())
}
