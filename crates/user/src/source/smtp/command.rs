//! One command line, read: what the listener offers, or the reply that says what is wrong.

use std::borrow::Cow;

use smtp_proto::{Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};

use super::data::MAIL_MAX;
use super::reply::Reply;
use super::wire::LINE_MAX;

/// The flags of MAIL that the listener offers.
const MAIL_FLAGS: u64 = MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8;

/// A command that the listener offers. Recipients are judged by their syntax alone: everything is for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// With what the peer calls itself.
    Ehlo(String),
    /// With what the peer calls itself.
    Helo(String),
    /// The same in LMTP.
    Lhlo(String),
    StartTls,
    /// With the address that a bounce goes to; empty in a bounce.
    Mail(String),
    Rcpt,
    Data,
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
}

impl Command {
    /// Reads one line with its CRLF.
    ///
    /// # Errors
    ///
    /// The reply to a line that is too long, malformed, unknown, or asks for what is not offered.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Reply> {
        if line.len() > LINE_MAX {
            return Err(Reply::LINE_TOO_LONG);
        }
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err(Reply::BARE_LF);
        };
        if text.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t') {
            return Err(Reply::CONTROL_CHARACTER);
        }
        if is_http(text) {
            return Err(Reply::HTTP);
        }
        Request::parse(&mut line.iter()).map_err(complaint).and_then(Self::offered)
    }

    fn offered(request: Request<Cow<'_, str>>) -> Result<Self, Reply> {
        match request {
            Request::Ehlo { host } => Ok(Self::Ehlo(host.into_owned())),
            Request::Helo { host } => Ok(Self::Helo(host.into_owned())),
            Request::Lhlo { host } => Ok(Self::Lhlo(host.into_owned())),
            Request::StartTls => Ok(Self::StartTls),
            Request::Mail { from } => offered_sender(from).map(Self::Mail),
            Request::Rcpt { to } => offered_recipient(to).map(|()| Self::Rcpt),
            Request::Data => Ok(Self::Data),
            Request::Rset => Ok(Self::Rset),
            Request::Noop { .. } => Ok(Self::Noop),
            Request::Vrfy { .. } => Ok(Self::Vrfy),
            Request::Help { .. } => Ok(Self::Help),
            Request::Quit => Ok(Self::Quit),
            Request::Bdat { .. }
            | Request::Auth { .. }
            | Request::Expn { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. } => Err(Reply::NOT_OFFERED),
        }
    }
}

/// Whether this line begins a web request: a page in the user's browser can make it send one, with SMTP
/// commands in its body, to a port of this machine.
fn is_http(text: &[u8]) -> bool {
    text.windows(6).any(|window| window == b" HTTP/")
}

fn offered_sender(from: MailFrom<Cow<'_, str>>) -> Result<String, Reply> {
    if from.size > MAIL_MAX {
        return Err(Reply::TOO_LARGE);
    }
    let offered = MailFrom {
        address: from.address.clone(),
        flags: from.flags & MAIL_FLAGS,
        size: from.size,
        ..MailFrom::default()
    };
    if from == offered { Ok(from.address.into_owned()) } else { Err(Reply::PARAMETER_NOT_OFFERED) }
}

fn offered_recipient(to: RcptTo<Cow<'_, str>>) -> Result<(), Reply> {
    let offered = RcptTo { address: to.address.clone(), orcpt: None, rrvs: 0, flags: 0 };
    if to == offered { Ok(()) } else { Err(Reply::PARAMETER_NOT_OFFERED) }
}

