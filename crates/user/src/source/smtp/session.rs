//! One connection: the order of the commands, from the greeting to the goodbye.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::intake::Intake;
use crate::mail::authentication::Envelope;

use super::NAME;
use super::command::Command;
use super::incoming::{End, Incoming};
use super::reply::Reply;

/// How many recipients one mail may have (RFC 5321, section 4.5.3.1.8).
const RECIPIENTS_MAX: u8 = 100;

/// How many bad commands are answered one by one; the next one ends the session.
const COMPLAINTS_MAX: u8 = 10;

/// How long a peer may take to receive one reply.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// One peer's session.
pub(super) struct Session {
    peer: SocketAddr,
    /// What it has said of itself, and whom it has named as sender, last.
    envelope: Envelope,
    incoming: Incoming,
    outgoing: OwnedWriteHalf,
    intake: Intake,
    stop: CancellationToken,
    stage: Stage,
    complaints: u8,
}

/// How far the peer has come.
enum Stage {
    /// It has not said EHLO or HELO.
    Connected,
    /// It may begin a mail.
    Ready,
    /// It has named a sender.
    Sender,
    /// It has named a sender and this many recipients.
    Recipients(u8),
}

impl Session {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, intake: Intake, stop: CancellationToken) -> Self {
        let (incoming, outgoing) = stream.into_split();
        let incoming = Incoming::new(incoming, stop.clone());
        let envelope = Envelope { peer: peer.ip(), helo: String::new(), sender: String::new() };
        Self { peer, envelope, incoming, outgoing, intake, stop, stage: Stage::Connected, complaints: 0 }
    }

    /// Serves the peer until it leaves, breaks off, or the listener stops.
    pub(super) async fn run(mut self) {
        if let Err(end) = self.converse().await {
            self.break_off(end).await;
        }
        if self.outgoing.shutdown().await.is_ok() {
            self.incoming.discard().await;
        }
    }

    /// Answers command after command. Replies are written at once and in order, so that a peer may
    /// send many commands without waiting (RFC 2920).
    async fn converse(&mut self) -> Result<(), End> {
        self.outgoing.as_ref().set_nodelay(true).map_err(End::Broken)?;
        self.say(&Reply::GREETING).await?;
        loop {
            let line = self.incoming.line().await?;
            let reply = match Command::parse(&line) {
                Ok(command) => self.answer(command).await?,
                Err(reply) => reply,
            };
            let reply = self.count(reply);
            self.say(&reply).await?;
            if reply.closes() {
                return Ok(());
            }
        }
    }

    async fn answer(&mut self, command: Command) -> Result<Reply, End> {
        Ok(match command {
            Command::Ehlo(helo) => self.hello(helo, Reply::extensions()),
            Command::Helo(helo) => self.hello(helo, Reply::HELLO),
            Command::Mail(sender) => self.mail(sender),
            Command::Rcpt => self.rcpt(),
            Command::Data => self.data().await?,
            Command::Rset => self.rset(),
            Command::Noop => Reply::OK,
            Command::Vrfy => Reply::VRFY,
            Command::Help => Reply::HELP,
            Command::Quit => Reply::GOODBYE,
        })
    }

    fn hello(&mut self, helo: String, reply: Reply) -> Reply {
        self.envelope.helo = helo;
        self.stage = Stage::Ready;
        reply
    }

    fn mail(&mut self, sender: String) -> Reply {
        match self.stage {
            Stage::Connected => Reply::HELLO_FIRST,
            Stage::Ready => {
                self.envelope.sender = sender;
                self.stage = Stage::Sender;
                Reply::SENDER_OK
            }
            Stage::Sender | Stage::Recipients(_) => Reply::NESTED_MAIL,
        }
    }

    fn rcpt(&mut self) -> Reply {
        let recipients = match self.stage {
            Stage::Connected => return Reply::HELLO_FIRST,
            Stage::Ready => return Reply::MAIL_FIRST,
            Stage::Recipients(RECIPIENTS_MAX) => return Reply::TOO_MANY_RECIPIENTS,
            Stage::Sender => 0,
            Stage::Recipients(recipients) => recipients,
        };
        self.stage = Stage::Recipients(recipients + 1);
        Reply::RECIPIENT_OK
    }

    fn rset(&mut self) -> Reply {
        if !matches!(self.stage, Stage::Connected) {
            self.stage = Stage::Ready;
        }
        Reply::OK
    }

    /// Receives one mail and hands it over; the reply is the intake's.
    async fn data(&mut self) -> Result<Reply, End> {
        match self.stage {
            Stage::Connected => return Ok(Reply::HELLO_FIRST),
            Stage::Ready => return Ok(Reply::MAIL_FIRST),
            Stage::Sender => return Ok(Reply::RCPT_FIRST),
            Stage::Recipients(_) => self.stage = Stage::Ready,
        }
        self.say(&Reply::START_MAIL).await?;
        let Some(mail) = self.incoming.mail().await? else {
            info!(peer = %self.peer, outcome = Reply::TOO_LARGE.code(), "mail received");
            return Ok(Reply::TOO_LARGE);
        };
        let octets = mail.len();
        let taken = self.intake.mail(NAME, &self.envelope, mail);
        let taken = self.stop.run_until_cancelled(taken).await.ok_or(End::Stopping)?;
        let reply = taken.map_or_else(|refused| Reply::refused(&refused), |()| Reply::ACCEPTED);
        info!(peer = %self.peer, octets, outcome = reply.code(), "mail received");
        Ok(reply)
    }

    /// Counts complaints, and makes one too many the last.
    fn count(&mut self, reply: Reply) -> Reply {
        if !reply.complains() {
            return reply;
        }
        self.complaints += 1;
        if self.complaints > COMPLAINTS_MAX { Reply::TOO_MANY_ERRORS } else { reply }
    }

    async fn say(&mut self, reply: &Reply) -> Result<(), End> {
        let written = timeout(REPLY_MAX, self.outgoing.write_all(reply.to_line().as_bytes())).await;
        written.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())).map_err(End::Broken)
    }

    /// Tells the peer why the session ends, where it can still hear it.
    async fn break_off(&mut self, end: End) {
        let reply = match end {
            End::TimedOut => Some(Reply::TIMED_OUT),
            End::Stopping => Some(Reply::STOPPING),
            End::Closed | End::Broken(_) => None,
        };
        let told = match reply {
            Some(reply) => self.say(&reply).await.is_ok(),
            None => false,
        };
        debug!(peer = %self.peer, reason = %end, told, "smtp session broken off");
    }
}
