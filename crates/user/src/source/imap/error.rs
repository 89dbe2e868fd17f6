//! What goes wrong with a server, and what to do.

use std::io;

use crate::source::stream::TlsError;

use super::secret::SecretError;

/// The codes of refusals that say nothing of password or folder.
const PASSING: [&str; 4] = ["UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"];

/// Why a mailbox cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImapError {
    #[error("{place} cannot be reached; look at host, port and the network")]
    Unreachable { place: String, source: io::Error },
    #[error("{0} does not answer; look at host, port and tls: port 993 is implicit, 143 is starttls")]
    Silent(String),
    #[error("no TLS with {place}; look at host and tls, and at ca_file if its certificate is your own")]
    Tls { place: String, source: io::Error },
    #[error(transparent)]
    Certificates(#[from] TlsError),
    #[error("the server does not offer STARTTLS; set tls = \"implicit\", and the port to 993")]
    NoStartTls,
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(
        "the server refuses for now ({0}); it is asked again by itself; if that lasts, close other mail programs of this mailbox, or watch fewer folders"
    )]
    ForNow(String),
    #[error("the server does not let this user log in ({said}); {}", advice(*.by))]
    LoggedOut { said: String, by: By },
    #[error(
        "the server refuses the folder {folder} ({said}); look at folders: each is named as the server calls it"
    )]
    NoFolder { folder: String, said: String },
    #[error("the server refuses {command} ({said})")]
    Refused { command: &'static str, said: String },
    #[error("the server closes the connection ({0})")]
    Closed(String),
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the server sends more than it was asked for")]
    TooLong,
}

/// By what a login was tried.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Password,
    Token,
}

fn advice(by: By) -> &'static str {
    match by {
        By::Password => {
            "write a new app password into password_file, and look at user; the guides are in docs/sources"
        }
        By::Token => "have your program make a new access token with the scope for IMAP, and look at user",
    }
}

impl ImapError {
    /// Whether it is of no use, and may lock the user out, to try again soon.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::LoggedOut { .. } | Self::NoFolder { .. } | Self::NoStartTls)
            || matches!(self, Self::Secret(error) if error.is_lasting())
    }
}

/// What it means that a server refuses, unless that is over by itself.
pub(super) fn refusal(said: String, meaning: impl FnOnce(String) -> ImapError) -> ImapError {
    if is_passing(&said) { ImapError::ForNow(said) } else { meaning(said) }
}

/// Whether it says so by its code (RFC 5530), or, as Gmail does, in words.
fn is_passing(said: &str) -> bool {
    let code = said.strip_prefix('[').and_then(|rest| rest.split([']', ' ']).next());
    code.is_some_and(|code| PASSING.iter().any(|passing| code.eq_ignore_ascii_case(passing)))
        || said.to_ascii_lowercase().contains("simultaneous")
}
