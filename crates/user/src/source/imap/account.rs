//! One mailbox as the user has configured it.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::source::config::{Label, absolute};

use super::secret::Login;

/// How many folders are watched: each takes a connection, and services allow ten to fifteen of them.
const FOLDERS_MAX: usize = 4;

/// A table `[[imap]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What you call it.
    name: Label,
    /// The server's name.
    host: String,
    /// Its port [default: 993, or 143 unless TLS is implicit].
    port: Option<u16>,
    /// `implicit`, `starttls`, or, to this machine alone, `none` [default: implicit].
    #[serde(default)]
    tls: Tls,
    /// Authorities whose certificates are believed [default: those that this machine trusts].
    ca_file: Option<PathBuf>,
    /// Who logs in.
    user: String,
    /// A file whose first line is the password.
    password_file: Option<PathBuf>,
    /// A file whose first line is an OAuth 2.0 access token.
    token_file: Option<PathBuf>,
    /// A program and its arguments: the first line that it prints is an OAuth 2.0 access token.
    token_command: Option<Vec<String>>,
    /// Which folders are watched [default: INBOX].
    folders: Option<Vec<String>>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tls {
    /// From the first octet (RFC 8314).
    #[default]
    Implicit,
    /// After the server has offered it (RFC 9051, section 6.2.1).
    Starttls,
    /// Not at all.
    None,
}

/// A mailbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Account {
    pub(super) name: Label,
    pub(super) host: String,
    pub(super) server: ServerName<'static>,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) user: String,
    pub(super) login: Login,
    pub(super) folders: Vec<String>,
}

impl TryFrom<Written> for Account {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { name, host, port, tls, ca_file, user, .. } = written;
        let server =
            ServerName::try_from(host.clone()).map_err(|_| "host is neither a name nor an address")?;
        if tls == Tls::None && !is_here(&host) {
            return Err("without TLS, the password would be sent in the clear: that is for 127.0.0.1 alone");
        }
        ca_file.as_deref().map_or(Ok(()), absolute)?;
        let login = match (written.password_file, written.token_file, written.token_command) {
            (Some(path), None, None) => absolute(&path).map(|()| Login::Password(path))?,
            (None, Some(path), None) => absolute(&path).map(|()| Login::Token(path))?,
            (None, None, Some(command)) if !command.is_empty() => Login::TokenFrom(command),
            (None, None, Some(_)) => return Err("token_command is empty"),
            (None, None, None) => return Err("one of password_file, token_file and token_command is needed"),
            _ => return Err("password_file, token_file and token_command exclude each other"),
        };
        if user.is_empty() || user.chars().any(char::is_control) {
            return Err("user is no name that could log in");
        }
        let folders = written.folders.unwrap_or_else(|| vec!["INBOX".to_owned()]);
        if !(1..=FOLDERS_MAX).contains(&folders.len()) {
            return Err("one to four folders are watched");
        }
        let is_plain =
            |folder: &String| !folder.is_empty() && folder.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !folders.iter().all(is_plain) {
            return Err("a folder is named in ASCII: write others as the server does, in modified UTF-7");
        }
        let port = port.unwrap_or(if tls == Tls::Implicit { 993 } else { 143 });
        Ok(Self { name, host, server, port, tls, ca_file, user, login, folders })
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}
