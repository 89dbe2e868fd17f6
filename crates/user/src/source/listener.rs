//! A bound listener, on a TCP port or a socket of this machine: it serves so many peers at a time, and ends when all of
//! them have ended.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::source::SourceError;

/// How many peers are served at a time; one more is told to come back later.
const SESSIONS_MAX: usize = 64;

/// How many of them may come from one address elsewhere, so that nobody keeps the others out.
const SESSIONS_OF_ADDRESS_MAX: usize = 8;

/// How long the listener waits after a failed accept: without a pause, a lack of file descriptors
/// would keep it busy for nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a peer that is refused may take to read why.
const REFUSAL_MAX: Duration = Duration::from_secs(1);

/// How long all sessions together may take to end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// A bound listener.
#[derive(Debug)]
pub(super) struct Listener<A = Tcp> {
    socket: A,
}

/// Who has connected.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    /// Somebody at this address.
    At(SocketAddr),
    /// A program of this machine.
    Local,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "{address}"),
            Self::Local => f.write_str("this machine"),
        }
    }
}

/// Where peers come from.
pub(super) trait Accept: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next peer.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

/// A TCP port.
#[derive(Debug)]
pub(super) struct Tcp {
    listener: TcpListener,
    address: SocketAddr,
}

impl Accept for Tcp {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, address) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Peer::At(address)))
    }
}

/// A socket of this machine; its file goes with it.
#[derive(Debug)]
pub(super) struct Local {
    listener: UnixListener,
    path: PathBuf,
}

impl Accept for Local {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        Ok((self.listener.accept().await?.0, Peer::Local))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one.
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, SourceError> {
        let listener =
            TcpListener::bind(address).await.map_err(|error| SourceError::listen(address, error))?;
        let address = listener.local_addr().map_err(|error| SourceError::listen(address, error))?;
        Ok(Self { socket: Tcp { listener, address } })
    }

    /// Where it listens, with the port that was chosen.
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.socket.address
    }
}

impl Listener<Local> {
    /// Listens on a socket that whoever `mode` admits may use. One that a crash has left there gives way, another
    /// program's does not.
    pub(super) fn bind_local(path: &Path, mode: u32) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Socket { path: path.to_owned(), source };
        let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket && StdUnixStream::connect(path).is_err() {
            fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let socket = Local { listener, path: path.to_owned() };
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        Ok(Self { socket })
    }
}

impl<A: Accept> Listener<A> {
    /// Runs a session for each peer until `stop` is cancelled, which ends the sessions too; `refusal` is all that a
    /// peer hears for whom there is no room.
    pub(super) async fn serve<S>(
        self,
        refusal: &str,
        stop: &CancellationToken,
        session: impl Fn(A::Stream, Peer) -> S,
    ) where
        S: Future<Output = ()> + Send + 'static,
    {
        let mut sessions = JoinSet::new();
        let mut peers = Peers::default();
        while let Some(accepted) = stop.run_until_cancelled(self.socket.accept()).await {
            while let Some(ended) = sessions.try_join_next_with_id() {
                peers.leave(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            match accepted {
                Ok((stream, peer)) if sessions.len() < SESSIONS_MAX && peers.admit(peer) => {
                    peers.enter(sessions.spawn(session(stream, peer)).id(), peer);
                }
                Ok((stream, peer)) => refuse(stream, peer, refusal).await,
                Err(error) => {
                    warn!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        end(sessions).await;
    }
}

/// From which addresses the sessions are, of those that are not of this machine.
#[derive(Default)]
struct Peers(Vec<(Id, IpAddr)>);

impl Peers {
    /// Whether one more of this peer's may begin.
    fn admit(&self, peer: Peer) -> bool {
        let Some(address) = elsewhere(peer) else { return true };
        self.0.iter().filter(|(_, other)| *other == address).count() < SESSIONS_OF_ADDRESS_MAX
    }

    fn enter(&mut self, session: Id, peer: Peer) {
        self.0.extend(elsewhere(peer).map(|address| (session, address)));
    }

    fn leave(&mut self, session: Id) {
        self.0.retain(|(other, _)| *other != session);
    }
}

/// What tells a peer from others: its address, or of IPv6 the network of 64 bits, which may be one machine's.
fn elsewhere(peer: Peer) -> Option<IpAddr> {
    let Peer::At(address) = peer else { return None };
    let address = match address.ip().to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    };
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

async fn refuse(mut stream: impl AsyncWrite + Unpin, peer: Peer, refusal: &str) {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::sync::{Mutex, mpsc};

    use super::*;

    /// A listener to which whoever is sent comes.
    struct Sent(Mutex<mpsc::Receiver<(DuplexStream, Peer)>>);

    impl Accept for Sent {
        type Stream = DuplexStream;

        async fn accept(&self) -> io::Result<(DuplexStream, Peer)> {
            self.0.lock().await.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
        }
    }

    #[tokio::test]
    async fn one_address_elsewhere_has_a_few_sessions_and_leaves_the_rest_to_others() {
        let (sender, sent) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let (stopped, listener) = (stop.clone(), Listener { socket: Sent(Mutex::new(sent)) });
        let serving = tokio::spawn(async move {
            let session = |mut stream: DuplexStream, _| async move {
                drop(stream.write_all(b"hello").await);
                // Until the peer leaves.
                drop(stream.read(&mut [0]).await);
            };
            listener.serve("later", &stopped, session).await;
        });
        let come = async |peer: &str| {
            let (mut here, there) = duplex(64);
            sender.send((there, Peer::At(peer.parse().unwrap()))).await.unwrap();
            let mut heard = [0; 5];
            here.read_exact(&mut heard).await.unwrap();
            (here, heard == *b"hello")
        };
        let mut peers = Vec::new();
        for (peer, times) in [
            ("192.0.2.1:1", 8),
            ("[::ffff:192.0.2.2]:1", 8),
            ("[2001:db8::1]:1", 8),
            ("[2001:db8:0:1::1]:1", 8),
            ("127.0.0.1:1", 20),
        ] {
            for _ in 0..times {
                let (stream, is_served) = come(peer).await;
                assert!(is_served, "{peer}");
                peers.push(stream);
            }
        }
        for peer in ["192.0.2.1:2", "192.0.2.2:2", "[2001:db8::2]:1", "[2001:db8:0:1:2::1]:1"] {
            assert!(!come(peer).await.1, "{peer}");
        }
        assert!(come("127.0.0.1:2").await.1);
        drop(peers);
        // That a session has ended nothing announces.
        while !come("192.0.2.1:3").await.1 {}
        stop.cancel();
        serving.await.unwrap();
    }
}
