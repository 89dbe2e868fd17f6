//! Reads an e-mail: who sent it, and the text that a person would see.
//!
//! What is hidden in the HTML, quoted from an earlier mail, attached or forwarded as an attachment is not text.
//! Bounds: 25 MiB of mail, 200 parts, 16 levels, 256 KiB of text; see also [`html`] for its own.

mod html;
mod parts;
mod quote;
mod sender;
mod style;

use std::fmt;

use mail_parser::{HeaderName, MessageParser};
use zeroize::Zeroizing;

use crate::extract::Text;

/// The longest mail that is read, in bytes.
pub const MAIL_BYTES_MAX: usize = 25 * 1024 * 1024;

/// The most parts of a mail. It also bounds how deeply forwarded mails are nested, which costs stack.
const PARTS_MAX: usize = 200;

/// One e-mail.
pub struct Mail {
    /// The one address of the one `From` header, its domain in lower case; never the display name.
    pub from: String,
    /// What a person would read.
    pub text: Text,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail(redacted)")
    }
}

/// Why a mail is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// There is no header at all, or none that can be read.
    #[error("this is no mail: it has no header")]
    NoMail,
    /// The mail, its text or its number of parts passes a bound.
    #[error("the mail is too large to be a mail with a code")]
    TooLarge,
    /// There is no `From` header, or one without an address.
    #[error("the mail names no sender")]
    NoSender,
    /// There are two `From` headers, or one with several mailboxes or a group.
    #[error("the mail names more than one sender")]
    ManySenders,
}

/// Reads a mail as it came over the wire; malformed ones as far as a mail program would show them.
///
/// # Errors
///
/// [`MailError`] if there is not exactly one sender, or if a bound is passed.
pub fn read(raw: &[u8]) -> Result<Mail, MailError> {
    if raw.len() > MAIL_BYTES_MAX || parts::count(raw) > PARTS_MAX {
        return Err(MailError::TooLarge);
    }
    let message = MessageParser::default().parse(raw).ok_or(MailError::NoMail)?;
    let from = sender::of(&message, raw)?;
    let subject = message.header(HeaderName::Subject).and_then(|subject| subject.as_text()).unwrap_or_default();
    let subject = Zeroizing::new(subject.to_owned());
    let (readings, links) = parts::readings(&message)?;
    Ok(Mail { from, text: Text::mail(subject, readings, links) })
}
