//! One delivery: length, signature over the raw body, time, and only then what it says, whether it came before, and intake.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_otp_domain::{Digest, Sender, Timestamp};
use agent_otp_jetstream::clock;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

use crate::extract::Text;
use crate::intake::{Intake, Place, Sms};

use super::answer::{Answer, Outcome, Refusal};
use super::certificates::{Certificate, Certificates};
use super::delivery::Delivery;
use super::gateway::{Covers, GATEWAYS, Gateway, Said, Signed};
use super::keys::{KeySet, Keys, SECRET_PATH_MIN};
use super::seen::Seen;
use super::vonage::Vonage;
use super::{NAME, NAME_UNSIGNED, PATH};

/// The longest body, in octets: a text message of ten parts and all that gateways tell of it, many times over.
pub(super) const BODY_OCTETS_MAX: usize = 64 * 1_024;

/// How long a peer may take for its whole request.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(10);

/// How far a gateway's clock may be off; within this time a recorded delivery is known by its id alone.
pub(super) const OFF_MAX: Duration = Duration::from_mins(5);

/// How long a peer may take to receive the answer, and then to close.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The longest request line with all headers, in octets.
const HEAD_OCTETS_MAX: usize = 16 * 1_024;

/// Where deliveries are judged.
#[derive(Debug)]
pub(super) struct Endpoint {
    keys: Keys,
    intake: Intake,
    certificates: Certificates,
    seen: Mutex<Seen>,
}

impl Endpoint {
    pub(super) fn new(keys: Keys, intake: Intake, certificates: Certificates) -> Self {
        Self { keys, intake, certificates, seen: Mutex::default() }
    }

    /// Serves a peer's one request.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, stop: CancellationToken) {
        let until = Instant::now() + REQUEST_MAX;
        let service = service_fn(|request| {
            let endpoint = Arc::clone(&self);
            Box::pin(async move { Ok::<_, Infallible>(endpoint.answer(request, until).await) })
        });
        let mut connection = http1::Builder::new()
            .keep_alive(false)
            .half_close(true)
            .max_header_size(HEAD_OCTETS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let served = poll_fn(|context| connection.poll_without_shutdown(context));
        let mut served = timeout_at(until + CLOSE_MAX, stop.run_until_cancelled(served)).await;
        if matches!(served, Ok(None)) {
            // The listener stops: a request that is there is still answered.
            Pin::new(&mut connection).graceful_shutdown();
            let last = poll_fn(|context| connection.poll_without_shutdown(context));
            served = timeout(CLOSE_MAX, last).await.map(Some);
        }
        if !matches!(served, Ok(Some(Ok(())))) {
            debug!("delivery broken off");
        }
        close(connection.into_parts().io.into_inner()).await;
    }

    async fn answer(&self, request: Request<Incoming>, until: Instant) -> Answer {
        match self.deliver(request, until).await {
            Ok((gateway, outcome)) => {
                match outcome {
                    Outcome::NoSender | Outcome::Part => {
                        warn!(gateway = gateway.name(), %outcome, "delivery received");
                    }
                    Outcome::Taken | Outcome::Copy | Outcome::NoSms | Outcome::Subscription => {
                        info!(gateway = gateway.name(), %outcome, "delivery received");
                    }
                }
                gateway.thank(outcome)
            }
            Err(refusal) => {
                warn!(reason = %refusal, "delivery refused");
                refusal.into()
            }
        }
    }

    async fn deliver(
        &self,
        request: Request<Incoming>,
        until: Instant,
    ) -> Result<(&'static dyn Gateway, Outcome), Refusal> {
        let is_at_secret_path = self.is_secret(request.uri().path())?;
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let (head, body) = request.into_parts();
        let body = timeout_at(until, read(body)).await.map_err(|_| Refusal::TooSlow)??;
        let target = head.uri.path_and_query().map_or(PATH, |target| target.as_str()).to_owned();
        let keys = self.keys()?;
        let public_urls = keys.public_urls.clone();
        let headers = head.headers;
        let mut delivery =
            Delivery { target, is_at_secret_path, public_urls, headers, body, certificate: None };
        delivery.certificate = timeout_at(until, self.certificate(&delivery, &keys))
            .await
            .map_err(|_| Refusal::NoCertificate)??;
        let (gateway, judged) = judge(&delivery, &keys, clock::now())?;
        let outcome = match judged {
            Judged::Sms(taking) => {
                let place = self.intake.place().await.map_err(|_| Refusal::Busy)?;
                self.take(*taking, place)?
            }
            Judged::Outcome(outcome) => outcome,
        };
        Ok((gateway, outcome))
    }

    fn keys(&self) -> Result<KeySet, Refusal> {
        self.keys.read().map_err(|error| {
            error!(%error, "no delivery can be verified");
            Refusal::NoKeys
        })
    }

    /// Whether a path is the secret one; if not, it has to be the one that everybody knows.
    fn is_secret(&self, path: &str) -> Result<bool, Refusal> {
        match path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/')) {
            None if path == PATH => Ok(false),
            Some(word) if word.len() >= SECRET_PATH_MIN && self.keys()?.is_secret_path(word) => Ok(true),
            Some(_) | None => Err(Refusal::Nowhere),
        }
    }

    /// The certificate that the delivery needs to be verified, if it needs one.
    async fn certificate(
        &self,
        delivery: &Delivery,
        keys: &KeySet,
    ) -> Result<Option<Arc<Certificate>>, Refusal> {
        let Some(gateway) = GATEWAYS.into_iter().find(|gateway| gateway.claims(delivery)) else {
            return Ok(None);
        };
        let Some(url) = keys.of(gateway).find_map(|key| gateway.certificate(delivery, key)) else {
            return Ok(None);
        };
        let certificate = self.certificates.at(url).await.map_err(|error| {
            error!(%error, "no certificate");
            Refusal::NoCertificate
        });
        certificate.map(Some)
    }

    /// Hands the message on, unless it came before. One that found no place is not remembered, so it may come again.
    fn take(&self, Taking { source, sms, once }: Taking, place: Place<'_>) -> Result<Outcome, Refusal> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let id = sms.id;
        if seen.holds(&id) {
            return Ok(Outcome::Copy);
        }
        if once.is_some_and(|once| seen.holds(&once)) {
            return Err(Refusal::Replayed);
        }
        place.sms(source, sms);
        seen.remember(id);
        if let Some(once) = once {
            seen.remember(once);
        }
        Ok(Outcome::Taken)
    }
}

