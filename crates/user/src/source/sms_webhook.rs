//! Text messages by webhook: an SMS gateway delivers them here over HTTP, and signs what it delivers.
//!
//! One request a connection, over HTTP/1.1 (RFC 9112) without TLS: a tunnel or a proxy brings it from the outside. The
//! signature proves the gateway; nobody can prove who sent a text message. Some gateways sign that they deliver, but not
//! what: they deliver to a secret path, and the evidence says so.

mod android;
mod answer;
mod aws_sns;
mod certificates;
mod check;
mod client;
mod delivery;
mod endpoint;
mod fields;
mod gateway;
mod https;
mod httpsms;
mod incoming_sms;
mod jwt;
mod keys;
mod plivo;
mod seen;
mod smsforwarder;
mod telnyx;
mod twilio;
mod urls;
mod vonage;
mod vonage_sms;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::intake::Intake;
use crate::source::listener::Listener;
use crate::source::{Kind, Loopback, Source, SourceError, Told};

use self::answer::TOO_MANY_SESSIONS;
use self::certificates::Certificates;
use self::endpoint::Endpoint;
use self::keys::Keys;

/// What has to be known before one is bound.
pub const KIND: Kind = Kind {
    name: NAME,
    loopback: Some(Loopback {
        port: "where an SMS gateway delivers",
        bind: |address, dir| {
            Box::pin(async move { Ok(Box::new(SmsWebhook::bind(address, &dir).await?) as Box<dyn Source>) })
        },
        check: |address, dir| Box::pin(async move { check::signed(address, &dir).await }),
        test: None,
    }),
    table: None,
};

/// The name of this source.
const NAME: &str = "sms-webhook";

/// What the evidence calls it if the gateway did not sign the text.
const NAME_UNSIGNED: &str = "sms-webhook-unsigned";

/// The one path that everybody may know; the secret one begins with it.
const PATH: &str = "/sms";

/// A bound endpoint for SMS gateways.
#[derive(Debug)]
pub struct SmsWebhook {
    listener: Listener,
    keys: Keys,
}

impl SmsWebhook {
    /// Listens on `address`; port 0 takes a free one. The keys that may sign are in `dir`; the first is made if there
    /// is none.
    ///
    /// # Errors
    ///
    /// [`SourceError`], with the address or the file and the next step.
    pub async fn bind(address: SocketAddr, dir: &Path) -> Result<Self, SourceError> {
        let keys = Keys::open(dir)?;
        Ok(Self { listener: Listener::bind(address).await?, keys })
    }
}

impl Source for SmsWebhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.listener.local_addr())
    }

    fn told(&self) -> Told {
        let (url, secret) =
            (format!("http://{}{PATH}", self.listener.local_addr()), self.keys.path().display());
        Told {
            entries: vec![
                ("sms_webhook".to_owned(), url.clone()),
                ("sms_webhook_secret".to_owned(), secret.to_string()),
            ],
            greeting: vec![
                ("sms", format!("{url}  (the webhook of your SMS gateway)")),
                ("", format!("its keys: {secret}  (docs/sources/sms.md has a guide for each gateway)")),
            ],
        }
    }

    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let certificates = Certificates::new(Box::new(|url| Box::pin(https::get(url))));
            let endpoint = Arc::new(Endpoint::new(self.keys, intake, certificates));
            let session = |stream, _| Arc::clone(&endpoint).serve(stream, stop.clone());
            self.listener.serve(TOO_MANY_SESSIONS, &stop, session).await;
            Ok(())
        })
    }
}
