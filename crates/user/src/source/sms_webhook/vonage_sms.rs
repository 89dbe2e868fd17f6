//! A number at Vonage, with the older SMS API: its inbound webhook by POST, signed.
//!
//! `sig` is the hexadecimal HMAC, under the account's signature secret, of `&name=value` for all other fields in order,
//! with `&` and `=` in values written as `_`. Which hash it is the account says; SHA-256 and SHA-512 are taken, MD5 and
//! SHA-1 are not (Vonage's documentation on signing messages).

use agent_otp_domain::Timestamp;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::fields::Fields;
use super::gateway::{Gateway, Said, Signed, Sms, Unreadable, international};

/// The gateway.
#[derive(Debug)]
pub(super) struct VonageSms;

impl Gateway for VonageSms {
    fn name(&self) -> &'static str {
        "vonage-sms"
    }

    /// The account has one secret for both of its APIs.
    fn key_name(&self) -> &'static str {
        "vonage"
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        Fields::of(delivery)
            .is_some_and(|fields| fields.get("sig").is_some() && fields.get("msisdn").is_some())
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let fields = Fields::of(delivery)?;
        let signature = HEXLOWER_PERMISSIVE.decode(fields.get("sig")?.as_bytes()).ok()?;
        let signed = signed_fields(&fields);
        match signature.len() {
            32 => Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(&*signed).verify_slice(&signature),
            64 => Hmac::<Sha512>::new_from_slice(key).ok()?.chain_update(&*signed).verify_slice(&signature),
            _ => return None,
        }
        .ok()?;
        let seconds: i64 = fields.get("timestamp")?.parse().ok()?;
        Some(Signed::At(Timestamp::from_unix_ms(seconds.saturating_mul(1_000))))
    }

    fn hint(&self, delivery: &Delivery) -> Option<&'static str> {
        let is_weak = Fields::of(delivery)
            .is_some_and(|fields| matches!(fields.get("sig").map(str::len), Some(32 | 40)));
        is_weak.then_some("choose SHA-256 HMAC as the signature method in the settings of the Vonage account")
    }

    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let fields = Fields::of(delivery).ok_or(Unreadable("its fields cannot be read"))?;
        if fields.get("concat") == Some("true") {
            return Ok(Said::Part);
        }
        let Some(text) = fields.get("text").filter(|_| fields.get("type").is_some_and(is_text)) else {
            return Ok(Said::Nothing);
        };
        let id = fields.get("messageId").ok_or(Unreadable("it names no messageId"))?;
        let sender = fields.get("msisdn").ok_or(Unreadable("it names no sender (msisdn)"))?;
        let received_at =
            fields.get("message-timestamp").and_then(|at| (at.replace(' ', "T") + "Z").parse().ok());
        let received_at = received_at.ok_or(Unreadable("its message-timestamp is no time"))?;
        Ok(Said::Sms(Sms {
            id: id.to_owned(),
            sender: international(sender.to_owned()),
            text: Zeroizing::new(text.to_owned()),
            received_at: Some(received_at),
        }))
    }
}

fn is_text(kind: &str) -> bool {
    matches!(kind, "text" | "unicode")
}

fn signed_fields(fields: &Fields) -> Zeroizing<String> {
    let pairs = || fields.iter().filter(|(name, _)| *name != "sig");
    let length = pairs().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut signed = Zeroizing::new(String::with_capacity(length));
    for (name, value) in pairs() {
        signed.push('&');
        signed.push_str(name);
        signed.push('=');
        signed.extend(value.chars().map(|c| if matches!(c, '&' | '=') { '_' } else { c }));
    }
    signed
}
