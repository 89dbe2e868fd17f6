//! What a source hands its messages to: reads them, refuses what may not be used, passes the rest on.

use agent_otp_domain::{Channel, Sender};
use agent_otp_jetstream::clock;
use agent_otp_trust::SenderCheck;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

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

/// Why a message was not taken; the text is fit to be sent to the peer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The sender could not be verified.
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
        let mail =
            tokio::task::spawn_blocking(move || mail::read(&raw)).await.map_err(|_| Refused::Busy)??;
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
}
