//! A number at Vonage, with the Messages API: its inbound URL, and signed webhooks.
//!
//! `Authorization` bears a JSON Web Token under the account's signature secret; its claim `payload_hash` is the SHA-256 of
//! the raw body in hexadecimal, and `iat` says when it was signed (Vonage's documentation on signed webhooks).

use agent_otp_domain::Timestamp;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::gateway::{Gateway, Said, Signed, Sms, Unreadable, international};
use super::jwt;

/// The gateway.
#[derive(Debug)]
pub(super) struct Vonage;

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    payload_hash: String,
}

/// What every message and every status of one begins with.
#[derive(Deserialize)]
struct Message {
    channel: String,
    message_type: Option<String>,
}

/// What tells a message from those of others.
#[derive(Deserialize)]
struct Named {
    message_uuid: String,
    channel: String,
}

/// A text message.
#[derive(Deserialize)]
struct Received {
    message_uuid: String,
    from: String,
    text: String,
    timestamp: String,
}

impl Vonage {
    /// Whether a delivery that no gateway claims is, by its form, a message of this one.
    pub(super) fn is_unsigned(delivery: &Delivery) -> bool {
        let message = serde_json::from_slice::<Named>(&delivery.body);
        message.is_ok_and(|message| !message.message_uuid.is_empty() && !message.channel.is_empty())
    }
}

impl Gateway for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        jwt::is_there(delivery)
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let Claims { iat, payload_hash } = jwt::claims(delivery, key)?;
        let hash = HEXLOWER.encode(&Sha256::digest(&delivery.body));
        (hash == payload_hash).then(|| Signed::At(Timestamp::from_unix_ms(iat.saturating_mul(1_000))))
    }

    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let Message { channel, message_type } = serde_json::from_slice(&delivery.body)
            .map_err(|_| Unreadable("its body is no message in JSON"))?;
        if channel != "sms" || message_type.as_deref() != Some("text") {
            return Ok(Said::Nothing);
        }
        let Received { message_uuid, from, text, timestamp } = serde_json::from_slice(&delivery.body)
            .map_err(|_| Unreadable("its text message lacks a field, or has another type in it"))?;
        let text = Zeroizing::new(text);
        let received_at =
            timestamp.parse().map_err(|_| Unreadable("its timestamp is no time of RFC 3339"))?;
        Ok(Said::Sms(Sms {
            id: message_uuid,
            sender: international(from),
            text,
            received_at: Some(received_at),
        }))
    }
}
