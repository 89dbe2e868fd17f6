//! The places that messages come from: each is one file here, and is bound before it runs.

pub mod smtp;

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::intake::Intake;

/// A place that messages come from.
///
/// What can fail at start (a port, a file, a password) fails when the value is made, so that the caller
/// can say so and can print what was bound.
pub trait Source: Send {
    /// What this source is called in logs and in the trail: one lower-case word.
    fn name(&self) -> &'static str;

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
