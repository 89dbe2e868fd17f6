//! The way to a peer and back: command lines and mails come in, bounded in length and time, and replies go out.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, empty};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use zeroize::{Zeroize as _, Zeroizing};

use crate::source::stream::Stream;

use super::data::{Data, Unkept, Whole};
use super::room::Room;

/// The longest command line, in octets with its CRLF: the 512 of RFC 5321, section 4.5.3.1.4, and what
/// SIZE, BODY, SMTPUTF8 and long addresses add, generously.
pub(super) const LINE_MAX: usize = 2_048;

/// How long a peer may take for one command (RFC 5321, section 4.5.3.2.7).
const COMMAND_MAX: Duration = Duration::from_mins(5);

/// How long a peer may take for one block of a mail (RFC 5321, section 4.5.3.2.5).
const BLOCK_MAX: Duration = Duration::from_mins(3);

/// How long a peer may take for everything.
const SESSION_MAX: Duration = Duration::from_mins(10);

/// How long a peer may take to receive one reply.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// How long a peer may take to agree on TLS.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// How long a peer that was told goodbye may take to close.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// How much is read at once.
const BLOCK_OCTETS: usize = 8 * 1024;

/// A session's connection.
pub(super) struct Wire {
    stream: Stream,
    stop: CancellationToken,
    session_until: Instant,
    block: Zeroizing<Vec<u8>>,
    taken: usize,
}

/// Why nothing more comes in.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the peer closed its side")]
    Closed,
    #[error("the peer took too long")]
    TimedOut,
    #[error("the listener stops")]
    Stopping,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
}

impl Wire {
    pub(super) fn new(stream: Stream, stop: CancellationToken) -> Self {
        let block = Zeroizing::new(Vec::with_capacity(BLOCK_OCTETS));
        Self { stream, stop, session_until: Instant::now() + SESSION_MAX, block, taken: 0 }
    }

    /// Reads to the next LF, and keeps it. Of a line longer than [`LINE_MAX`], `LINE_MAX + 1` octets are
    /// kept and the rest is discarded.
    ///
    /// A line zeroizes, for a peer that does not wait for `DATA` to be accepted sends text as commands.
    pub(super) async fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, End> {
        let until = Instant::now() + COMMAND_MAX;
        let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX + 1));
        loop {
            let unread = self.unread();
            let lf = unread.iter().position(|&octet| octet == b'\n');
            let length = lf.map_or(unread.len(), |lf| lf + 1);
            let room = LINE_MAX + 1 - line.len();
            line.extend(unread.iter().take(length.min(room)));
            self.taken += length;
            if lf.is_some() {
                return Ok(line);
            }
            self.fill(until).await?;
        }
    }

    /// Reads a mail to its end. Where it is not kept, its octets are discarded.
    pub(super) async fn mail(&mut self, room: Room) -> Result<Result<Whole, Unkept>, End> {
        let mut data = Data::new(room);
        loop {
            self.taken += data.take(self.unread());
            if data.ended() {
                // The peer may stay for more; the mail does not.
                self.block.get_mut(..self.taken).unwrap_or_default().zeroize();
                return Ok(data.into_mail());
            }
            self.fill(Instant::now() + BLOCK_MAX).await?;
        }
    }

    /// Sends all of a reply.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), End> {
        let sent = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        timeout(REPLY_MAX, sent)
            .await
            .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
            .map_err(End::Broken)
    }

    /// Goes on under TLS. What came in before its time is dropped: somebody in between may have written it.
    pub(super) async fn start_tls(&mut self, acceptor: &TlsAcceptor) -> Result<(), End> {
        self.block.zeroize();
        self.taken = 0;
        let plain = std::mem::replace(&mut self.stream, Box::new(empty()));
        let agreed = timeout(HANDSHAKE_MAX, acceptor.accept(plain));
        let agreed = self.stop.run_until_cancelled(agreed).await.ok_or(End::Stopping)?;
        let stream = agreed.map_err(|_elapsed| End::Closed)?.map_err(End::Broken)?;
        self.stream = Box::new(stream);
        Ok(())
    }

    /// Closes this side, and discards what still comes until the peer closes its own. A socket that is closed with
    /// octets unread resets the connection, and the peer may lose the last reply.
    pub(super) async fn close(mut self) {
        if !matches!(timeout(CLOSE_MAX, self.stream.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        let until = Instant::now() + CLOSE_MAX;
        while self.read(until).await.is_ok() {}
    }

    fn unread(&self) -> &[u8] {
        self.block.get(self.taken..).unwrap_or_default()
    }

    /// Waits for the next block. The one before has been taken.
    async fn fill(&mut self, until: Instant) -> Result<(), End> {
        let stop = self.stop.clone();
        let until = until.min(self.session_until);
        // Octets that are there already win against a timer, so a peer that never pauses is looked at here.
        if Instant::now() >= until {
            return Err(End::TimedOut);
        }
        stop.run_until_cancelled(self.read(until)).await.unwrap_or(Err(End::Stopping))
    }

    async fn read(&mut self, until: Instant) -> Result<(), End> {
        self.block.zeroize();
        self.taken = 0;
        match timeout_at(until, self.stream.read_buf(&mut *self.block)).await {
            Ok(Ok(0)) => Err(End::Closed),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(End::Broken(error)),
            Err(_elapsed) => Err(End::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::advance;

    use super::*;

    #[tokio::test]
    async fn lines_and_mails_are_taken_as_they_were_sent() {
        let mut wire = sent(b"NOOP\r\nDATA\r\nn\xc3\xbcl\0\xff\r\n..\r\n.\r\nQUIT\r\nQU").await;
        assert_eq!(wire.line().await.unwrap().as_slice(), b"NOOP\r\n");
        assert_eq!(wire.line().await.unwrap().as_slice(), b"DATA\r\n");
        assert_eq!(mail_of(&mut wire).await.as_slice(), b"n\xc3\xbcl\0\xff\r\n.\r\n");
        assert_eq!(wire.line().await.unwrap().as_slice(), b"QUIT\r\n");
        assert!(matches!(wire.line().await, Err(End::Closed)));
    }

    #[tokio::test]
    async fn a_mail_that_spans_many_blocks_is_whole() {
        let mail = "your code is 482913\r\n".repeat(5_000);
        let mut wire = sent(format!("{mail}.\r\nNOOP\r\n").as_bytes()).await;
        assert_eq!(mail_of(&mut wire).await.as_slice(), mail.as_bytes());
        assert_eq!(wire.line().await.unwrap().as_slice(), b"NOOP\r\n");
    }

    #[tokio::test]
    async fn of_a_long_line_the_rest_is_discarded_to_its_end() {
        let mut wire = sent(format!("{}\r\nNOOP\r\n", "x".repeat(100_000)).as_bytes()).await;
        assert_eq!(wire.line().await.unwrap().len(), LINE_MAX + 1);
        assert_eq!(wire.line().await.unwrap().as_slice(), b"NOOP\r\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_pauses_is_out_of_time_after_ten_minutes() {
        let mut wire = sent(b"NOOP\r\n").await;
        advance(SESSION_MAX).await;
        assert!(matches!(wire.line().await, Err(End::TimedOut)));
    }

    async fn mail_of(wire: &mut Wire) -> Zeroizing<Vec<u8>> {
        wire.mail(Room::default()).await.unwrap().unwrap_or_else(|_| panic!("it is kept")).octets
    }

    /// What comes in from a peer that sends `octets` and then closes its side.
    async fn sent(octets: &[u8]) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        peer.write_all(octets).await.unwrap();
        Wire::new(Box::new(stream), CancellationToken::new())
    }
}
