//! Mail by LMTP (RFC 2033): the mail server of this machine or its network delivers here, over TCP or a socket.
//!
//! What is said is the same as in SMTP, but for each recipient by itself. SPF says nothing of who delivers here.

use std::net::SocketAddr;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::intake::Intake;
use crate::judge::Judge;
use crate::source::config::{Configured, Label, absolute, table};
use crate::source::finding::Check;
use crate::source::listener::{Listener, Local};
use crate::source::smtp::{Certificate, Manner, Protocol, Room, deliver, greeted, serve};
use crate::source::{Binding, Kind, Source, SourceError, Told};

/// What has to be known before there is one.
pub const KIND: Kind = Kind { name: NAME, loopback: None, table: Some(table!(lmtp: Listen)) };

/// The name of this source.
const NAME: &str = "lmtp";

/// Who may use a socket, if nothing else is said: its user alone.
const MODE: u32 = 0o600;

/// A table `[[lmtp]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What you call it.
    name: Label,
    /// Where it listens, such as `127.0.0.1:24`.
    listen: Option<SocketAddr>,
    /// A socket of this machine instead.
    socket: Option<PathBuf>,
    /// Who may use the socket [default: 0o600].
    mode: Option<u32>,
    /// What peers may start TLS with.
    tls: Option<Certificate>,
}

/// A listener that the user has configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
struct Listen {
    name: Label,
    at: At,
    tls: Option<Certificate>,
}

#[derive(Debug, Clone)]
enum At {
    Tcp(SocketAddr),
    Socket(PathBuf, u32),
}

impl TryFrom<Written> for Listen {
    type Error = &'static str;

    fn try_from(Written { name, listen, socket, mode, tls }: Written) -> Result<Self, Self::Error> {
        let at = match (listen, socket, mode) {
            (Some(address), None, None) => At::Tcp(address),
            (None, Some(path), mode) => {
                absolute(&path)?;
                At::Socket(path, mode.unwrap_or(MODE))
            }
            (Some(_), None, Some(_)) => return Err("mode belongs to a socket"),
            (None, None, _) => return Err("one of listen and socket is needed"),
            (Some(_), Some(_), _) => return Err("listen and socket exclude each other: make two tables"),
        };
        Ok(Self { name, at, tls })
    }
}

impl Configured for Listen {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn label(&self) -> &Label {
        &self.name
    }

    fn place(&self) -> String {
        match &self.at {
            At::Tcp(address) => address.to_string(),
            At::Socket(path, _) => path.display().to_string(),
        }
    }

    fn open(&self) -> Binding {
        let Self { name, at, tls } = self.clone();
        Box::pin(async move {
            let tls = tls.map(|certificate| certificate.acceptor()).transpose()?;
            let bound = match at {
                At::Tcp(address) => Bound::Tcp(Listener::bind(address).await?),
                At::Socket(path, mode) => Bound::Socket(Listener::bind_local(&path, mode)?, path),
            };
            Ok(Box::new(Lmtp { label: name, bound, tls }) as Box<dyn Source>)
        })
    }

    fn check(&self) -> Check {
        let Self { at, tls, .. } = self.clone();
        Box::pin(async move {
            let mut found = vec![match at {
                At::Tcp(address) => greeted(TcpStream::connect(address).await).await,
                At::Socket(path, _) => greeted(UnixStream::connect(path).await).await,
            }];
            found.extend(tls.map(|certificate| certificate.check()));
            found
        })
    }

    fn test(&self, _judge: Judge) -> Check {
        let at = self.at.clone();
        Box::pin(async move {
            match at {
                At::Tcp(address) => deliver(TcpStream::connect(address).await, Protocol::Lmtp).await,
                At::Socket(path, _) => deliver(UnixStream::connect(path).await, Protocol::Lmtp).await,
            }
        })
    }
}

/// A bound LMTP listener.
struct Lmtp {
    label: Label,
    bound: Bound,
    tls: Option<TlsAcceptor>,
}

enum Bound {
    Tcp(Listener),
    Socket(Listener<Local>, PathBuf),
}

impl Source for Lmtp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        match &self.bound {
            Bound::Tcp(listener) => Some(listener.local_addr()),
            Bound::Socket(..) => None,
        }
    }

    fn told(&self) -> Told {
        let place = match &self.bound {
            Bound::Tcp(listener) => listener.local_addr().to_string(),
            Bound::Socket(_, path) => path.display().to_string(),
        };
        let label = &self.label;
        Told {
            entries: vec![(format!("{NAME}.{label}"), place.clone())],
            greeting: vec![("mail", format!("lmtp://{place}  ({label})"))],
        }
    }

    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let manner =
                Manner { source: NAME, protocol: Protocol::Lmtp, tls: self.tls, room: Room::default() };
            match self.bound {
                Bound::Tcp(listener) => serve(listener, manner, intake, stop).await,
                Bound::Socket(listener, _) => serve(listener, manner, intake, stop).await,
            }
            Ok(())
        })
    }
}
