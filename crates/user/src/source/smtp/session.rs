//! One connection: the order of the commands, from the greeting to the goodbye.

use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::intake::Intake;
use crate::mail::authentication::{Envelope, Handover};
use crate::source::listener::Peer;
use crate::source::stream::Stream;

use super::command::Command;
use super::data::{Unkept, Whole};
use super::reply::Reply;
use super::room::Room;
use super::wire::{End, Wire};
use super::{Manner, Protocol};

/// How many recipients one mail may have (RFC 5321, section 4.5.3.1.8).
const RECIPIENTS_MAX: u8 = 100;

/// How many bad commands are answered one by one; the next one ends the session.
const COMPLAINTS_MAX: u8 = 10;

/// One peer's session.
pub(super) struct Session {
    peer: Peer,
    source: &'static str,
    protocol: Protocol,
    /// What TLS may be started with, as long as it has not been.
    tls: Option<TlsAcceptor>,
    /// What it has said of itself, and whom it has named as sender, last.
    envelope: Envelope,
    wire: Wire,
    /// What all sessions of the listener share.
    room: Room,
    intake: Intake,
    stop: CancellationToken,
    stage: Stage,
    complaints: u8,
}

/// How far the peer has come.
enum Stage {
    /// It has not said EHLO, HELO or LHLO.
    Connected,
    /// It may begin a mail.
    Ready,
    /// It has named a sender.
    Sender,
    /// It has named a sender and this many recipients.
    Recipients(u8),
}

impl Session {
    pub(super) fn new(
        stream: Stream,
        peer: Peer,
        manner: Manner,
        intake: Intake,
        stop: CancellationToken,
    ) -> Self {
        let Manner { source, protocol, tls, room } = manner;
        let handover = match protocol {
            Protocol::Smtp => Handover::Relay,
            Protocol::Lmtp => Handover::Delivery,
        };
        let mut envelope = Envelope { handover, ..Envelope::local() };
        if let Peer::At(address) = peer {
            envelope.peer = address.ip();
        }
        let wire = Wire::new(stream, stop.clone());
        Self {
            peer,
            source,
            protocol,
            tls,
            envelope,
            wire,
            room,
            intake,
            stop,
            stage: Stage::Connected,
            complaints: 0,
        }
    }

    /// Serves the peer until it leaves, breaks off, or the listener stops.
    pub(super) async fn run(mut self) {
        if let Err(end) = self.converse().await {
            self.break_off(end).await;
        }
        self.wire.close().await;
    }

