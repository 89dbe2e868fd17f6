//! A number at Plivo, with an application's message URL.
//!
//! `X-Plivo-Signature-V2`, or `-Ma-V2` under the main account's token, is the base64 of an HMAC-SHA256, under the auth
//! token, of the public URL without its query and a nonce (`validateSignature` of its npm package). The text is not
//! signed, so a nonce is taken for one message alone.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::StatusCode;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::answer::{Answer, Outcome, of_type};
use super::delivery::Delivery;
use super::fields::Fields;
use super::gateway::{Covers, Gateway, Said, Signed, Sms, Unreadable, international};
use super::urls::urls;

/// The headers with a signature, each with that of its nonce.
const SIGNATURES: [(&str, &str); 2] = [
    ("x-plivo-signature-v2", "x-plivo-signature-v2-nonce"),
    ("x-plivo-signature-ma-v2", "x-plivo-signature-v2-nonce"),
];

/// The gateway.
#[derive(Debug)]
pub(super) struct Plivo;

impl Gateway for Plivo {
    fn name(&self) -> &'static str {
        "plivo"
    }

    fn covers(&self) -> Covers {
        Covers::NotTheText
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        SIGNATURES.iter().any(|(signature, _)| delivery.headers.contains_key(*signature))
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        SIGNATURES.iter().find_map(|(signature, nonce)| {
            let signature = BASE64.decode(delivery.header(signature)?.as_bytes()).ok()?;
            let nonce = delivery.header(nonce).filter(|nonce| !nonce.is_empty())?;
            let is_signed = |url: &String| {
                let url = url.split('?').next().unwrap_or_default();
                let mac = Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(url);
                mac.chain_update(nonce).verify_slice(&signature).ok()
            };
            urls(delivery).iter().find_map(is_signed).map(|()| Signed::Once(nonce.to_owned()))
        })
    }

    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let fields = Fields::of(delivery).ok_or(Unreadable("its body is no form, or has a field twice"))?;
        if fields.get("Type") != Some("sms") {
            return Ok(Said::Nothing);
        }
        let id = fields.get("MessageUUID").ok_or(Unreadable("it names no MessageUUID"))?;
        let sender = fields.get("From").ok_or(Unreadable("it names no sender (From)"))?;
        let text = fields.get("Text").ok_or(Unreadable("it has no text (Text)"))?;
        Ok(Said::Sms(Sms {
            id: id.to_owned(),
            sender: international(sender.to_owned()),
            text: Zeroizing::new(text.to_owned()),
            received_at: None,
        }))
    }

    /// A text would be sent to the sender as a reply.
    fn thank(&self, _: Outcome) -> Answer {
        of_type(StatusCode::OK, "text/xml", "<Response/>".to_owned())
    }
}