/// Judges a whole delivery.
fn judge(
    delivery: &Delivery,
    keys: &KeySet,
    now: Timestamp,
) -> Result<(&'static dyn Gateway, Judged), Refusal> {
    let gateway = GATEWAYS.into_iter().find(|gateway| gateway.claims(delivery)).ok_or_else(|| {
        // The gateway says so itself: a webhook may lack its signature, and comes again after an error of ours alone.
        let is_of_vonage = Vonage::is_unsigned(delivery) && keys.of(&Vonage).next().is_some();
        if is_of_vonage { Refusal::SignatureLeftOut } else { Refusal::Unsigned }
    })?;
    let signed = verify(gateway, delivery, keys)?;
    if let Signed::At(signed_at) = signed {
        check_time(gateway, signed_at, now)?;
    }
    let sms = match gateway.read(delivery)? {
        Said::Sms(sms) => sms,
        Said::Part => return Ok((gateway, Judged::Outcome(Outcome::Part))),
        Said::Subscription { url } => {
            warn!(gateway = gateway.name(), url, "open this URL if these deliveries are to come here");
            return Ok((gateway, Judged::Outcome(Outcome::Subscription)));
        }
        Said::Nothing => return Ok((gateway, Judged::Outcome(Outcome::NoSms))),
    };
    let Some(sender) = sender(&sms.sender) else {
        return Ok((gateway, Judged::Outcome(Outcome::NoSender)));
    };
    let digest = |kind: u8, word: &str| Digest::of(&[gateway.name().as_bytes(), &[kind], word.as_bytes()]);
    let once = match &signed {
        Signed::Once(word) => Some(digest(1, word)),
        Signed::At(_) | Signed::Undated => None,
    };
    let sms = Sms {
        sender,
        // What the phone received long ago is old, however late it comes; a time to come is none.
        received_at: sms.received_at.unwrap_or(now).min(now),
        id: digest(0, &sms.id),
        text: Text::plain(&sms.text),
    };
    let source = match gateway.covers() {
        Covers::TheText => NAME,
        Covers::NotTheText => NAME_UNSIGNED,
    };
    Ok((gateway, Judged::Sms(Box::new(Taking { source, sms, once }))))
}

/// Whether a delivery that was signed at this time is neither too old nor from a time to come.
fn check_time(gateway: &dyn Gateway, signed_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    let (off, is_ahead) = (signed_at.distance(now), signed_at > now);
    let allowed = if is_ahead { OFF_MAX } else { gateway.late_max() };
    if off > allowed { Err(Refusal::Clock { off, is_ahead, allowed }) } else { Ok(()) }
}

/// What a delivery has turned out to be.
enum Judged {
    /// A message.
    Sms(Box<Taking>),
    /// Something that is dealt with.
    Outcome(Outcome),
}

/// A message that is to be handed on.
struct Taking {
    source: &'static str,
    sms: Sms,
    /// What its gateway signs for one message alone, if it does.
    once: Option<Digest>,
}

/// Whether one of the user's keys has signed the delivery, and whether it came where such a delivery may come.
fn verify(gateway: &dyn Gateway, delivery: &Delivery, keys: &KeySet) -> Result<Signed, Refusal> {
    let mut keys = keys.of(gateway).peekable();
    if keys.peek().is_none() {
        return Err(Refusal::NoKey { gateway: gateway.name(), key_name: gateway.key_name() });
    }
    let signed = keys
        .find_map(|key| gateway.verify(delivery, key))
        .ok_or_else(|| gateway.hint(delivery).map_or(Refusal::Forged, Refusal::OtherSignature))?;
    if gateway.covers() == Covers::NotTheText && !delivery.is_at_secret_path {
        return Err(Refusal::OpenPath { gateway: gateway.name() });
    }
    Ok(signed)
}

/// Reads a whole body. One that says that it is too long is not read at all.
async fn read(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    if body.size_hint().lower() > BODY_OCTETS_MAX as u64 {
        return Err(Refusal::TooLarge);
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(BODY_OCTETS_MAX));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        if octets.len() + data.len() > BODY_OCTETS_MAX {
            return Err(Refusal::TooLarge);
        }
        octets.extend_from_slice(&data);
    }
    Ok(octets)
}

/// Whom the gateway names, as requests name them.
fn sender(text: &str) -> Option<Sender> {
    let number = text.parse().map(Sender::Number);
    number.or_else(|_| text.parse().map(Sender::SenderId)).ok()
}

/// Closes the connection so that the peer gets the answer: what it still sends is thrown away, for a socket that is
/// closed with octets unread resets the connection.
async fn close(mut stream: TcpStream) {
    let closed = timeout(CLOSE_MAX, async {
        stream.shutdown().await?;
        let mut block = Zeroizing::new([0; 4_096]);
        while stream.read(block.as_mut_slice()).await? > 0 {}
        Ok::<_, std::io::Error>(())
    });
    if !matches!(closed.await, Ok(Ok(()))) {
        debug!("the peer does not close");
    }
}

#[cfg(test)]
mod desk;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
