//! A bound TCP listener: it serves so many peers at a time, and ends when all of them have ended.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::source::SourceError;

/// How many peers are served at a time; one more is told to come back later.
const SESSIONS_MAX: usize = 64;

/// How long the listener waits after a failed accept: without a pause, a lack of file descriptors
/// would keep it busy for nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a peer that is refused may take to read why.
const REFUSAL_MAX: Duration = Duration::from_secs(1);

/// How long all sessions together may take to end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// A bound listener.
#[derive(Debug)]
pub(super) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one.
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, SourceError> {
        let listener =
            TcpListener::bind(address).await.map_err(|error| SourceError::listen(address, error))?;
        let address = listener.local_addr().map_err(|error| SourceError::listen(address, error))?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port that was chosen.
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Runs a session for each peer until `stop` is cancelled, which ends the sessions too; `refusal` is all that a
    /// peer hears for whom there is no room.
    pub(super) async fn serve<S>(
        self,
        refusal: &str,
        stop: &CancellationToken,
        session: impl Fn(TcpStream, SocketAddr) -> S,
    ) where
        S: Future<Output = ()> + Send + 'static,
    {
        let mut sessions = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            while sessions.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) if sessions.len() < SESSIONS_MAX => {
                    sessions.spawn(session(stream, peer));
                }
                Ok((stream, peer)) => refuse(stream, peer, refusal).await,
                Err(error) => {
                    warn!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        end(sessions).await;
    }
}

async fn refuse(mut stream: TcpStream, peer: SocketAddr, refusal: &str) {
    let said = timeout(REFUSAL_MAX, stream.write_all(refusal.as_bytes())).await;
    warn!(%peer, told = matches!(said, Ok(Ok(()))), "too many sessions");
}

/// Waits for sessions that were told to stop, and aborts those that do not.
async fn end(mut sessions: JoinSet<()>) {
    let ended = timeout(SHUTDOWN_MAX, async { while sessions.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        warn!(sessions = sessions.len(), "sessions aborted");
        sessions.shutdown().await;
    }
}
