//! What a source hands its messages to: reads them, refuses what may not be used, passes the rest on.

use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{Channel, Digest, Sender, Timestamp};
use agent_otp_jetstream::clock;
use agent_otp_trust::SenderCheck;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::extract::Text;
use crate::mail::authentication::{Authentic, Authenticator, Envelope, NotAuthentic};
use crate::mail::{self, Mail, MailError};
use crate::message::Message;
use crate::open::Open;

/// How many messages may wait for the capturer.
const WAITING_MAX: usize = 64;
/// How long one more waits for a place: many gateways never come again.
const PLACE_MAX: Duration = Duration::from_secs(3);

/// What is done with a mail whose sender nothing proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// It is refused.
    Refuse,
    /// It is taken on its word, and the evidence says so.
    Accept,
}

/// Takes messages from the sources, and hands them to the capturer.
#[derive(Debug, Clone)]
pub struct Intake {
    unverified: Unverified,
    authenticator: Arc<Authenticator>,
    received: mpsc::Sender<Received>,
    open: Open,
}

/// What reaches the capturer.
#[derive(Debug)]
pub enum Received {
    /// A message.
    Message(Message),
    /// Of a mail that was refused, that it came: the user may wait for it.
    Rejected(Rejected),
}

impl Received {
    /// The message, if it is one.
    #[must_use]
    pub fn message(self) -> Option<Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Rejected(_) => None,
        }
    }
}

/// A mail that was refused; none of its text is kept.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Whom it says that it is from.
    pub sender: Sender,
    /// When it came, by this machine's clock.
    pub received_at: Timestamp,
    /// Why it was refused.
    pub why: NotAuthentic,
}

/// A mail that a source has fetched from where one of the user's servers had put it.
pub(crate) struct Fetched {
    /// The mail.
    pub(crate) raw: Zeroizing<Vec<u8>>,
    /// When it was received, by this machine's clock; earlier, if its server received it earlier.
    pub(crate) received_at: Timestamp,
    /// What names the place where it lies, if nothing in it names the mail.
    pub(crate) place: Digest,
}

/// A text message whose gateway is known by its signature.
#[derive(Debug)]
pub(crate) struct Sms {
    /// Whom the gateway names; nobody can prove it.
    pub(crate) sender: Sender,
    /// When it was received, by this machine's clock as far as that is known.
    pub(crate) received_at: Timestamp,
    /// What names it among all messages.
    pub(crate) id: Digest,
    /// What it says.
    pub(crate) text: Text,
}

/// Why a message was not taken; the text is fit to be sent to the peer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nothing proves the sender of a mail.
    #[error("the sender of this mail is not proven: {0}")]
    NotAuthentic(NotAuthentic),
    /// The message could not be read.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// Too many messages are waiting.
    #[error("too many messages are waiting; try again")]
    Busy,
}

impl From<MailError> for Refused {
    fn from(error: MailError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Intake {
    /// An intake, and the other end of it.
    #[must_use]
    pub fn new(unverified: Unverified, authenticator: Authenticator) -> (Self, mpsc::Receiver<Received>) {
        let (sender, received) = mpsc::channel(WAITING_MAX);
        let authenticator = Arc::new(authenticator);
        (Self { unverified, authenticator, received: sender, open: Open::default() }, received)
    }

    /// The same, which also knows until when a request is open, at the longest: see [`Capturer::open_until`].
    ///
    /// [`Capturer::open_until`]: crate::Capturer::open_until
    #[must_use]
    pub fn while_open(self, until: watch::Receiver<Option<Timestamp>>) -> Self {
        Self { open: Open::until(until), ..self }
    }

    /// Whether a request is open.
    pub(crate) fn open(&self) -> Open {
        self.open.clone()
    }

    /// Reads and judges one e-mail and hands it to the capturer.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why it was not taken.
    pub async fn mail(
        &self,
        source: &'static str,
        envelope: &Envelope,
        raw: Zeroizing<Vec<u8>>,
    ) -> Result<(), Refused> {
        let received_at = clock::now();
        let read = read(raw).await?;
        self.judge(source, envelope, read, received_at).await
    }

    /// The same with a mail that was fetched. It may be handed in again, unless it was taken.
    ///
    /// Of a mail that is fetched SPF says nothing: the server that it came from is the user's own.
    pub(crate) async fn fetched(&self, source: &'static str, fetched: &Fetched) -> Result<(), Refused> {
        let (raw, mut mail) = read(fetched.raw.clone()).await?;
        mail.id.get_or_insert(fetched.place);
        self.judge(source, &Envelope::local(), (raw, mail), fetched.received_at).await
    }

    async fn judge(
        &self,
        source: &'static str,
        envelope: &Envelope,
        (raw, mail): (Zeroizing<Vec<u8>>, Mail),
        received_at: Timestamp,
    ) -> Result<(), Refused> {
        let address =
            mail.from.parse().map_err(|_| Refused::Malformed("its sender is no address".to_owned()))?;
        let sender = Sender::Address(address);
        let verified = self.authenticator.verify(&raw, envelope, clock::now()).await;
        let message = match (verified, self.unverified) {
            (Ok(authentic), _) => message(source, sender, mail, authentic, received_at),
            // What is proven to be old is no newer for being taken on its word; of what is dated ahead, its word is as good.
            (Err(why), Unverified::Refuse) | (Err(why @ NotAuthentic::Stale), Unverified::Accept) => {
                self.place().await?.hand_on(Received::Rejected(Rejected { sender, received_at, why }));
                return Err(Refused::NotAuthentic(why));
            }
            (Err(_), Unverified::Accept) => {
                let authentic = on_its_word(&mail);
                message(source, sender, mail, authentic, received_at)
            }
        };
        self.place().await?.hand_on(Received::Message(message));
        Ok(())
    }

    /// Waits for a place with the capturer.
    ///
    /// Fails with [`Refused::Busy`] alone.
    pub(crate) async fn place(&self) -> Result<Place<'_>, Refused> {
        if let Ok(place) = self.free_place() {
            return Ok(place);
        }
        let reserved = timeout(PLACE_MAX, self.received.reserve()).await;
        Ok(Place(reserved.map_err(|_elapsed| Refused::Busy)?.map_err(|_| Refused::Busy)?))
    }

    /// A place that is free now.
    pub(crate) fn free_place(&self) -> Result<Place<'_>, Refused> {
        self.received.try_reserve().map(Place).map_err(|_| Refused::Busy)
    }
}

