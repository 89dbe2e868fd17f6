//! What one SMS gateway does in its own way: each is one file here and one word in [`GATEWAYS`].

use std::fmt;

use agent_otp_domain::Timestamp;
use zeroize::Zeroizing;

use super::android::Android;
use super::answer::{Answer, Outcome, plain};
use super::delivery::Delivery;
use super::twilio::Twilio;

/// Every gateway that there is. A delivery belongs to the first whose signature it bears.
pub(super) const GATEWAYS: [&dyn Gateway; 2] = [&Android, &Twilio];

/// An SMS gateway.
pub(super) trait Gateway: Sync {
    /// What it is called in logs.
    fn name(&self) -> &'static str;

    /// Whether the delivery says that this gateway has signed it.
    fn claims(&self, delivery: &Delivery) -> bool;

    /// Whether this key has signed the delivery, raw body and all, compared in constant time; and when.
    ///
    /// Called before anything else of the delivery is looked at.
    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed>;

    /// What a signed delivery says; `None` if it tells of something else than a text message that came in.
    fn read(&self, delivery: &Delivery) -> Result<Option<Sms>, Unreadable>;

    /// How it is told that it need not deliver this again.
    fn thank(&self, outcome: Outcome) -> Answer {
        plain(hyper::StatusCode::OK, outcome.to_string())
    }
}

/// That a key has signed a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// With the time, by the gateway's clock.
    At(Timestamp),
    /// The gateway signs no time: an old delivery looks like a new one.
    Undated,
}

/// A text message, as its gateway tells of it.
pub(super) struct Sms {
    /// What names it among all that this gateway delivers; delivered again, it has the same.
    pub(super) id: String,
    /// A number or an alphanumeric sender id.
    pub(super) sender: String,
    pub(super) text: Zeroizing<String>,
    /// When the phone received it, by the gateway's clock, if it says so.
    pub(super) received_at: Option<Timestamp>,
}

impl fmt::Debug for Sms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sms(redacted)")
    }
}

/// Why a signed delivery cannot be read, as a clause without any of its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_of_a_text_message_shows_nothing_of_it() {
        let text = Zeroizing::new("482913".to_owned());
        let sms = Sms { id: "1".to_owned(), sender: "GitHub".to_owned(), text, received_at: None };
        insta::assert_debug_snapshot!(sms, @"Sms(redacted)");
    }
}
