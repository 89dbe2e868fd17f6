//! What a mail server says that it has found (RFC 8601), for users who trust their own with it.

use std::fmt;
use std::str::FromStr;

use mail_parser::Message;

/// The name of this header.
const NAME: &str = "Authentication-Results";

/// By what name a mail server signs its results (RFC 8601 §2.5), such as `mx.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthservId(String);

/// Why a text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no mail server; write what stands first in its Authentication-Results, such as mx.example.org"
)]
pub struct AuthservIdError {
    text: String,
}

impl FromStr for AuthservId {
    type Err = AuthservIdError;

    fn from_str(text: &str) -> Result<Self, AuthservIdError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if (1..=253).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AuthservIdError { text: text.to_owned() })
        }
    }
}

impl fmt::Display for AuthservId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether the topmost results of a mail are by this server, and say that `domain`, the one of `From`, passed DMARC.
///
/// The server adds its own above all that came with the mail, so a lower one may be anybody's.
pub(super) fn vouch(message: &Message<'_>, raw: &[u8], server: &AuthservId, domain: &str) -> bool {
    let topmost = message.headers().iter().find(|header| header.name.as_str().eq_ignore_ascii_case(NAME));
    let value = topmost.and_then(|header| {
        let (start, end) = (header.offset_start.try_into().ok()?, header.offset_end.try_into().ok()?);
        std::str::from_utf8(raw.get::<std::ops::Range<usize>>(start..end)?).ok()
    });
    value.and_then(clauses).is_some_and(|clauses| passes(&clauses, server, domain))
}

fn passes(clauses: &[String], server: &AuthservId, domain: &str) -> bool {
    let mut clauses = clauses.iter().map(|clause| clause.split_ascii_whitespace().collect::<Vec<_>>());
    let is_by_server = clauses.next().is_some_and(|words| words.first() == Some(&server.0.as_str()));
    let mut dmarc = clauses.filter(|words| words.first().is_some_and(|word| word.starts_with("dmarc")));
    let (Some(result), None) = (dmarc.next(), dmarc.next()) else { return false };
    let mut from = result.iter().filter_map(|word| word.strip_prefix("header.from="));
    let is_domain = from.next().is_some_and(|from| from.eq_ignore_ascii_case(domain));
    is_by_server && result.first() == Some(&"dmarc=pass") && is_domain && from.next().is_none()
}

/// The parts between semicolons, without comments and without what is quoted; `None` if one of these does not end.
fn clauses(value: &str) -> Option<Vec<String>> {
    let mut clauses = vec![String::new()];
    let (mut quoted, mut comments) = (false, 0_usize);
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted || comments > 0 => drop(characters.next()?),
            '"' if comments == 0 => quoted = !quoted,
            '(' if !quoted => comments += 1,
            ')' if !quoted => comments = comments.checked_sub(1)?,
            ';' if !quoted && comments == 0 => clauses.push(String::new()),
            // A comment parts words, and what is quoted is one of them.
            _ if quoted || comments > 0 => clauses.last_mut()?.push(if quoted { '"' } else { ' ' }),
            _ => clauses.last_mut()?.push(character),
        }
    }
    (!quoted && comments == 0).then_some(clauses)
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;

    #[test]
    fn only_the_topmost_results_of_exactly_the_trusted_server_vouch() {
        let pass = "dmarc=pass header.from=github.example";
        for (headers, vouches) in [
            (format!("mx.home.example; {pass}"), true),
            (format!("mx.home.example 1; spf=fail; {pass} (p=reject; dis=none)"), true),
            (format!("mx.home.example;\r\n dkim=pass header.d=x.example;\r\n {pass}"), true),
            ("mx.home.example; dmarc=pass (a (nested) \\) one) header.from=GitHub.example".to_owned(), true),
            (format!("mx.home.example; {pass}\r\nAuthentication-Results: other.example; {pass}"), true),
            (format!("other.example; {pass}\r\nAuthentication-Results: mx.home.example; {pass}"), false),
            (format!("mx.home.example; none\r\nAuthentication-Results: mx.home.example; {pass}"), false),
            (format!("mx.home.example.evil.example; {pass}"), false),
            (format!("evil.mx.home.example; {pass}"), false),
            (format!("MX.home.example; {pass}"), false),
            (format!("(mx.home.example;) evil.example; {pass}"), false),
            (format!("\"mx.home.example\"; {pass}"), false),
            ("mx.home.example; none".to_owned(), false),
            ("mx.home.example; dkim=pass header.d=github.example".to_owned(), false),
            ("mx.home.example; dmarc=pass header.from=evil.example".to_owned(), false),
            ("mx.home.example; dmarc=pass header.from=github.example.evil.example".to_owned(), false),
            ("mx.home.example; dmarc=pass".to_owned(), false),
            ("mx.home.example; dmarc=fail header.from=github.example".to_owned(), false),
            ("mx.home.example; dmarc=none header.from=github.example".to_owned(), false),
            (format!("mx.home.example; dmarc=fail header.from=github.example; {pass}"), false),
            (format!("mx.home.example; {pass}; dmarc=fail header.from=github.example"), false),
            (format!("mx.home.example; spf=pass reason=\"; {pass}\""), false),
            (format!("mx.home.example; spf=pass (; {pass})"), false),
            (format!("mx.home.example; spf=pass smtp.mailfrom=\"a {pass}\""), false),
            (format!("mx.home.example; {pass} (unended"), false),
            (format!("mx.home.example; {pass} \"unended"), false),
            (String::new(), false),
        ] {
            let mail = format!(
                "Authentication-Results: {headers}\r\nFrom: a@github.example\r\n\r\nhi\r\n\
                 Authentication-Results: mx.home.example; {pass}\r\n"
            );
            let message = MessageParser::default().parse(mail.as_bytes()).unwrap();
            let server = "mx.home.example".parse().unwrap();
            assert_eq!(vouch(&message, mail.as_bytes(), &server, "github.example"), vouches, "{headers}");
        }
    }

    #[test]
    fn a_server_is_named_by_one_word() {
        for text in ["", "mx.home.example;", "two words", "\"quoted\"", "ümlaut.example"] {
            assert!(text.parse::<AuthservId>().is_err(), "{text}");
        }
        assert_eq!("mx.home.example".parse::<AuthservId>().unwrap().to_string(), "mx.home.example");
    }
}