/// What is said about a line that `smtp-proto` cannot read. Nothing of the line is repeated.
fn complaint(error: Error) -> Reply {
    match error {
        Error::UnknownCommand => Reply::UNKNOWN,
        Error::InvalidSenderAddress => Reply::BAD_SENDER,
        Error::InvalidRecipientAddress => Reply::BAD_RECIPIENT,
        Error::SyntaxError { syntax } => Reply::syntax(syntax),
        Error::InvalidParameter { param } => Reply::parameter(param),
        Error::UnsupportedParameter { .. } => Reply::PARAMETER_NOT_OFFERED,
        Error::NeedsMoreData { .. } | Error::ResponseTooLong | Error::InvalidResponse { .. } => {
            Reply::UNREADABLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_read() {
        for (line, command) in [
            ("EHLO laptop.example", Command::Ehlo("laptop.example".to_owned())),
            ("ehlo [127.0.0.1]", Command::Ehlo("[127.0.0.1]".to_owned())),
            ("EHLO [IPv6:::1]", Command::Ehlo("[IPv6:::1]".to_owned())),
            ("HELO laptop", Command::Helo("laptop".to_owned())),
            ("LHLO laptop", Command::Lhlo("laptop".to_owned())),
            ("STARTTLS", Command::StartTls),
            ("MAIL FROM:<>", Command::Mail(String::new())),
            ("MAIL FROM:<> SIZE=1000", Command::Mail(String::new())),
            ("mail from: <a@b.example> ", Command::Mail("a@b.example".to_owned())),
            ("MAIL FROM:<a@b.example> BODY=8BITMIME SIZE=10485760", Command::Mail("a@b.example".to_owned())),
            ("MAIL FROM:<a@b.example> BODY=7BIT", Command::Mail("a@b.example".to_owned())),
            ("MAIL FROM:<jürgen@bücher.example> SMTPUTF8", Command::Mail("jürgen@bücher.example".to_owned())),
            ("MAIL FROM:<\"two words\"@b.example>", Command::Mail("two words@b.example".to_owned())),
            ("MAIL FROM:<@c.example:a@b.example>", Command::Mail("a@b.example".to_owned())),
            ("RCPT TO:<otp@localhost>", Command::Rcpt),
            ("RCPT TO:<a+b@c.example>", Command::Rcpt),
            ("RCPT TO:<Postmaster>", Command::Rcpt),
            ("DATA", Command::Data),
            ("RSET", Command::Rset),
            ("NOOP", Command::Noop),
            ("noop anything", Command::Noop),
            ("VRFY otp", Command::Vrfy),
            ("HELP", Command::Help),
            ("HELP mail", Command::Help),
            ("quit", Command::Quit),
        ] {
            let read = Command::parse(format!("{line}\r\n").as_bytes());
            assert_eq!(read.map_err(|reply| reply.to_line()), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_not_offered_or_malformed_is_answered_with_the_reason() {
        let long = format!("NOOP {}\r\n", "x".repeat(LINE_MAX - 6));
        for (line, code) in [
            ("\r\n", "500 5.5.1"),
            ("WHAT\r\n", "500 5.5.1"),
            ("NOOP\n", "500 5.5.2"),
            ("NO\rOP\r\n", "500 5.5.2"),
            ("NOOP \0\r\n", "500 5.5.2"),
            (&long, "500 5.5.2"),
            ("EHLO\r\n", "501 5.5.2"),
            ("HELO \r\n", "501 5.5.2"),
            ("MAIL\r\n", "501 5.5.2"),
            ("MAIL FROM:a@b.example\r\n", "501 5.5.2"),
            ("MAIL FROM:<a>\r\n", "501 5.1.7"),
            ("MAIL FROM:<a@b.example> BODY=9BIT\r\n", "501 5.5.4"),
            ("MAIL FROM:<a@b.example> SIZE=many\r\n", "501 5.5.4"),
            ("MAIL FROM:<a@b.example> SIZE=10485761\r\n", "552 5.3.4"),
            ("MAIL FROM:<a@b.example> SIZE=99999999999999999\r\n", "552 5.3.4"),
            ("MAIL FROM:<a@b.example> BODY=BINARYMIME\r\n", "555 5.5.4"),
            ("MAIL FROM:<a@b.example> RET=HDRS\r\n", "555 5.5.4"),
            ("MAIL FROM:<a@b.example> AUTH=<>\r\n", "555 5.5.4"),
            ("MAIL FROM:<a@b.example> REQUIRETLS\r\n", "555 5.5.4"),
            ("MAIL FROM:<a@b.example> COLOUR=red\r\n", "555 5.5.4"),
            ("RCPT TO:\r\n", "501 5.5.2"),
            ("RCPT TO:<a@b@c>\r\n", "501 5.1.3"),
            ("RCPT TO:<otp>\r\n", "501 5.1.3"),
            // `smtp-proto` 0.2.5 reads no address literals.
            ("RCPT TO:<otp@[127.0.0.1]>\r\n", "501 5.1.3"),
            ("RCPT TO:<a@b.example> NOTIFY=NEVER\r\n", "555 5.5.4"),
            ("AUTH PLAIN AGEAYg==\r\n", "502 5.5.1"),
            ("BDAT 10 LAST\r\n", "502 5.5.1"),
            ("EXPN list\r\n", "502 5.5.1"),
            ("POST / HTTP/1.1\r\n", "421 4.7.0"),
        ] {
            let reply = Command::parse(line.as_bytes()).unwrap_err().to_line();
            assert!(reply.starts_with(code), "{line:?}: {reply}");
        }
    }
}
