//! One response of a server (RFC 9051): where it ends, and what it says as far as that matters here.

use agent_otp_domain::Timestamp;
use imap_proto::{
    self as proto, AttributeValue, Capability, MailboxDatum, NameAttribute, Outcome, ResponseCode, Status,
};
use mail_parser::DateTime;
use zeroize::Zeroizing;

use crate::source::smtp::MAIL_MAX;

/// The longest response without its literals, in octets; some servers list a hundred capabilities in one line.
const LINE_MAX: usize = 64 * 1_024;

/// The longest response: one with the largest mail that is asked for.
const RESPONSE_MAX: usize = MAIL_MAX + LINE_MAX;

/// A response that passes the bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What a response says.
pub(super) enum Response {
    /// The client may go on with its command.
    Continuation,
    /// A command has ended.
    Tagged { tag: String, is_ok: bool, said: String },
    /// The server closes the connection, and why.
    Bye(String),
    /// The server tells something.
    Untagged(Untagged),
}

/// What a server tells.
pub(super) enum Untagged {
    /// How many messages there are: it says so when there is a new one.
    Exists(u32),
    /// Something about a message.
    Message(Listed),
    Capabilities(Vec<String>),
    UidValidity(u32),
    UidNext(u32),
    /// A folder that can be opened, as the server calls it.
    Folder(String),
    /// It is well, or knows the client already.
    Well,
    /// Anything else.
    Other,
}

/// What is known of one message.
pub(super) struct Listed {
    pub(super) uid: u32,
    /// When the server received it, by its own clock.
    pub(super) internal_date: Option<Timestamp>,
    pub(super) octets: Option<u32>,
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
}

/// The length of the first response in `octets`, with its literals; none if it is not all there.
pub(super) fn length(octets: &[u8]) -> Result<Option<usize>, TooLong> {
    let (mut end, mut line_octets) = (0, 0);
    loop {
        let rest = octets.get(end..).unwrap_or_default();
        let Some(lf) = rest.iter().take(LINE_MAX).position(|&octet| octet == b'\n') else {
            return if line_octets + rest.len() > LINE_MAX { Err(TooLong) } else { Ok(None) };
        };
        let line = rest.get(..=lf).unwrap_or_default();
        (end, line_octets) = (end + line.len(), line_octets + line.len());
        let Some(literal) = literal(line) else { return Ok(Some(end)) };
        end = end.checked_add(literal).filter(|end| *end <= RESPONSE_MAX).ok_or(TooLong)?;
        if line_octets > LINE_MAX {
            return Err(TooLong);
        }
        if end > octets.len() {
            return Ok(None);
        }
    }
}

/// How long the literal is that a line announces: `… {123}`.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r\n")?.strip_suffix(b"}")?;
    let open = line.iter().rposition(|&octet| octet == b'{')?;
    let digits = line.get(open + 1..)?;
    // A number that is too large is a literal all the same.
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX))
}

/// Reads one whole response. What cannot be read says nothing: servers say much that no client knows.
pub(super) fn read(response: &[u8]) -> Response {
    let ascii = ascii(response);
    let Ok((_, response)) = proto::Response::parse(ascii.as_deref().map_or(response, Vec::as_slice)) else {
        return Response::Untagged(Untagged::Other);
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told, and the library may learn of more")]
    match response {
        proto::Response::Continue(_) => Response::Continuation,
        proto::Response::Done { tag, status, outcome } => {
            Response::Tagged { tag: tag.0, is_ok: status == Status::Ok, said: text(&outcome) }
        }
        proto::Response::Data { status: Status::Bye, outcome } => Response::Bye(text(&outcome)),
        response => Response::Untagged(untagged(response)),
    }
}

/// A response of one line with `?` for what is not ASCII, if there is any: the library reads no other text, and servers
/// say in any language why they refuse. What has a literal stays as it is.
fn ascii(response: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let is_line = response.iter().position(|&octet| octet == b'\n') == response.len().checked_sub(1);
    let as_ascii = |&octet: &u8| if octet.is_ascii() { octet } else { b'?' };
    (is_line && !response.is_ascii()).then(|| Zeroizing::new(response.iter().map(as_ascii).collect()))
}

fn untagged(response: proto::Response<'_>) -> Untagged {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "nothing else matters here, whatever the library learns of"
    )]
    match response {
        proto::Response::Capabilities(capabilities) => Untagged::Capabilities(names(&capabilities)),
        proto::Response::Data {
            outcome: Outcome { code: Some(ResponseCode::UidValidity(number)), .. },
            ..
        } => Untagged::UidValidity(number),
        proto::Response::Data {
            outcome: Outcome { code: Some(ResponseCode::UidNext(number)), .. }, ..
        } => Untagged::UidNext(number),
        proto::Response::Data { status: Status::Ok | Status::PreAuth, .. } => Untagged::Well,
        proto::Response::MailboxData(MailboxDatum::Exists(number)) => Untagged::Exists(number),
        proto::Response::MailboxData(MailboxDatum::List(folder))
            if !folder.name_attributes.contains(&NameAttribute::NoSelect) =>
        {
            Untagged::Folder(folder.name.into_owned())
        }
        proto::Response::Fetch(_, attributes) => message(attributes),
        _ => Untagged::Other,
    }
}

