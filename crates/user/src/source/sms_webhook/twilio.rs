//! A number at Twilio, with "A message comes in" set to a webhook.
//!
//! `X-Twilio-Signature` is the base64 of an HMAC-SHA1, under the account's auth token, of the public URL and, behind it,
//! the form's fields: each name and value, sorted, without separators. A body that is no form is bound by its SHA-256 in
//! the URL's `bodySHA256` (Twilio's documentation on webhook security, and `webhooks.js` of its npm package). Twilio signs
//! no time.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::StatusCode;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::answer::{Answer, Outcome, of_type};
use super::delivery::Delivery;
use super::fields::is_form;
use super::gateway::{Gateway, Said, Signed, Sms, Unreadable};
use super::urls::urls;

/// The gateway.
#[derive(Debug)]
pub(super) struct Twilio;

impl Gateway for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn takes_nameless_keys(&self) -> bool {
        true
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        delivery.headers.contains_key("x-twilio-signature")
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let signature = BASE64.decode(delivery.header("x-twilio-signature")?.as_bytes()).ok()?;
        let fields = if is_form(&delivery.headers) {
            signed_fields(&delivery.body)
        } else if has_digest_of_body(delivery) {
            Zeroizing::default()
        } else {
            return None;
        };
        let is_signed = |url: &String| {
            let mac = Hmac::<Sha1>::new_from_slice(key).ok()?.chain_update(url);
            mac.chain_update(fields.as_bytes()).verify_slice(&signature).ok()
        };
        urls(delivery).iter().find_map(is_signed).map(|()| Signed::Undated)
    }

    /// A callback on the status of a message that was sent, a message with pictures, and whatever is no form, tell of no
    /// text message that came in.
    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        if !is_form(&delivery.headers) {
            return Ok(Said::Nothing);
        }
        let fields = fields(&delivery.body);
        let field =
            |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let has_media = field("NumMedia").is_some_and(|count| count != "0");
        let Some(id) = field("MessageSid") else { return Ok(Said::Nothing) };
        if has_media || field("MessageStatus").is_some() {
            return Ok(Said::Nothing);
        }
        let sender = field("From").ok_or(Unreadable("it names no sender (From)"))?;
        let text = field("Body").ok_or(Unreadable("it has no text (Body)"))?;
        Ok(Said::Sms(Sms {
            id: id.to_owned(),
            sender: sender.to_owned(),
            text: Zeroizing::new(text.to_owned()),
            received_at: None,
        }))
    }

    /// A text would be sent to the sender as a reply.
    fn thank(&self, _: Outcome) -> Answer {
        of_type(StatusCode::OK, "text/xml", "<Response/>".to_owned())
    }
}

/// The form's fields, decoded. They are what is signed, so they are taken apart before the signature is known to hold.
fn fields(body: &[u8]) -> Vec<(String, Zeroizing<String>)> {
    let fields = form_urlencoded::parse(body);
    fields.map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned()))).collect()
}

/// Names and values in order, of those that are there twice only one.
fn signed_fields(body: &[u8]) -> Zeroizing<String> {
    let mut fields = fields(body);
    fields.sort_by(|(a, left), (b, right)| (a, left.as_str()).cmp(&(b, right.as_str())));
    fields.dedup();
    let mut text = Zeroizing::new(String::with_capacity(body.len()));
    for (name, value) in &fields {
        text.push_str(name);
        text.push_str(value);
    }
    text
}

fn has_digest_of_body(delivery: &Delivery) -> bool {
    let (_, query) = delivery.target.split_once('?').unwrap_or_default();
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let digest = HEXLOWER.encode(&Sha256::digest(&delivery.body));
    fields.any(|(name, value)| name == "bodySHA256" && value == digest)
}
