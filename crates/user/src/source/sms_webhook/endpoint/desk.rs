//! An endpoint on its own, and deliveries that were made elsewhere.

use agent_otp_domain::Timestamp;
use hyper::HeaderMap;
use hyper::header::HeaderName;
use serde_json::Value;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::intake::{Intake, Received, Unverified};
use crate::mail::authentication::{Authenticator, Dns};
use crate::message::Message;

use super::super::answer::{Outcome, Refusal};
use super::super::certificates::{Certificates, NotFetched};
use super::super::delivery::Delivery;
use super::super::keys::{KeySet, Keys};
use super::{Endpoint, Judged, PATH, judge};

/// When the vectors were signed.
pub(super) const SIGNED_AT: Timestamp = Timestamp::from_unix_ms(1_795_425_245_000);

/// An endpoint, and the other end of its intake.
pub(super) struct Desk {
    pub(super) endpoint: Endpoint,
    messages: mpsc::Receiver<Received>,
    _dir: tempfile::TempDir,
}

impl Desk {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // What the user said of mail does not matter.
        let (intake, messages) =
            Intake::new(Unverified::Refuse, Authenticator::new(Dns::None, None).unwrap());
        let keys = Keys::open(&dir.path().join("sources")).unwrap();
        let certificates = Certificates::new(Box::new(|_| {
            Box::pin(async { Err(NotFetched("there is no network".to_owned())) })
        }));
        Self { endpoint: Endpoint::new(keys, intake, certificates), messages, _dir: dir }
    }

    pub(super) fn message(&mut self) -> Option<Message> {
        self.messages.try_recv().ok()?.message()
    }

    /// With a file of keys that holds these lines.
    pub(super) fn judge(&self, delivery: &Delivery, lines: &str, now: Timestamp) -> Result<Outcome, Refusal> {
        let keys = KeySet::parse(lines.as_bytes()).unwrap_or_default();
        match judge(delivery, &keys, now)?.1 {
            Judged::Sms(taking) => {
                let place = self.endpoint.intake.free_place().map_err(|_| Refusal::Busy)?;
                self.endpoint.take(*taking, place)
            }
            Judged::Outcome(outcome) => Ok(outcome),
        }
    }

    /// Nothing of a delivery that these keys have not signed is read.
    pub(super) fn refuse(&self, delivery: &Delivery, lines: &str, what: &str) {
        let judged = self.judge(delivery, lines, SIGNED_AT);
        let is_refused = matches!(
            judged,
            Err(Refusal::Forged
                | Refusal::Unsigned
                | Refusal::SignatureLeftOut
                | Refusal::NoKey { .. }
                | Refusal::OtherSignature(_))
        );
        assert!(is_refused, "{what}: {judged:?}");
    }
}

/// A delivery that was made elsewhere, and the line of the key that signed it.
pub(super) struct Vector {
    pub(super) key: String,
    pub(super) sender: String,
    pub(super) text: String,
    pub(super) delivery: Delivery,
}

impl Vector {
    pub(super) fn of(provider: &str) -> Self {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../../../../tests/data/sms_webhooks.json")).unwrap();
        let vector = vectors.into_iter().find(|vector| vector["provider"] == provider).unwrap();
        let text = |field: &str| vector[field].as_str().unwrap_or_default().to_owned();
        let mut headers = HeaderMap::new();
        for (name, value) in vector["headers"].as_object().unwrap() {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.as_str().unwrap().parse().unwrap());
        }
        headers.insert("host", "capture.example".parse().unwrap());
        let url: hyper::Uri = vector["url"].as_str().unwrap_or(PATH).parse().unwrap();
        let mut delivery = Delivery {
            target: url.path_and_query().unwrap().to_string(),
            is_at_secret_path: true,
            headers,
            body: Zeroizing::new(text("body").into_bytes()),
            ..Delivery::empty()
        };
        if let Some(pem) = vector["certificate"].as_str() {
            delivery.certificate = Some(super::vectors::certificate(&delivery, pem));
        }
        Self { key: text("key"), sender: text("sender"), text: text("text"), delivery }
    }
}

pub(super) fn copy(delivery: &Delivery) -> Delivery {
    Delivery {
        target: delivery.target.clone(),
        is_at_secret_path: delivery.is_at_secret_path,
        public_urls: delivery.public_urls.clone(),
        headers: delivery.headers.clone(),
        body: delivery.body.clone(),
        certificate: delivery.certificate.clone(),
    }
}
