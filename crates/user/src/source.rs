//! The places that messages come from: each is one file here. Some listen on this machine whatever happens, the others
//! are what the user has configured.

pub mod config;
pub mod finding;
pub mod imap;
mod listener;
pub mod lmtp;
pub mod maildir;
mod pulled;
pub mod sms_webhook;
pub mod smtp;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use agent_otp_keyring::KeyringError;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::intake::Intake;
use crate::source::config::Table;
use crate::source::finding::Check;
use crate::source::stream::TlsError;

/// Every kind of source that there is, and nothing else, stands in this list.
pub const KINDS: &[Kind] = &[smtp::KIND, sms_webhook::KIND, imap::KIND, maildir::KIND, lmtp::KIND];

/// A kind of source: what has to be known of it before there is one.
#[derive(Debug)]
pub struct Kind {
    /// What it is called: in the option `--NAME-port`, among the ports of the last run, in the configuration as
    /// `[[NAME]]`, in logs and in the trail. 1 to 64 characters of `a-z0-9-`.
    pub name: &'static str,
    /// The one that is there whatever the user configures, if there is one.
    pub loopback: Option<Loopback>,
    /// Those that the user configures.
    pub table: Option<Table>,
}

/// A source that listens on a port of 127.0.0.1.
#[derive(Debug)]
pub struct Loopback {
    /// What its port is for, as the option's help says it: `where … is taken`.
    pub port: &'static str,
    /// Binds one at an address, where port 0 takes a free one; the directory is where sources keep their secrets.
    pub bind: fn(SocketAddr, PathBuf) -> Binding,
    /// Tries the one that listens there, without leaving a message.
    pub check: fn(SocketAddr, PathBuf) -> Check,
    /// Delivers a message there that nobody waits for, if that says more.
    pub test: Option<fn(SocketAddr) -> Check>,
}

/// A source that is being bound, or opened.
pub type Binding = BoxFuture<'static, Result<Box<dyn Source>, SourceError>>;

/// What a bound source says of itself.
#[derive(Debug)]
pub struct Told {
    /// To programs: its entries in `run.json`.
    pub entries: Vec<(String, String)>,
    /// To people: lines of `up`'s greeting, each with a heading of at most 8 characters.
    pub greeting: Vec<(&'static str, String)>,
}

/// A place that messages come from.
///
/// What can fail at start (a port, a file, a password) fails when the value is made, so that the caller
/// can say so and can print what was bound.
pub trait Source: Send {
    /// The name of its kind.
    fn name(&self) -> &'static str;

    /// Where it listens on this machine, with the port that was chosen; nothing if it fetches its messages.
    fn local_addr(&self) -> Option<SocketAddr>;

    /// What it says of itself.
    fn told(&self) -> Told;

    /// Hands every message to `intake` until `stop` is cancelled, and ends when nothing of it is left running.
    ///
    /// Fails if the source can deliver nothing any more.
    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>>;
}

/// Why a source could not start, or why it ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Another program listens there.
    #[error(
        "{address} is occupied by another program; stop that program, or choose another port (0 takes a free one)"
    )]
    Occupied {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The operating system does not let this program listen there.
    #[error(
        "cannot listen on {address}; choose an address of this machine and a port above 1023 (0 takes a free one)"
    )]
    Unavailable {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file with a source's secret cannot be used.
    #[error(transparent)]
    Secret(#[from] KeyringError),
    /// Nothing could be signed for this source.
    #[error(
        "{} holds no key: write the signing key of your gateway into it on a line of its own, or delete it, and `agent-otp up` makes one",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A line of the file with a source's secrets means nothing.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What would be right, without what stands there.
        what: String,
    },
    /// The socket of a listener cannot be made.
    #[error("cannot listen on {}; name a path in a directory that this user may write to", path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A directory is no Maildir.
    #[error("{} is no Maildir: it has no directories `new` and `cur`; name the one that your mail is delivered to", path.display())]
    NoMaildir {
        /// The directory.
        path: PathBuf,
    },
    /// A directory may not be read.
    #[error("{} may not be read by this user; give it the permissions r and x", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing tells of new files.
    #[error("the operating system does not tell of new files; raise fs.inotify.max_user_instances")]
    Unwatched(#[source] io::Error),
    /// The operating system gives no random bytes for a key.
    #[error("no key can be made: {0}")]
    NoRandomness(getrandom::Error),
}

impl SourceError {
    /// Tells an occupied address from one that cannot be had at all.
    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::Occupied { address }
        } else {
            Self::Unavailable { address, source }
        }
    }
}
