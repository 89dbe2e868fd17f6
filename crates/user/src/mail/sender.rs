//! The one address that a mail says it is from.

use mail_parser::{Address, HeaderName, Message};

use super::MailError;

/// The address of the one `From` header.
pub(super) fn of(message: &Message<'_>, raw: &[u8]) -> Result<String, MailError> {
    let mut headers = message.headers().iter().filter(|header| header.name == HeaderName::From);
    let header = headers.next().ok_or(MailError::NoSender)?;
    if headers.next().is_some() {
        return Err(MailError::ManySenders);
    }
    let written = usize::try_from(header.offset_start).ok().zip(usize::try_from(header.offset_end).ok());
    let written = written.and_then(|(start, end)| raw.get(start..end)).unwrap_or_default();
    if at_signs(written) > 1 {
        return Err(MailError::ManySenders);
    }
    let Some(Address::List(mailboxes)) = header.value.as_address() else {
        let group = matches!(header.value.as_address(), Some(Address::Group(_)));
        return Err(if group { MailError::ManySenders } else { MailError::NoSender });
    };
    let [mailbox] = mailboxes.as_slice() else {
        return Err(if mailboxes.is_empty() { MailError::NoSender } else { MailError::ManySenders });
    };
    mailbox.address.as_deref().and_then(normalised).ok_or(MailError::NoSender)
}

/// How many addresses are written in a header: `@` outside quotes, comments and domain literals.
///
/// A parser may take the first of `<a@one.example> <b@two.example>` and drop the second without a word.
fn at_signs(header: &[u8]) -> usize {
    let (mut quoted, mut escaped, mut comments, mut count) = (false, false, 0_usize, 0);
    for byte in header {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments += 1,
            b')' if !quoted => comments = comments.saturating_sub(1),
            b'@' if !quoted && comments == 0 => count += 1,
            _ => {}
        }
    }
    count
}

/// `local@domain` with the domain in lower case; a domain is letters, digits, hyphens and full stops, or IDNA.
fn normalised(address: &str) -> Option<String> {
    let (local, domain) = address.trim().rsplit_once('@')?;
    let domain = domain.trim_end_matches('.').to_lowercase();
    let plain = |c: char| c.is_alphanumeric() || c == '-';
    let labels = domain.split('.').all(|label| !label.is_empty() && label.chars().all(plain));
    let local_is_plain = !local.is_empty()
        && !local.chars().any(|c| c.is_control() || c.is_whitespace() || "<>,;@".contains(c));
    (labels && domain.contains('.') && local_is_plain).then(|| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::super::{MailError, read};

    #[test]
    fn the_sender_is_the_address_and_never_the_name() {
        for (from, address) in [
            ("a@acme.example", "a@acme.example"),
            ("Acme <A@Mail.ACME.example>", "A@mail.acme.example"),
            ("\"GitHub <noreply@github.example>\" <noreply@evil.example>", "noreply@evil.example"),
            ("\"a, b: c;\" <a@acme.example>", "a@acme.example"),
            ("=?utf-8?q?x=40github.example?= <a@evil.example>", "a@evil.example"),
            ("a@acme.example (b@evil.example)", "a@acme.example"),
            ("<a@xn--bcher-kva.example>", "a@xn--bcher-kva.example"),
        ] {
            assert_eq!(read(mail(from).as_bytes()).map(|mail| mail.from), Ok(address.to_owned()), "{from}");
        }
    }

    #[test]
    fn a_mail_with_more_than_one_sender_is_refused() {
        for from in [
            "a@acme.example, b@evil.example",
            "<a@acme.example> <b@evil.example>",
            "Team: a@acme.example, b@evil.example;",
            "Team: a@acme.example;",
            "a@acme.example\r\nFrom: b@evil.example",
            "a@acme.example\r\nfrom : b@evil.example",
            "a@acme.example b@evil.example",
            "Acme <a@acme.example>, Evil",
        ] {
            assert_eq!(
                read(mail(from).as_bytes()).map(|mail| mail.from),
                Err(MailError::ManySenders),
                "{from}"
            );
        }
    }

    #[test]
    fn a_mail_without_a_sender_is_refused() {
        for from in ["", "Acme", "<>", "a@", "@acme.example", "a@acme", "undisclosed"] {
            assert_eq!(read(mail(from).as_bytes()).map(|mail| mail.from), Err(MailError::NoSender), "{from}");
        }
        assert_eq!(read(b"Subject: hi\r\n\r\nhi").map(|mail| mail.from), Err(MailError::NoSender));
        assert_eq!(read(b"").map(|mail| mail.from), Err(MailError::NoMail));
    }

    fn mail(from: &str) -> String {
        format!("From: {from}\r\nTo: user@home.example\r\nSubject: hi\r\n\r\nhello\r\n")
    }
}
