//! A number at AWS End User Messaging, with two-way messages to an SNS topic, and the topic's subscription to here.
//!
//! `Signature` is the base64 of an RSA signature, by a key of AWS, over the envelope's names and values in a fixed order
//! (AWS's documentation on the signatures of Amazon SNS, and `sns-validator` of npm). Everything of AWS signs with that
//! key, so the user's key is the ARN of the user's topic: nothing of another topic is taken. `SignatureVersion` 2 is
//! SHA-256; 1 is SHA-1, which is not taken.

use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::desk::KEPT_FOR;

use super::certificates::CertificateUrl;
use super::delivery::Delivery;
use super::gateway::{Gateway, Said, Signed, Sms, Unreadable};

/// The gateway.
#[derive(Debug)]
pub(super) struct AwsSns;

/// What is delivered: a message of the topic, or a question.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    r#type: String,
    message_id: String,
    topic_arn: String,
    subject: Option<String>,
    message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    token: Option<String>,
}

/// A text message that came in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    origination_number: String,
    message_body: String,
    inbound_message_id: String,
}

impl Gateway for AwsSns {
    fn name(&self) -> &'static str {
        "aws-sns"
    }

    fn check_key(&self, key: &[u8]) -> Result<(), &'static str> {
        let is_arn = key.starts_with(b"arn:aws") && key.split(|&octet| octet == b':').count() == 6;
        is_arn
            .then_some(())
            .ok_or("the key of aws-sns is the ARN of your topic: arn:aws:sns:REGION:ACCOUNT:NAME")
    }

    fn claims(&self, delivery: &Delivery) -> bool {
        delivery.headers.contains_key("x-amz-sns-message-type")
    }

    fn certificate(&self, delivery: &Delivery, key: &[u8]) -> Option<CertificateUrl> {
        let envelope = Envelope::of(delivery)?;
        if envelope.topic_arn.as_bytes() == key { envelope.signing_cert_url.parse().ok() } else { None }
    }

    fn verify(&self, delivery: &Delivery, key: &[u8]) -> Option<Signed> {
        let envelope = Envelope::of(delivery)?;
        let certificate = delivery.certificate.as_ref()?;
        let is_of_topic = envelope.topic_arn.as_bytes() == key;
        if !is_of_topic || envelope.signature_version != "2" || !certificate.is_at(&envelope.signing_cert_url)
        {
            return None;
        }
        let signature = BASE64.decode(envelope.signature.as_bytes()).ok()?;
        if !certificate.has_signed(envelope.signed()?.as_bytes(), &signature) {
            return None;
        }
        envelope.timestamp.parse().ok().map(Signed::At)
    }

    /// It signs a message when it is published, and delivers it again as it is: one that is kept when it comes late is
    /// still of use.
    fn late_max(&self) -> Duration {
        KEPT_FOR
    }

    fn hint(&self, delivery: &Delivery) -> Option<&'static str> {
        let is_older = Envelope::of(delivery).is_some_and(|envelope| envelope.signature_version != "2");
        is_older.then_some("set the attribute SignatureVersion of the topic to 2, which signs with SHA-256")
    }

    fn read(&self, delivery: &Delivery) -> Result<Said, Unreadable> {
        let envelope = Envelope::of(delivery).ok_or(Unreadable("its body is no envelope of SNS"))?;
        if envelope.r#type == "SubscriptionConfirmation" {
            return Ok(envelope.subscribe_url.map_or(Said::Nothing, |url| Said::Subscription { url }));
        }
        if envelope.r#type != "Notification" {
            return Ok(Said::Nothing);
        }
        let message = Zeroizing::new(envelope.message);
        // Whatever else is published to the topic tells of no text message.
        let Ok(Received { origination_number, message_body, inbound_message_id }) =
            serde_json::from_str(&message)
        else {
            return Ok(Said::Nothing);
        };
        Ok(Said::Sms(Sms {
            id: inbound_message_id,
            sender: origination_number,
            text: Zeroizing::new(message_body),
            received_at: envelope.timestamp.parse().ok(),
        }))
    }
}

impl Envelope {
    fn of(delivery: &Delivery) -> Option<Self> {
        serde_json::from_slice(&delivery.body).ok()
    }

    /// What AWS has signed: a name and a value a line.
    fn signed(&self) -> Option<Zeroizing<String>> {
        let (message, id) = (("Message", Some(&self.message)), ("MessageId", Some(&self.message_id)));
        let (at, topic) = (("Timestamp", Some(&self.timestamp)), ("TopicArn", Some(&self.topic_arn)));
        let kind = ("Type", Some(&self.r#type));
        let fields = match self.r#type.as_str() {
            "Notification" => vec![message, id, ("Subject", self.subject.as_ref()), at, topic, kind],
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => vec![
                message,
                id,
                ("SubscribeURL", Some(self.subscribe_url.as_ref()?)),
                at,
                ("Token", Some(self.token.as_ref()?)),
                topic,
                kind,
            ],
            _ => return None,
        };
        let mut signed = Zeroizing::new(String::with_capacity(self.message.len() + 4_096));
        for (name, value) in fields {
            let Some(value) = value else { continue };
            for part in [name, "\n", value, "\n"] {
                signed.push_str(part);
            }
        }
        Some(signed)
    }
}
