//! What one SMS gateway does in its own way: each is one file here and one word in [`GATEWAYS`].

use std::fmt;
use std::time::Duration;

use agent_otp_domain::{Digest, Timestamp};
use zeroize::Zeroizing;

use super::android::Android;
use super::answer::{Answer, Outcome, plain};
use super::aws_sns::AwsSns;
use super::certificates::CertificateUrl;
use super::delivery::Delivery;
use super::endpoint::OFF_MAX;
use super::httpsms::HttpSms;
use super::incoming_sms::IncomingSms;
use super::plivo::Plivo;
use super::smsforwarder::SmsForwarder;
use super::telnyx::Telnyx;
use super::twilio::Twilio;
use super::vonage::Vonage;
use super::vonage_sms::VonageSms;

/// Every gateway that there is. A delivery belongs to the first that claims it.
pub(super) const GATEWAYS: [&dyn Gateway; 10] = [
    &Android,
    &Twilio,
    &Telnyx,
    &Plivo,
    &AwsSns,
    &HttpSms,
    &IncomingSms,
    &Vonage,
    // These two are known by what is in their body.
    &VonageSms,
    &SmsForwarder,
];

/// An SMS gateway.
pub(super) trait Gateway: Sync {
    /// What it is called in logs.
    fn name(&self) -> &'static str;

    /// What its lines in the file of keys begin with.
    fn key_name(&self) -> &'static str {
        self.name()
    }

    /// Whether a line without a name is a key of this gateway too.
    fn takes_nameless_keys(&self) -> bool {
        false
    }

    /// Whether this could be one of its keys, and what would be.
    fn check_key(&self, _key: &[u8]) -> Result<(), &'static str> {
        Ok(())
    }

    /// What it signs.
    fn covers(&self) -> Covers {
        Covers::TheText
    }

    /// Whether the delivery says that it is of this gateway.
    fn claims(&self, delivery: &Delivery) -> bool;

    /// The certificate that is needed to verify the delivery, if one is, and if this key could be its.
    fn certificate(&self, _delivery: &Delivery, _key: &[u8]) -> Option<CertificateUrl> {
        None
    }

    /// Whether this key has signed the delivery, raw body and all as far as the gateway covers it, compared in constant
    /// time; and when.
    ///
    /// Called before anything else of the delivery is looked at.
    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed>;

    /// How old its signature may be.
    fn late_max(&self) -> Duration {
        OFF_MAX
    }

    /// Of a delivery that no key has signed, what may be amiss, if that is known.
    fn hint(&self, _delivery: &Delivery) -> Option<&'static str> {
        None
    }

    /// What a signed delivery says.
    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable>;

    /// How it is told that it need not deliver this again.
    fn thank(&self, outcome: Outcome) -> Answer {
        plain(hyper::StatusCode::OK, outcome.to_string())
    }
}

/// What a gateway's signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Covers {
    /// That the text is as the gateway sent it.
    TheText,
    /// That the gateway sent something. Who sees one delivery could write another, so the endpoint's path has to be a
    /// secret besides.
    NotTheText,
}

/// That a key has signed a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signed {
    /// With the time, by the gateway's clock.
    At(Timestamp),
    /// With a word that is for one message alone, and no time.
    Once(String),
    /// The gateway signs no time: an old delivery looks like a new one.
    Undated,
}

/// What a delivery says.
pub(super) enum Said {
    /// That a text message came in.
    Sms(Sms),
    /// That a part of a text message came in: a code could be cut in two.
    Part,
    /// That someone wants the deliveries of a topic to come here; whoever opens the URL agrees.
    Subscription {
        /// The URL.
        url: String,
    },
    /// Something else.
    Nothing,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Said(redacted)")
    }
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

/// A number as this project writes it: some gateways leave the `+` out. A short code has at most 8 digits.
pub(super) fn international(number: String) -> String {
    let is_international = number.len() > 8 && number.bytes().all(|octet| octet.is_ascii_digit());
    if is_international { format!("+{number}") } else { number }
}

/// Whether two secrets are the same; how long that takes says nothing of them.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    Digest::of(&[one]) == Digest::of(&[other])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_debug_of_a_text_message_shows_nothing_of_it() {
        let text = Zeroizing::new("482913".to_owned());
        let sms = Sms { id: "1".to_owned(), sender: "GitHub".to_owned(), text, received_at: None };
        insta::assert_debug_snapshot!(sms, @"Sms(redacted)");
        insta::assert_debug_snapshot!(Said::Sms(sms), @"Said(redacted)");
    }

    #[test]
    fn a_gateway_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = GATEWAYS.iter().map(|gateway| gateway.name()).collect();
        assert_eq!(names.len(), GATEWAYS.len());
    }

    #[test]
    fn a_number_without_its_plus_is_one_that_is_longer_than_a_short_code() {
        for (number, written) in [
            ("447700900001", "+447700900001"),
            ("14155550100", "+14155550100"),
            ("+14155550100", "+14155550100"),
            ("12345678", "12345678"),
            ("22395", "22395"),
            ("GitHub", "GitHub"),
            ("", ""),
        ] {
            assert_eq!(international(number.to_owned()), written);
        }
    }
}
