//! Reads an e-mail: who sent it, and the text that a person would see.
//!
//! What is hidden in the HTML, quoted from an earlier mail, attached or forwarded as an attachment is not text.
//! Whether the mail is from whom it says is for [`authentication`].
//!
//! Bounds: 25 MiB of mail, 200 parts, 16 levels of parts, 256 KiB of text, 10,000 tags in an HTML part.

pub mod authentication;
mod html;
mod parts;
mod quote;
mod sender;
mod style;

use std::fmt;

use agent_otp_domain::{Digest, Timestamp};
use mail_parser::{ContentType, HeaderName, Message, MessageParser, MimeHeaders as _};
use zeroize::Zeroizing;

use crate::extract::Text;

/// The longest mail that is read, in bytes.
pub const MAIL_BYTES_MAX: usize = 25 * 1024 * 1024;

/// One e-mail.
pub struct Mail {
    /// The one address of the one `From` header, its domain in lower case; never the display name.
    pub from: String,
    /// SHA-256 of its Message-ID, if it has one.
    pub id: Option<Digest>,
    /// When it says that it was written, whoever says so.
    pub written_at: Option<Timestamp>,
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
    /// Others than its sender write what it says: it was posted to a mailing list (RFC 2369, RFC 2919), or to a discussion
    /// that a service sends on, such as the comments on an issue, or it invites to an event (RFC 6047).
    #[error("the mail is one of a discussion, where others than its sender write")]
    Discussion,
    /// There are two `From` headers, or one with several mailboxes or a group.
    #[error("the mail names more than one sender")]
    ManySenders,
}

/// Reads a mail as it came over the wire; malformed ones as far as a mail program would show them.
///
/// # Errors
///
/// [`MailError`] if there is not exactly one sender, if others write what it says, or if a bound is passed.
pub fn read(raw: &[u8]) -> Result<Mail, MailError> {
    if raw.len() > MAIL_BYTES_MAX || parts::are_too_many(raw) {
        return Err(MailError::TooLarge);
    }
    let message = MessageParser::default().parse(raw).ok_or(MailError::NoMail)?;
    let from = sender::of(&message, raw)?;
    if is_of_a_discussion(&message) {
        return Err(MailError::Discussion);
    }
    let subject =
        message.header(HeaderName::Subject).and_then(|subject| subject.as_text()).unwrap_or_default();
    let subject = Zeroizing::new(subject.to_owned());
    let (readings, links) = parts::readings(&message)?;
    let id = message.message_id().map(|id| Digest::of(&[id.as_bytes()]));
    let written_at = date(&message);
    Ok(Mail { from, id, written_at, text: Text::mail(subject, readings, links) })
}

/// What the one `Date` says.
fn date(message: &Message<'_>) -> Option<Timestamp> {
    let dates = message.headers().iter().filter(|header| header.name == HeaderName::Date);
    let date = message.date().filter(|date| dates.count() == 1 && date.is_valid())?;
    Some(Timestamp::from_unix_ms(date.to_timestamp().saturating_mul(1_000)))
}

/// Whether anyone may have written what it says: its sender's domain signs the words of others too.
fn is_of_a_discussion(message: &Message<'_>) -> bool {
    let has = |header: HeaderName<'_>| message.header(header).is_some();
    let is_posted = message
        .header_raw(HeaderName::ListPost)
        .is_some_and(|posts| !posts.trim().eq_ignore_ascii_case("no"));
    let is_re = message.subject().is_some_and(|subject| {
        subject.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"))
    });
    let is_answer = is_re || has(HeaderName::InReplyTo) || has(HeaderName::References);
    let invites = message.parts.iter().filter_map(|part| part.content_type()).any(is_invitation);
    is_posted || invites || (has(HeaderName::ListId) && is_answer)
}

