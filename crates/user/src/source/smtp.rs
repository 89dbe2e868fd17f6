//! Mail by SMTP (RFC 5321): a forwarding rule or any mail program delivers here, and nothing is sent on.
//!
//! Offered are PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
//! ENHANCEDSTATUSCODES (RFC 2034), and STARTTLS (RFC 3207) where there is a certificate. Every recipient is accepted:
//! the listener serves one person. What another attempt may mend is answered with 4xx, so that the peer comes again.

mod attempt;
mod command;
mod data;
mod reply;
mod room;
mod session;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_domain::causes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::intake::Intake;
use crate::judge::Judge;
use crate::source::config::{Configured, Label, table};
use crate::source::finding::{Check, Finding};
use crate::source::listener::{Accept, Listener};
use crate::source::stream::{TlsError, acceptor};
use crate::source::{Binding, Kind, Loopback, Source, SourceError, Told};

pub(super) use self::attempt::deliver;
pub(super) use self::data::MAIL_MAX;
use self::reply::Reply;
pub(super) use self::room::Room;
use self::session::Session;

/// What has to be known before there is one.
pub const KIND: Kind = Kind {
    name: NAME,
    loopback: Some(Loopback {
        port: "where mail is taken",
        bind: |address, _| {
            Box::pin(async move { Ok(Box::new(Smtp::bind(address).await?) as Box<dyn Source>) })
        },
        check: |address, _| Box::pin(async move { vec![greeted(TcpStream::connect(address).await).await] }),
        test: Some(|address| {
            Box::pin(async move { deliver(TcpStream::connect(address).await, Protocol::Smtp).await })
        }),
    }),
    table: Some(table!(smtp: Outside)),
};

/// The name of this source.
const NAME: &str = "smtp";

/// How long one of our listeners may take to say its greeting.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// How a listener speaks with its peers.
#[derive(Clone)]
pub(super) struct Manner {
    /// The name of its kind.
    pub(super) source: &'static str,
    pub(super) protocol: Protocol,
    /// What TLS may be started with.
    pub(super) tls: Option<TlsAcceptor>,
    /// How much mail may be held for its peers.
    pub(super) room: Room,
}

/// Which protocol.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

/// Serves every peer of a listener until `stop` is cancelled.
pub(super) async fn serve<A: Accept>(
    listener: Listener<A>,
    manner: Manner,
    intake: Intake,
    stop: CancellationToken,
) {
    let session = |stream: A::Stream, peer| {
        Session::new(Box::new(stream), peer, manner.clone(), intake.clone(), stop.clone()).run()
    };
    listener.serve(&Reply::TOO_MANY_SESSIONS.to_line(), &stop, session).await;
}

/// A certificate with its chain, and its key, both in PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// What TLS is started with.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        acceptor(&self.certificate, &self.key)
    }

    /// What can be said of it without a peer.
    pub(super) fn check(&self) -> Finding {
        match self.acceptor() {
            Ok(_) => Finding::works("tls", "certificate and key belong together"),
            Err(error) => Finding::fails("tls", causes(&error)),
        }
    }
}

/// A table `[[smtp]]`: a listener besides the one on 127.0.0.1.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outside {
    /// What you call it.
    name: Label,
    /// Where it listens, such as `192.0.2.1:25`.
    listen: SocketAddr,
    /// What peers may start TLS with.
    tls: Option<Certificate>,
}

impl Configured for Outside {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn label(&self) -> &Label {
        &self.name
    }

    fn place(&self) -> String {
        self.listen.to_string()
    }

    fn open(&self) -> Binding {
        let Self { name, listen, tls } = self.clone();
        Box::pin(async move {
            let tls = tls.map(|certificate| certificate.acceptor()).transpose()?;
            let listener = Listener::bind(listen).await?;
            Ok(Box::new(Smtp { listener, label: Some(name), tls }) as Box<dyn Source>)
        })
    }

    fn check(&self) -> Check {
        let Self { listen, tls, .. } = self.clone();
        Box::pin(async move {
            let mut found = vec![greeted(TcpStream::connect(listen).await).await];
            found.extend(tls.map(|certificate| certificate.check()));
            found
        })
    }

    fn test(&self, _judge: Judge) -> Check {
        let listen = self.listen;
        Box::pin(async move { deliver(TcpStream::connect(listen).await, Protocol::Smtp).await })
    }
}

/// Whether one of our listeners answers.
pub(super) async fn greeted<S: AsyncRead + Unpin>(connected: io::Result<S>) -> Finding {
    let mut greeting = [0; 14];
    let heard = async { connected?.read_exact(&mut greeting).await };
    match timeout(ANSWER_MAX, heard).await {
        Ok(Ok(_)) if greeting == *b"220 agent-otp " => Finding::works("listens", "it answers"),
        Ok(Ok(_)) => Finding::fails("listens", "another program answers; stop it, or choose another address"),
        Ok(Err(error)) => Finding::fails("listens", format!("{error}; is `agent-otp up` running?")),
        Err(_elapsed) => Finding::fails("listens", "nothing answers; restart `agent-otp up`"),
    }
}

/// A bound SMTP listener.
pub struct Smtp {
    listener: Listener,
    /// What the user calls it; the one on 127.0.0.1 has no name.
    label: Option<Label>,
    tls: Option<TlsAcceptor>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp({})", self.listener.local_addr())
    }
}

impl Smtp {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`SourceError::Occupied`] or [`SourceError::Unavailable`], with the address and the next step.
    pub async fn bind(address: SocketAddr) -> Result<Self, SourceError> {
        Ok(Self { listener: Listener::bind(address).await?, label: None, tls: None })
    }
}

impl Source for Smtp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        Some(self.listener.local_addr())
    }

    fn told(&self) -> Told {
        let address = self.listener.local_addr();
        let (key, line) = match &self.label {
            None => (NAME.to_owned(), format!("smtp://{address}  (any recipient; forward your mail here)")),
            Some(label) => (format!("{NAME}.{label}"), format!("smtp://{address}  ({label})")),
        };
        Told { entries: vec![(key, address.to_string())], greeting: vec![("mail", line)] }
    }

    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let manner =
                Manner { source: NAME, protocol: Protocol::Smtp, tls: self.tls, room: Room::default() };
            serve(self.listener, manner, intake, stop).await;
            Ok(())
        })
    }
}
