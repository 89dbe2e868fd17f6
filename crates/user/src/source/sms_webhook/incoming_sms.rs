//! A phone that posts JSON as the user says: Incoming SMS to URL forwarder (bogkonstantin), or a shortcut of an iPhone.
//!
//! Nothing is signed. A fixed header that the user has set, `X-Capture-Token`, tells this user's phone from another peer.
//! The fields are `from`, `text`, and a time: `sentStamp` or `receivedStamp` (Unix milliseconds), or `receivedAt`
//! (RFC 3339). The phone's own time counts first: the network's is often hours off.

use agent_otp_domain::{Digest, Timestamp};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::delivery::Delivery;
use super::gateway::{Covers, Gateway, Said, Signed, Sms, Unreadable, is_same};

/// The header with the user's word.
const TOKEN: &str = "x-capture-token";

/// The gateway.
#[derive(Debug)]
pub(super) struct IncomingSms;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    from: String,
    text: String,
    sent_stamp: Option<i64>,
    received_stamp: Option<i64>,
    received_at: Option<String>,
}

impl Gateway for IncomingSms {
    fn name(&self) -> &'static str {
        "incoming-sms"
    }

    fn covers(&self) -> Covers {
        Covers::NotTheText
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        delivery.headers.contains_key(TOKEN)
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        is_same(delivery.header(TOKEN)?.as_bytes(), key).then_some(Signed::Undated)
    }

    /// It names no message: what was sent at the same time by the same sender with the same text is the same one.
    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let Message { from, text, sent_stamp, received_stamp, received_at } =
            serde_json::from_slice(&delivery.body).map_err(|_| {
                Unreadable("its body is no JSON with the texts `from` and `text`, and the numbers `sentStamp` or `receivedStamp`")
            })?;
        let text = Zeroizing::new(text);
        let stamp = received_stamp.or(sent_stamp).map(Timestamp::from_unix_ms);
        let written =
            received_at.map(|at| at.parse().map_err(|_| Unreadable("its receivedAt is no time of RFC 3339")));
        let at = stamp.map_or_else(|| written.transpose(), |stamp| Ok(Some(stamp)))?;
        let at = at.ok_or(Unreadable("it has no time: sentStamp, receivedStamp or receivedAt"))?;
        let id = Digest::of(&[from.as_bytes(), b"\0", &at.as_unix_ms().to_be_bytes(), text.as_bytes()]);
        Ok(Said::Sms(Sms { id: HEXLOWER.encode(id.as_bytes()), sender: from, text, received_at: Some(at) }))
    }
}
