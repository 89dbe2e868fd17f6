//! Mails, and what is taken out of them and of text messages.

use agent_otp_domain::{Code, CodeShape};
use agent_otp_user::extract::{self, Extraction, Text};
use agent_otp_user::mail::read;

/// Whose links are asked for.
const DOMAIN: &str = "acme.example";
/// Every alphabet, the shortest code and the longest.
const SHAPES: [&str; 5] = ["digits:6", "digits:4-8", "letters:4-10", "alnum:4-10", "alnum:10"];

/// A mail has one sender, and reads the same each time.
pub fn mail(bytes: &[u8]) {
    let Ok(mail) = read(bytes) else { return };
    let (local, domain) = mail.from.rsplit_once('@').expect("a sender is an address");
    assert!(!local.is_empty() && domain.contains('.') && !domain.contains(char::is_whitespace));
    assert!((1..=2).contains(&mail.text.readings().count()));
    let again = read(bytes).expect("what was read is read again");
    assert!(again.from == mail.from && again.id == mail.id && again.text.readings().eq(mail.text.readings()));
}

/// What is taken out of a mail is a code or a link.
pub fn mail_with_code(bytes: &[u8]) {
    if let Ok(mail) = read(bytes) {
        takes_codes_alone(&mail.text, None);
    }
}

/// As [`mail`], for the body of an HTML mail.
pub fn html(bytes: &[u8]) {
    let head = b"From: a@acme.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n";
    mail(&[head, bytes].concat());
}

/// What is taken out of a text is a code or a link. The first byte says which shape is asked for.
pub fn extract(bytes: &[u8]) {
    let Some((shape, text)) = bytes.split_first() else { return };
    let shape = SHAPES.get(usize::from(*shape) % (SHAPES.len() + 1)).map(|shape| shape.parse().unwrap());
    takes_codes_alone(&Text::plain(&String::from_utf8_lossy(text)), shape.as_ref());
}

/// What leaves is nothing but a code of the shape that was asked for, or a link to the domain that was asked for.
pub(super) fn takes_codes_alone(text: &Text, shape: Option<&CodeShape>) {
    for domain in [None, Some(DOMAIN)] {
        if let Extraction::Code(code, _) = extract::code(text, shape, domain) {
            assert!(is_code(&code));
            assert!(shape.is_none_or(|shape| shape.fits(code.expose())));
        }
    }
    if let Extraction::Code(link, _) = extract::link(text, DOMAIN) {
        let rest = link.expose().strip_prefix("https://").expect("a link is https");
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let host = authority.split(':').next().unwrap_or_default().trim_end_matches('.').to_lowercase();
        assert!(host == DOMAIN || host.ends_with(".acme.example"));
        assert!(!authority.contains('@') && link.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

/// Whether it matches `[A-Za-z0-9-]{4,10}`.
pub(super) fn is_code(code: &Code) -> bool {
    let code = code.expose();
    (4..=10).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
