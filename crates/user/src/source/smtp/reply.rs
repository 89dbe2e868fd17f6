//! What the listener says: one line for each situation, with its enhanced status code (RFC 3463).

use std::borrow::Cow;

use crate::intake::Refused;
use crate::mail::authentication::NotAuthentic;

use super::data::MAIL_MAX;

/// The longest text of a reply that quotes a reason: with code, status and CRLF it stays below the
/// 512 octets of RFC 5321, section 4.5.3.1.5.
const REASON_MAX: usize = 480;

/// How the answer to a mail begins that was received, and is of no use.
pub(super) const NOT_USED: &str = "250 2.0.0 not used: ";

/// A reply. The greeting, the answers to EHLO and HELO and an intermediate reply have no
/// enhanced status code (RFC 2034, section 4).
#[derive(Debug, Clone)]
pub(super) struct Reply(Cow<'static, str>);

impl Reply {
    pub(super) const GREETING: Self = Self::fixed("220 agent-otp ESMTP for one-time codes only");
    pub(super) const LMTP_GREETING: Self = Self::fixed("220 agent-otp LMTP for one-time codes only");
    pub(super) const START_TLS: Self = Self::fixed("220 2.0.0 begin TLS");
    pub(super) const GOODBYE: Self = Self::fixed("221 2.0.0 goodbye");
    pub(super) const HELLO: Self = Self::fixed("250 agent-otp");
    pub(super) const OK: Self = Self::fixed("250 2.0.0 ok");
    pub(super) const SENDER_OK: Self = Self::fixed("250 2.1.0 ok");
    pub(super) const RECIPIENT_OK: Self = Self::fixed("250 2.1.5 ok");
    pub(super) const ACCEPTED: Self = Self::fixed("250 2.0.0 accepted");
    pub(super) const VRFY: Self = Self::fixed("252 2.5.2 every recipient is accepted");
    pub(super) const HELP: Self =
        Self::fixed("214 2.0.0 EHLO HELO LHLO STARTTLS MAIL RCPT DATA RSET NOOP VRFY HELP QUIT");
    pub(super) const START_MAIL: Self = Self::fixed("354 end with a line that holds only a dot");

    pub(super) const TOO_MANY_SESSIONS: Self = Self::fixed("421 4.3.2 too many connections; try again later");
    pub(super) const STOPPING: Self = Self::fixed("421 4.3.2 the listener stops; try again later");
    pub(super) const TIMED_OUT: Self = Self::fixed("421 4.4.2 the time is up");
    pub(super) const TOO_MANY_ERRORS: Self = Self::fixed("421 4.7.0 too many errors");
    pub(super) const HTTP: Self = Self::fixed("421 4.7.0 this is no web server");
    pub(super) const NO_ROOM: Self =
        Self::fixed("452 4.3.1 too much mail is being received; try again later");
    pub(super) const TOO_MANY_RECIPIENTS: Self = Self::fixed("452 4.5.3 too many recipients");

    pub(super) const UNKNOWN: Self = Self::fixed("500 5.5.1 unknown command");
    pub(super) const LINE_TOO_LONG: Self = Self::fixed("500 5.5.2 line too long");
    pub(super) const BARE_LF: Self = Self::fixed("500 5.5.2 a line ends with CRLF");
    pub(super) const CONTROL_CHARACTER: Self = Self::fixed("500 5.5.2 control character in a command");
    pub(super) const UNREADABLE: Self = Self::fixed("501 5.5.2 syntax error");
    pub(super) const BAD_SENDER: Self = Self::fixed("501 5.1.7 syntax error in the sender's address");
    pub(super) const BAD_RECIPIENT: Self = Self::fixed("501 5.1.3 syntax error in the recipient's address");
    pub(super) const NOT_OFFERED: Self = Self::fixed("502 5.5.1 not offered");
    pub(super) const HELLO_FIRST: Self = Self::fixed("503 5.5.1 say EHLO first");
    pub(super) const NESTED_MAIL: Self = Self::fixed("503 5.5.1 a sender was given already");
    pub(super) const MAIL_FIRST: Self = Self::fixed("503 5.5.1 say MAIL first");
    pub(super) const RCPT_FIRST: Self = Self::fixed("503 5.5.1 say RCPT first");
    pub(super) const TOO_LARGE: Self = Self::fixed("552 5.3.4 larger than SIZE allows");
    pub(super) const PARAMETER_NOT_OFFERED: Self = Self::fixed("555 5.5.4 parameter not offered");

    const fn fixed(line: &'static str) -> Self {
        Self(Cow::Borrowed(line))
    }

    /// The answer to EHLO or LHLO: the extensions that are offered.
    pub(super) fn extensions() -> Self {
        Self(Cow::Owned(format!("250-agent-otp\r\n{}", extensions())))
    }

    /// The same before TLS.
    pub(super) fn extensions_and_tls() -> Self {
        Self(Cow::Owned(format!("250-agent-otp\r\n250-STARTTLS\r\n{}", extensions())))
    }

    /// A line that does not have the form `syntax`.
    pub(super) fn syntax(syntax: &'static str) -> Self {
        Self(Cow::Owned(format!("501 5.5.2 expected {syntax}")))
    }

    /// A parameter whose value cannot be.
    pub(super) fn parameter(name: &'static str) -> Self {
        Self(Cow::Owned(format!("501 5.5.4 no valid value of {name}")))
    }

    /// That a mail has come to its end here although it was not used: whoever passes the user's mail on, and so this
    /// one, would return it to its sender if it were refused.
    pub(super) fn not_used(refused: &Refused) -> Self {
        match refused {
            Refused::NotAuthentic(NotAuthentic::NoAnswer) | Refused::Busy => Self::refused(refused),
            Refused::NotAuthentic(_) | Refused::Malformed(_) => {
                Self(Cow::Owned(format!("{NOT_USED}{}", one_line(&refused.to_string()))))
            }
        }
    }

    /// Why a mail was not taken.
    pub(super) fn refused(refused: &Refused) -> Self {
        let code = match refused {
            // The peer is to come again, when the DNS may answer.
            Refused::NotAuthentic(NotAuthentic::NoAnswer) => "451 4.4.3",
            Refused::NotAuthentic(_) => "550 5.7.1",
            Refused::Malformed(_) => "550 5.6.0",
            Refused::Busy => "451 4.3.2",
        };
        Self(Cow::Owned(format!("{code} {}", one_line(&refused.to_string()))))
    }

    /// The three digits.
    pub(super) fn code(&self) -> &str {
        self.0.get(..3).unwrap_or_default()
    }

    /// Whether the connection ends with this reply.
    pub(super) fn closes(&self) -> bool {
        ["221", "421"].contains(&self.code())
    }

    /// Whether this reply complains about a command, rather than about a mail.
    pub(super) fn complains(&self) -> bool {
        ["500", "501", "502", "503", "555"].contains(&self.code())
    }

    /// What is sent.
    pub(super) fn to_line(&self) -> String {
        format!("{}\r\n", self.0)
    }
}

fn extensions() -> String {
    format!(
        "250-PIPELINING\r\n250-SIZE {MAIL_MAX}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES"
    )
}

/// A reason in printable ASCII, without line ends and not too long.
fn one_line(reason: &str) -> String {
    reason
        .chars()
        .map(|character| if matches!(character, ' '..='~') { character } else { '?' })
        .take(REASON_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_becomes_one_line_of_printable_ascii() {
        assert_eq!(one_line("Überlang\r\n250 ok\0\u{7f}"), "?berlang??250 ok??");
        assert_eq!(one_line(&"x".repeat(1_000)).len(), REASON_MAX);
    }

    #[test]
    fn a_refusal_says_whether_and_how_to_come_back() {
        for (refused, code) in [
            (Refused::NotAuthentic(NotAuthentic::Unsigned), "550 5.7.1 "),
            (Refused::NotAuthentic(NotAuthentic::NoAnswer), "451 4.4.3 "),
            (Refused::Busy, "451 4.3.2 "),
        ] {
            assert!(Reply::refused(&refused).to_line().starts_with(code), "{refused:?}");
        }
    }

    #[test]
    fn only_what_may_do_better_comes_again_from_the_users_own_server() {
        for (refused, code) in [
            (Refused::NotAuthentic(NotAuthentic::Unsigned), NOT_USED),
            (Refused::Malformed("it is empty".to_owned()), NOT_USED),
            (Refused::NotAuthentic(NotAuthentic::NoAnswer), "451 4.4.3 "),
            (Refused::Busy, "451 4.3.2 "),
        ] {
            assert!(Reply::not_used(&refused).to_line().starts_with(code), "{refused:?}");
        }
    }
}
