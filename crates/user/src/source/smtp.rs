//! Mail by SMTP (RFC 5321): a forwarding rule or any mail program delivers here, and nothing is sent on.
//!
//! Offered are PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531) and
//! ENHANCEDSTATUSCODES (RFC 2034). Every recipient is accepted: the listener serves one person.

mod command;
mod data;
mod incoming;
mod reply;
mod session;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::intake::Intake;
use crate::source::{Source, SourceError};

use self::reply::Reply;
use self::session::Session;

/// The name of this source.
const NAME: &str = "smtp";

/// How many peers are served at a time; one more is told to come back later.
const SESSIONS_MAX: usize = 64;

/// How long the listener waits after a failed accept: without a pause, a lack of file descriptors
/// would keep it busy for nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a peer that is refused may take to read why.
const REFUSAL_MAX: Duration = Duration::from_secs(1);

/// How long all sessions together may take to end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// A bound SMTP listener.
#[derive(Debug)]
pub struct Smtp {
    listener: TcpListener,
    address: SocketAddr,
}

impl Smtp {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`SourceError::Occupied`] or [`SourceError::Unavailable`], with the address and the next step.
    pub async fn bind(address: SocketAddr) -> Result<Self, SourceError> {
        let listener =
            TcpListener::bind(address).await.map_err(|error| SourceError::listen(address, error))?;
        let address = listener.local_addr().map_err(|error| SourceError::listen(address, error))?;
        Ok(Self { listener, address })
    }

    /// Where mail is taken, with the port that was chosen.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    async fn serve(self, intake: Intake, stop: CancellationToken) {
        let mut sessions = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            while sessions.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) if sessions.len() < SESSIONS_MAX => {
                    sessions.spawn(Session::new(stream, peer, intake.clone(), stop.clone()).run());
                }
                Ok((stream, peer)) => refuse(stream, peer).await,
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

impl Source for Smtp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            self.serve(intake, stop).await;
            Ok(())
        })
    }
}

async fn refuse(mut stream: TcpStream, peer: SocketAddr) {
    let line = Reply::TOO_MANY_SESSIONS.to_line();
    let said = timeout(REFUSAL_MAX, stream.write_all(line.as_bytes())).await;
    warn!(%peer, told = matches!(said, Ok(Ok(()))), "too many smtp sessions");
}

/// Waits for sessions that were told to stop, and aborts those that do not.
async fn end(mut sessions: JoinSet<()>) {
    let ended = timeout(SHUTDOWN_MAX, async { while sessions.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        warn!(sessions = sessions.len(), "smtp sessions aborted");
        sessions.shutdown().await;
    }
}