fn message(attributes: Vec<AttributeValue<'_>>) -> Untagged {
    let mut listed = Listed { uid: 0, internal_date: None, octets: None, body: None };
    for attribute in attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else was asked for")]
        match attribute {
            AttributeValue::Uid(number) => listed.uid = number,
            AttributeValue::InternalDate(date) => listed.internal_date = moment(&date),
            AttributeValue::Rfc822Size(number) => listed.octets = Some(number),
            AttributeValue::BodySection { section: None, data: Some(data), .. } => {
                listed.body = Some(Zeroizing::new(data.to_vec()));
            }
            _ => {}
        }
    }
    // Without its UID, which is never 0, it is told of a message that nobody asked about: its flags have changed.
    if listed.uid == 0 { Untagged::Other } else { Untagged::Message(listed) }
}

/// A moment as IMAP writes it: `17-Jul-1996 02:44:25 -0700`.
fn moment(date: &str) -> Option<Timestamp> {
    let (day, time) = date.trim().split_once(' ')?;
    let moment = DateTime::parse_rfc822(&format!("{} {time}", day.replace('-', " ")))?;
    moment.is_valid().then(|| Timestamp::from_unix_ms(moment.to_timestamp().saturating_mul(1_000)))
}

fn names(capabilities: &[Capability<'_>]) -> Vec<String> {
    let name = |capability: &Capability<'_>| match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(mechanism) => format!("AUTH={}", mechanism.to_uppercase()),
        Capability::Atom(atom) => atom.to_uppercase(),
    };
    capabilities.iter().map(name).collect()
}

