//! A phone with SMS Gateway for Android (capcom6/android-sms-gateway), local or through its cloud.
//!
//! `X-Signature` is the lower-case hexadecimal HMAC-SHA256 of the raw body with `X-Timestamp` behind it: Unix seconds, new
//! for each attempt (its `PayloadSigningPlugin.kt`, and its documentation on webhooks).

use agent_otp_domain::Timestamp;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::gateway::{Gateway, Said, Signed, Sms, Unreadable};

/// The event of a text message that came in.
const RECEIVED: &str = "sms:received";

/// The gateway.
#[derive(Debug)]
pub(super) struct Android;

/// What every event begins with.
#[derive(Deserialize)]
struct Event {
    event: String,
}

/// An event of [`RECEIVED`].
#[derive(Deserialize)]
struct Received {
    /// Names the event: the message's own id is made of its content, and is not unique.
    id: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    message: String,
    sender: Option<String>,
    /// What older versions call the sender.
    phone_number: Option<String>,
    received_at: String,
}

impl Gateway for Android {
    fn name(&self) -> &'static str {
        "android-sms-gateway"
    }

    fn takes_nameless_keys(&self) -> bool {
        true
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        delivery.headers.contains_key("x-signature")
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let signature = HEXLOWER.decode(delivery.header("x-signature")?.as_bytes()).ok()?;
        let timestamp = delivery.header("x-timestamp")?;
        let mac = Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(&delivery.body);
        mac.chain_update(timestamp).verify_slice(&signature).ok()?;
        let seconds: i64 = timestamp.parse().ok()?;
        Some(Signed::At(Timestamp::from_unix_ms(seconds.saturating_mul(1_000))))
    }

    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        // An error of the parser may quote what it found.
        let Event { event } =
            serde_json::from_slice(&delivery.body).map_err(|_| Unreadable("its body is no event in JSON"))?;
        if event != RECEIVED {
            return Ok(Said::Nothing);
        }
        let Received { id, payload } = serde_json::from_slice(&delivery.body)
            .map_err(|_| Unreadable("its event sms:received lacks a field, or has another type in it"))?;
        let text = Zeroizing::new(payload.message);
        let sender = payload.sender.or(payload.phone_number).ok_or(Unreadable("it names no sender"))?;
        let received_at = payload.received_at.parse();
        let received_at = received_at.map_err(|_| Unreadable("its receivedAt is no time of RFC 3339"))?;
        Ok(Said::Sms(Sms { id, sender, text, received_at: Some(received_at) }))
    }
}
