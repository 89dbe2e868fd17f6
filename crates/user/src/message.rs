//! A message that reached the user, as far as it matters: who sent it, when it came, and what it says.

use agent_otp_domain::{Channel, Digest, Purpose, Sender, Timestamp};
use agent_otp_trust::{Evidence, SenderCheck};

use crate::extract::Text;

/// A message. Its text is zeroized when it is dropped, and its `Debug` shows nothing of it.
#[derive(Debug)]
pub struct Message {
    /// How it came.
    pub channel: Channel,
    /// Who sent it.
    pub sender: Sender,
    /// How sure that is.
    pub check: SenderCheck,
    /// Which source took it.
    pub source: &'static str,
    /// When it was received, by this machine's clock; of one that proves that it was written earlier, that time.
    pub received_at: Timestamp,
    /// What names it among all messages, as SHA-256: an e-mail's Message-ID (RFC 5322 §3.6.4), if it has one.
    pub id: Option<Digest>,
    /// What it says.
    pub text: Text,
}

impl Message {
    /// What a capture of this message rests on; `purpose` is what it says that its code is for.
    #[must_use]
    pub fn evidence(&self, purpose: Option<Purpose>) -> Evidence {
        Evidence {
            channel: self.channel,
            source: self.source.to_owned(),
            sender: self.check,
            received_at: self.received_at,
            purpose,
        }
    }
}