/// Whether a part asks its reader to come, or answers that (RFC 5546); what is only published may lie beside a code.
fn is_invitation(kind: &ContentType<'_>) -> bool {
    let is_calendar = kind.c_subtype.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("calendar"));
    let method = kind.attribute("method").filter(|method| !method.eq_ignore_ascii_case("publish"));
    is_calendar && method.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_of_a_mail_shows_nothing_of_it() {
        insta::assert_debug_snapshot!(read(b"From: a@acme.example\r\n\r\nYour code is 482913").unwrap(), @"Mail(redacted)");
    }

    #[test]
    fn malformed_mail_is_read_as_far_as_it_goes() {
        for mail in [
            "Content-Type: multipart/alternative\r\n\r\n--zz\r\n\r\nYour code is 482913\r\n--zz--\r\n",
            "Content-Type: multipart/mixed; boundary=zz\n\n--zz\n\nYour code is 482913\n",
            "Content-Type: text/plain; charset=none-such\r\n\r\nYour code is 482913",
            "Content-Type: ;;;\r\nContent-Transfer-Encoding: what\r\n\r\nYour code is 482913",
            "Content-Type: text/html\n\n<p>Your code is <b>482913<td>",
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nYour code is =34=382913=",
        ] {
            let mail = read(format!("From: a@acme.example\r\n{mail}").as_bytes()).unwrap();
            assert!(
                mail.text.readings().all(|text| text.contains("482913")),
                "{:?}",
                mail.text.readings().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn neither_text_nor_link_of_an_answered_mail_is_read() {
        let new = "<p>New: <a href=\"https://acme.example/magic?t=new\">Sign in</a></p>";
        let old = "<p>From: Acme<br>Sent: Monday<br>To: me</p><p>Old: <a href=\"https://acme.example/magic?t=old\">Sign in</a></p>";
        let mail =
            read(format!("From: a@acme.example\r\nContent-Type: text/html\r\n\r\n{new}{old}").as_bytes());
        let text = mail.unwrap().text;
        let links: Vec<&str> = text.links().iter().map(|link| link.href.as_str()).collect();
        assert_eq!(links, ["https://acme.example/magic?t=new"]);
        assert!(text.readings().all(|reading| reading.contains("New") && !reading.contains("Old")));
    }

    #[test]
    fn what_others_write_by_way_of_the_sender_is_not_read() {
        for (header, is_read) in [
            ("List-Post: <mailto:reply+1@reply.acme.example>", false),
            ("List-ID: acme/mailkit <mailkit.acme.example>\r\nIn-Reply-To: <1@acme.example>", false),
            ("List-Id: <list.acme.example>\r\nReferences: <1@acme.example>", false),
            ("List-Id: <mailkit.acme.example>\r\nSubject: RE: a wrong code", false),
            ("Content-Type: text/calendar; method=REQUEST", false),
            ("Content-Type: text/calendar; method=PUBLISH", true),
            ("List-Post: NO", true),
            ("Subject: Re: your code", true),
            ("List-Id: <transactional.acme.example>", true),
            ("In-Reply-To: <1@acme.example>", true),
            ("List-Unsubscribe: <https://acme.example/u>\r\nPrecedence: bulk", true),
        ] {
            let mail = format!("From: a@acme.example\r\n{header}\r\n\r\nYour code is 482913.");
            let read = read(mail.as_bytes()).map(|_| ());
            assert_eq!(read, if is_read { Ok(()) } else { Err(MailError::Discussion) }, "{header}");
        }
    }

    #[test]
    fn an_attachment_is_no_text() {
        for part in [
            "Content-Type: text/plain\nContent-Disposition: attachment",
            "Content-Type: text/plain; name=a.txt",
            "Content-Type: text/csv",
            "Content-Type: message/rfc822\n\nFrom: b@evil.example",
            "Content-Type: text/x-amp-html",
            "Content-Type: application/pdf",
        ] {
            let mail = format!(
                "From: a@acme.example\nContent-Type: multipart/mixed; boundary=zz\n\n--zz\n\nhello\n--zz\n{part}\n\n482913\n--zz--\n"
            );
            let mail = read(mail.as_bytes()).unwrap();
            assert!(
                mail.text.readings().all(|text| text.contains("hello") && !text.contains("482913")),
                "{part}"
            );
        }
    }

    #[test]
    fn a_mail_beyond_the_bounds_is_refused() {
        for body in [
            "Content-Type: message/rfc822\r\n\r\n".repeat(100_000),
            format!(
                "Content-Type: multipart/digest; boundary=a\r\n\r\n{}",
                "--a\r\n\r\nX: a\r\n\r\n".repeat(100_000)
            ),
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n".repeat(20),
            format!("Content-Type: text/html\r\n\r\n{}", "<div>".repeat(5_000_000)),
            format!("Content-Type: text/html\r\n\r\n{}", "<div>".repeat(20_000)),
            format!("\r\n{}", "a\r\n".repeat(100_000)),
        ] {
            let mail = format!("From: a@acme.example\r\n{body}");
            assert_eq!(
                read(mail.as_bytes()).map(|mail| mail.from),
                Err(MailError::TooLarge),
                "{}",
                mail.get(..90).unwrap()
            );
        }
    }
}