/// A place with the capturer, for one message.
pub(crate) struct Place<'a>(mpsc::Permit<'a, Received>);

impl Place<'_> {
    /// Hands one text message to the capturer. That nobody vouches for its sender is in the nature of SMS, so it is
    /// taken whatever the user said of mail; the evidence says so.
    pub(crate) fn sms(self, source: &'static str, sms: Sms) {
        let Sms { sender, received_at, id, text } = sms;
        let message = Message {
            channel: Channel::Sms,
            sender,
            check: SenderCheck::Unverified,
            source,
            received_at,
            id: Some(id),
            text,
        };
        self.hand_on(Received::Message(message));
    }

    fn hand_on(self, received: Received) {
        self.0.send(received);
    }
}

/// Reads a mail. Hostile HTML may take a while, which other connections need not wait for.
async fn read(raw: Zeroizing<Vec<u8>>) -> Result<(Zeroizing<Vec<u8>>, Mail), Refused> {
    let read = move || mail::read(&raw).map(|mail| (raw, mail));
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| {
        // One that breaks its reader down does so each time: it is not to come again.
        if error.is_panic() { Refused::Malformed("its reader broke down".to_owned()) } else { Refused::Busy }
    })?;
    Ok(read?)
}

/// What is known of a mail that is taken although nothing proves its sender. That it is old is believed.
fn on_its_word(mail: &Mail) -> Authentic {
    Authentic { check: SenderCheck::Unverified, written_at: mail.written_at, covers_subject: true }
}

fn message(
    source: &'static str,
    sender: Sender,
    mail: Mail,
    authentic: Authentic,
    received_at: Timestamp,
) -> Message {
    let Authentic { check, written_at, covers_subject } = authentic;
    Message {
        channel: Channel::Email,
        sender,
        check,
        source,
        // What was sent long ago is old, however late it comes; a time to come is none. A `Date` is cut to whole seconds.
        received_at: written_at
            .map_or(received_at, |written_at| written_at.after(Duration::from_millis(999)).min(received_at)),
        id: mail.id,
        text: if covers_subject { mail.text } else { mail.text.without_subject() },
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
    use mail_parser::DateTime;
    use tokio::time::Instant;

    use crate::mail::authentication::Dns;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_message_too_many_waits_for_a_place_and_not_for_ever() {
        let authenticator = Authenticator::new(Dns::None, None).unwrap();
        let (intake, mut received) = Intake::new(Unverified::Refuse, authenticator);
        let sms = || Sms {
            sender: Sender::Number("+15551234567".parse().unwrap()),
            received_at: clock::now(),
            id: Digest::of(&[b"1"]),
            text: Text::plain("Your code is 482913."),
        };
        for _ in 0..WAITING_MAX {
            intake.place().await.unwrap().sms("sms-webhook", sms());
        }
        let mut waiting = pin!(intake.place());
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(received.recv().await);
        waiting.await.unwrap().sms("sms-webhook", sms());
        let began = Instant::now();
        assert!(matches!(intake.place().await.map(drop), Err(Refused::Busy)));
        assert_eq!(began.elapsed().as_secs(), PLACE_MAX.as_secs());
    }

    #[tokio::test]
    async fn what_is_taken_on_its_word_is_as_old_as_it_says_and_what_is_proven_to_be_old_is_not_taken() {
        let now = clock::now();
        let (hours, minutes) = (Duration::from_hours(2), Duration::from_mins(10));
        let second = Duration::from_secs(1);
        assert!(received(None, "").await.unwrap().distance(now) < minutes);
        assert!(received(Some(now.after(hours)), "").await.unwrap().distance(now) < minutes);
        for age in [minutes, hours] {
            let written_at = now.before(age);
            assert!(received(Some(written_at), "").await.unwrap().distance(written_at) <= second);
        }
        let proven = "Authentication-Results: mx.home.example; dmarc=pass header.from=acme.example\r\n";
        assert!(received(Some(now.before(minutes)), proven).await.is_some());
        assert_eq!(received(Some(now.before(hours)), proven).await, None);
    }

    /// When a mail with these headers and this date was received, by the message that becomes of it.
    async fn received(date: Option<Timestamp>, headers: &str) -> Option<Timestamp> {
        let authenticator = Authenticator::new(Dns::None, "mx.home.example".parse().ok()).unwrap();
        let (intake, mut received) = Intake::new(Unverified::Accept, authenticator);
        let date = date.map_or_else(String::new, |date| {
            format!("Date: {}\r\n", DateTime::from_timestamp(date.as_unix_ms() / 1_000).to_rfc822())
        });
        let raw = format!("{headers}{date}From: a@acme.example\r\n\r\nYour code is 482913.\r\n");
        let taken = intake.mail("smtp", &Envelope::local(), Zeroizing::new(raw.into_bytes())).await;
        let message = received.try_recv().unwrap().message();
        assert_eq!(taken.is_ok(), message.is_some());
        message.map(|message| message.received_at)
    }
}
