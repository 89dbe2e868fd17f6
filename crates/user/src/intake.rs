//! What a source hands its messages to: reads them, refuses what may not be used, passes the rest on.

use agent_otp_domain::{Channel, Digest, Sender, Timestamp};
use agent_otp_jetstream::clock;
use agent_otp_trust::SenderCheck;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::extract::Text;
use crate::mail::{self, MailError};
use crate::message::Message;

/// How many messages may wait for the capturer.
const WAITING_MAX: usize = 64;

/// What is done with a message whose sender nobody vouches for.
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
    messages: mpsc::Sender<Message>,
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
    /// The sender of a mail could not be verified.
    #[error(
        "the sender of this mail cannot be verified; the user may start `agent-otp up --accept-unverified-mail`"
    )]
    Unverified,
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
    pub fn new(unverified: Unverified) -> (Self, mpsc::Receiver<Message>) {
        let (messages, received) = mpsc::channel(WAITING_MAX);
        (Self { unverified, messages }, received)
    }

    /// Reads and judges one e-mail and hands it to the capturer.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why it was not taken.
    pub async fn mail(&self, source: &'static str, raw: Zeroizing<Vec<u8>>) -> Result<(), Refused> {
        let received_at = clock::now();
        // Nothing of a message that may not be used is looked at.
        if self.unverified == Unverified::Refuse {
            return Err(Refused::Unverified);
        }
        // Reading hostile HTML may take a while, which other connections need not wait for.
        let mail = tokio::task::spawn_blocking(move || mail::read(&raw)).await.map_err(|error| {
            // One that breaks its reader down does so each time: it is not to come again.
            if error.is_panic() {
                Refused::Malformed("its reader broke down".to_owned())
            } else {
                Refused::Busy
            }
        })??;
        let address =
            mail.from.parse().map_err(|_| Refused::Malformed("its sender is no address".to_owned()))?;
        let message = Message {
            channel: Channel::Email,
            sender: Sender::Address(address),
            check: SenderCheck::Unverified,
            source,
            received_at,
            id: mail.id,
            text: mail.text,
        };
        self.messages.try_send(message).map_err(|_| Refused::Busy)
    }

    /// Hands one text message to the capturer. That nobody vouches for its sender is in the nature of SMS, so it is
    /// taken whatever the user said of mail; the evidence says so.
    ///
    /// Fails with [`Refused::Busy`] alone.
    pub(crate) fn sms(&self, source: &'static str, sms: Sms) -> Result<(), Refused> {
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
        self.messages.try_send(message).map_err(|_| Refused::Busy)
    }
}
