//! A phone with httpSMS, through its cloud.
//!
//! `Authorization` bears a JSON Web Token under the webhook's signing key: whose, for which URL, and when; it expires ten
//! minutes later (NdoleStudio/httpsms, `webhook_service.go`). The text is not signed.

use agent_otp_domain::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::gateway::{Covers, Gateway, Said, Signed, Sms, Unreadable};
use super::jwt;
use super::urls::urls;

/// The event of a text message that came in.
const RECEIVED: &str = "message.phone.received";

/// Who issues the tokens.
const ISSUER: &str = "api.httpsms.com";

/// The gateway.
#[derive(Debug)]
pub(super) struct HttpSms;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    /// One URL, or several.
    aud: Value,
    iat: i64,
}

/// What every event begins with (Cloud Events 1.0).
#[derive(Deserialize)]
struct Event {
    r#type: String,
}

/// An event of [`RECEIVED`].
#[derive(Deserialize)]
struct Received {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    message_id: String,
    contact: String,
    content: String,
    timestamp: String,
    #[serde(default)]
    encrypted: bool,
}

impl Gateway for HttpSms {
    fn name(&self) -> &'static str {
        "httpsms"
    }

    fn covers(&self) -> Covers {
        Covers::NotTheText
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        delivery.headers.contains_key("x-event-type") && jwt::is_there(delivery)
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let Claims { iss, aud, iat } = jwt::claims(delivery, key)?;
        let urls = urls(delivery);
        let is_here = |url: &Value| url.as_str().is_some_and(|url| urls.contains(url));
        let is_for_here = aud.as_array().map_or_else(|| is_here(&aud), |several| several.iter().any(is_here));
        (iss == ISSUER && is_for_here).then(|| Signed::At(Timestamp::from_unix_ms(iat.saturating_mul(1_000))))
    }

    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let Event { r#type } =
            serde_json::from_slice(&delivery.body).map_err(|_| Unreadable("its body is no event in JSON"))?;
        if r#type != RECEIVED {
            return Ok(Said::Nothing);
        }
        let Received { data } = serde_json::from_slice(&delivery.body).map_err(|_| {
            Unreadable("its event message.phone.received lacks a field, or has another type in it")
        })?;
        let Data { message_id, contact, content, timestamp, encrypted } = data;
        let text = Zeroizing::new(content);
        if encrypted {
            return Err(Unreadable(
                "its text is encrypted with a key that only the phone has; switch the encryption of received messages off in the httpSMS app",
            ));
        }
        let received_at =
            timestamp.parse().map_err(|_| Unreadable("its timestamp is no time of RFC 3339"))?;
        Ok(Said::Sms(Sms { id: message_id, sender: contact, text, received_at: Some(received_at) }))
    }
}
