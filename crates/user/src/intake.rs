//! What a source hands its messages to: reads them, refuses what may not be used, passes the rest on.

use zeroize::Zeroizing;

/// Takes messages from the sources, and hands them to the capturer.
#[derive(Debug, Clone)]
pub struct Intake {}

/// Why a message was not taken; the text is fit to be sent to the peer.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The sender could not be verified.
    #[error("the sender of this mail cannot be verified; the user may start `agent-otp up --accept-unverified-mail`")]
    Unverified,
    /// The message could not be read.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// Too many messages are waiting.
    #[error("too many messages are waiting; try again")]
    Busy,
}

impl Intake {
    /// Reads and judges one e-mail and hands it to the capturer.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why it was not taken.
    #[expect(clippy::unused_async, reason = "the body follows")]
    pub async fn mail(&self, _source: &'static str, _raw: Zeroizing<Vec<u8>>) -> Result<(), Refused> {
        Ok(())
    }
}