fn text(outcome: &Outcome<'_>) -> String {
    agent_otp_domain::visible(outcome.information.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_ends_with_its_line_and_what_follows_its_literals() {
        for (octets, expected) in [
            ("", None),
            ("* OK", None),
            ("* OK\r\n* NO", Some(6)),
            ("* 1 FETCH (BODY[] {3}\r\na\r\n)\r\n", Some(29)),
            ("* 1 FETCH (BODY[] {3}\r\na\r\n", None),
            ("* 1 FETCH (BODY[] {3}\r\na\r\n A {0}\r\n)\r\nx", Some(37)),
            ("* OK {3x}\r\nx", Some(11)),
        ] {
            assert_eq!(length(octets.as_bytes()), Ok(expected), "{octets:?}");
        }
    }

    #[test]
    fn a_response_beyond_the_bounds_is_refused() {
        let largest = format!("* 1 FETCH (BODY[] {{{MAIL_MAX}}}\r\n");
        assert_eq!(length(largest.as_bytes()), Ok(None));
        for octets in [
            "* {99999999}\r\n",
            "* {99999999999999999999999}\r\n",
            &"x".repeat(LINE_MAX + 1),
            &"* {0}\r\n".repeat(LINE_MAX),
        ] {
            assert_eq!(length(octets.as_bytes()), Err(TooLong));
        }
    }

    #[test]
    fn what_a_server_tells_is_read() {
        let Response::Untagged(Untagged::Message(listed)) = read(b"* 12 FETCH (UID 7 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 3 BODY[] {3}\r\na\0b)\r\n") else {
            panic!("a message")
        };
        assert_eq!((listed.uid, listed.octets), (7, Some(3)));
        assert_eq!(listed.internal_date, Some("1996-07-17T09:44:25Z".parse().unwrap()));
        assert_eq!(listed.body.unwrap().as_slice(), b"a\0b");
        assert!(matches!(read(b"* 3 FETCH (FLAGS (\\Seen))\r\n"), Response::Untagged(Untagged::Other)));
        assert!(matches!(read(b"* 23 EXISTS\r\n"), Response::Untagged(Untagged::Exists(23))));
        assert!(matches!(
            read(b"* OK [UIDVALIDITY 9] UIDs valid\r\n"),
            Response::Untagged(Untagged::UidValidity(9))
        ));
        assert!(matches!(
            read(b"* OK [UIDNEXT 4392] Predicted next UID\r\n"),
            Response::Untagged(Untagged::UidNext(4_392))
        ));
        assert!(matches!(read(b"+ idling\r\n"), Response::Continuation));
        assert!(matches!(read(b"+\r\n"), Response::Continuation));
        assert!(matches!(read(b"* BYE over\r\n"), Response::Bye(_)));
        assert!(matches!(read(b"* PREAUTH hello\r\n"), Response::Untagged(Untagged::Well)));
        let Response::Tagged { tag, is_ok, said } =
            read(b"A7 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n")
        else {
            panic!("an end")
        };
        assert_eq!((tag.as_str(), is_ok), ("A7", false));
        assert!(said.contains("Invalid credentials"), "{said}");
        let Response::Untagged(Untagged::Capabilities(names)) =
            read(b"* CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN AUTH=XOAUTH2 SASL-IR\r\n")
        else {
            panic!("capabilities")
        };
        assert_eq!(names, ["IMAP4REV1", "IDLE", "AUTH=PLAIN", "AUTH=XOAUTH2", "SASL-IR"]);
        let Response::Untagged(Untagged::Folder(name)) =
            read(b"* LIST (\\HasNoChildren) \"/\" \"[Gmail]/All Mail\"\r\n")
        else {
            panic!("a folder")
        };
        assert_eq!(name, "[Gmail]/All Mail");
    }

    /// RFC 9051 lets a server say in UTF-8 what RFC 3501 has it say in ASCII.
    #[test]
    fn a_server_may_say_it_in_any_language() {
        let Response::Tagged { tag, is_ok, said } =
            read("A3 NO [AUTHENTICATIONFAILED] Ungültiges Passwort\r\n".as_bytes())
        else {
            panic!("an end")
        };
        assert_eq!((tag.as_str(), is_ok), ("A3", false));
        assert_eq!(said, "[AUTHENTICATIONFAILED] Ung??ltiges Passwort");
        assert!(matches!(read("* OK Grüß Gott\r\n".as_bytes()), Response::Untagged(Untagged::Well)));
        assert!(matches!(read("* BYE À bientôt\r\n".as_bytes()), Response::Bye(_)));
        assert!(matches!(read("+ weiß nicht\r\n".as_bytes()), Response::Continuation));
        let Response::Untagged(Untagged::Message(listed)) =
            read("* 12 FETCH (UID 7 BODY[] {2}\r\nü)\r\n".as_bytes())
        else {
            panic!("a message")
        };
        assert_eq!(listed.body.unwrap().as_slice(), "ü".as_bytes());
    }

    #[test]
    fn what_nobody_asked_about_is_passed_over() {
        let noselect = read(b"* LIST (\\Noselect) \"/\" \"[Gmail]\"\r\n");
        assert!(matches!(noselect, Response::Untagged(Untagged::Other)));
        for odd in ["* WHAT\r\n", "\r\n", "* 1 FETCH (UID)\r\n", "* OK [\r\n", "\u{fffd}\r\n"] {
            assert!(
                !matches!(
                    read(odd.as_bytes()),
                    Response::Untagged(Untagged::Message(_)) | Response::Tagged { .. }
                ),
                "{odd:?}"
            );
        }
    }
}
