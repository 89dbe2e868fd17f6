//! A phone with pppscn's `SmsForwarder`, with a webhook as its sender.
//!
//! `sign` is the base64, written as in a URL, of an HMAC-SHA256, under the secret, of `timestamp` (Unix milliseconds, new
//! for each attempt), a line feed and the secret (its `WebhookUtils.kt`). The text is not signed, and the app accepts any
//! TLS certificate.
//!
//! The fields are those of its form, or of a JSON object that the user has made of the same names: `from`, `org_content`
//! or `content`, `timestamp`, `sign`, and `receive_time`.

use agent_otp_domain::{Digest, Timestamp};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::fields::Fields;
use super::gateway::{Covers, Gateway, Said, Signed, Sms, Unreadable};

/// The gateway.
#[derive(Debug)]
pub(super) struct SmsForwarder;

impl Gateway for SmsForwarder {
    fn name(&self) -> &'static str {
        "smsforwarder"
    }

    fn covers(&self) -> Covers {
        Covers::NotTheText
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        Fields::of(delivery)
            .is_some_and(|fields| fields.get("sign").is_some() && fields.get("from").is_some())
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let fields = Fields::of(delivery)?;
        let timestamp = fields.get("timestamp")?;
        let signature = BASE64.decode(unescaped(fields.get("sign")?).as_bytes()).ok()?;
        let mac = Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(timestamp).chain_update("\n");
        mac.chain_update(key).verify_slice(&signature).ok()?;
        Some(Signed::At(Timestamp::from_unix_ms(timestamp.parse().ok()?)))
    }

    /// It names no message. What came at the same time from the same sender with the same text is the same one; without a
    /// time of its own, that is what came in one attempt.
    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let fields = Fields::of(delivery).ok_or(Unreadable("its fields cannot be read"))?;
        let sender = fields.get("from").ok_or(Unreadable("it names no sender (from)"))?;
        let text = fields.get("org_content").or_else(|| fields.get("content"));
        let text = text.ok_or(Unreadable("it has no text (org_content or content)"))?;
        // The form's own text ends with the time at which the phone received it.
        let told = fields.get("receive_time").or_else(|| fields.get("content").map(|_| ""));
        let time = told.or_else(|| fields.get("timestamp")).unwrap_or_default();
        let id = Digest::of(&[sender.as_bytes(), b"\0", time.as_bytes(), b"\0", text.as_bytes()]);
        Ok(Said::Sms(Sms {
            id: HEXLOWER.encode(id.as_bytes()),
            sender: sender.to_owned(),
            text: Zeroizing::new(text.to_owned()),
            received_at: None,
        }))
    }
}

/// The app writes its signature as in a URL before it writes the form.
fn unescaped(sign: &str) -> String {
    sign.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
}