    /// Answers command after command. Replies are written at once and in order, so that a peer may
    /// send many commands without waiting (RFC 2920).
    async fn converse(&mut self) -> Result<(), End> {
        let greeting = match self.protocol {
            Protocol::Smtp => Reply::GREETING,
            Protocol::Lmtp => Reply::LMTP_GREETING,
        };
        self.say(&greeting).await?;
        loop {
            let line = self.wire.line().await?;
            let reply = match Command::parse(&line) {
                Ok(Command::StartTls) if self.tls.is_some() => {
                    self.start_tls().await?;
                    continue;
                }
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

    /// Goes on under TLS, as if the peer had connected anew (RFC 3207, section 4.2).
    async fn start_tls(&mut self) -> Result<(), End> {
        self.say(&Reply::START_TLS).await?;
        if let Some(acceptor) = self.tls.take() {
            self.wire.start_tls(&acceptor).await?;
        }
        self.stage = Stage::Connected;
        Ok(())
    }

    async fn answer(&mut self, command: Command) -> Result<Reply, End> {
        let extensions = if self.tls.is_some() { Reply::extensions_and_tls() } else { Reply::extensions() };
        Ok(match (command, self.protocol) {
            (Command::Ehlo(helo), Protocol::Smtp) => self.hello(helo, extensions),
            (Command::Helo(helo), Protocol::Smtp) => self.hello(helo, Reply::HELLO),
            (Command::Lhlo(helo), Protocol::Lmtp) => self.hello(helo, extensions),
            (Command::Ehlo(_) | Command::Helo(_), Protocol::Lmtp)
            | (Command::Lhlo(_), Protocol::Smtp)
            | (Command::StartTls, Protocol::Smtp | Protocol::Lmtp) => Reply::NOT_OFFERED,
            (Command::Mail(sender), _) => self.mail(sender),
            (Command::Rcpt, _) => self.rcpt(),
            (Command::Data, _) => self.data().await?,
            (Command::Rset, _) => self.rset(),
            (Command::Noop, _) => Reply::OK,
            (Command::Vrfy, _) => Reply::VRFY,
            (Command::Help, _) => Reply::HELP,
            (Command::Quit, _) => Reply::GOODBYE,
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

    /// Receives one mail and hands it over; the reply is the intake's. In LMTP each recipient gets one (RFC 2033,
    /// section 4.2), and all are the same.
    async fn data(&mut self) -> Result<Reply, End> {
        let recipients = match self.stage {
            Stage::Connected => return Ok(Reply::HELLO_FIRST),
            Stage::Ready => return Ok(Reply::MAIL_FIRST),
            Stage::Sender => return Ok(Reply::RCPT_FIRST),
            Stage::Recipients(recipients) => recipients,
        };
        self.stage = Stage::Ready;
        self.say(&Reply::START_MAIL).await?;
        let reply = match self.wire.mail(self.room.clone()).await? {
            Ok(Whole { octets, taken: _room }) => {
                let taken = self.intake.mail(self.source, &self.envelope, octets);
                let taken = self.stop.run_until_cancelled(taken).await.ok_or(End::Stopping)?;
                match taken {
                    Ok(()) => Reply::ACCEPTED,
                    Err(refused) if self.envelope.may_be_of_sender() => Reply::refused(&refused),
                    Err(refused) => Reply::not_used(&refused),
                }
            }
            Err(Unkept::TooLarge) => Reply::TOO_LARGE,
            Err(Unkept::NoRoom) => Reply::NO_ROOM,
        };
        info!(source = self.source, peer = %self.peer, outcome = reply.code(), "mail received");
        if let Protocol::Lmtp = self.protocol {
            for _ in 1..recipients {
                self.say(&reply).await?;
            }
        }
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
        self.wire.send(reply.to_line().as_bytes()).await
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
        debug!(source = self.source, peer = %self.peer, reason = %end, told, "session broken off");
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use agent_otp_jetstream::clock;
    use mail_parser::DateTime;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use crate::intake::{Received, Unverified};
    use crate::mail::authentication::{Authenticator, Dns};
    use crate::source::smtp::reply::NOT_USED;

    use super::*;

    #[tokio::test]
    async fn whose_results_are_believed_is_a_question_of_where_the_peer_is_and_not_of_its_protocol() {
        for (protocol, peer, answer) in [
            (Protocol::Lmtp, "203.0.113.9", NOT_USED),
            (Protocol::Lmtp, "2001:db8::9", NOT_USED),
            (Protocol::Smtp, "203.0.113.9", "550 5.7.1 "),
            (Protocol::Smtp, "100.100.1.2", NOT_USED),
            (Protocol::Lmtp, "192.168.1.2", "250 2.0.0 accepted"),
            (Protocol::Smtp, "192.168.1.2", "250 2.0.0 accepted"),
            (Protocol::Lmtp, "127.0.0.1", "250 2.0.0 accepted"),
        ] {
            let (answered, is_taken) = deliver(protocol, peer).await;
            assert!(answered.starts_with(answer), "{protocol:?} from {peer}: {answered}");
            assert_eq!(is_taken, answered.contains("accepted"), "{protocol:?} from {peer}");
        }
    }

    /// Delivers a mail for which the results of a trusted server vouch: what is answered, and whether it was taken.
    async fn deliver(protocol: Protocol, peer: &str) -> (String, bool) {
        let authenticator = Authenticator::new(Dns::None, "mx.home.example".parse().ok()).unwrap();
        let (intake, mut received) = Intake::new(Unverified::Refuse, authenticator);
        let (mut here, there) = duplex(8 * 1024);
        let manner = Manner { source: "test", protocol, tls: None, room: Room::default() };
        let peer = Peer::At((peer.parse::<IpAddr>().unwrap(), 25).into());
        let session = Session::new(Box::new(there), peer, manner, intake, CancellationToken::new());
        let mut heard = String::new();
        let dialogue = async {
            here.write_all(said(protocol).as_bytes()).await.unwrap();
            here.read_to_string(&mut heard).await.unwrap();
        };
        tokio::join!(session.run(), dialogue);
        let answered = heard.lines().rev().nth(1).unwrap_or_default().to_owned();
        (answered, received.try_recv().ok().and_then(Received::message).is_some())
    }

    fn said(protocol: Protocol) -> String {
        let hello = match protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let date = DateTime::from_timestamp(clock::now().as_unix_ms() / 1_000).to_rfc822();
        format!(
            "{hello} peer.example\r\nMAIL FROM:<>\r\nRCPT TO:<otp@localhost>\r\nDATA\r\n\
             Authentication-Results: mx.home.example; dmarc=pass header.from=acme.example\r\n\
             From: no-reply@acme.example\r\nDate: {date}\r\n\r\nYour code is 482913.\r\n.\r\nQUIT\r\n"
        )
    }
}
