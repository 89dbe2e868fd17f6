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

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::intake::Intake;
use crate::source::listener::Listener;
use crate::source::{Kind, Source, SourceError, Told};

use self::reply::Reply;
use self::session::Session;

/// What has to be known before one is bound.
pub const KIND: Kind = Kind {
    name: NAME,
    port: "where mail is taken",
    bind: |address, _| Box::pin(async move { Ok(Box::new(Smtp::bind(address).await?) as Box<dyn Source>) }),
};

/// The name of this source.
const NAME: &str = "smtp";

/// A bound SMTP listener.
#[derive(Debug)]
pub struct Smtp {
    listener: Listener,
}

impl Smtp {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`SourceError::Occupied`] or [`SourceError::Unavailable`], with the address and the next step.
    pub async fn bind(address: SocketAddr) -> Result<Self, SourceError> {
        Ok(Self { listener: Listener::bind(address).await? })
    }
}

impl Source for Smtp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn told(&self) -> Told {
        let address = self.local_addr();
        Told {
            entries: vec![(NAME.to_owned(), address.to_string())],
            greeting: vec![("mail", format!("smtp://{address}  (any recipient; forward your mail here)"))],
        }
    }

    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let session = |stream, peer| Session::new(stream, peer, intake.clone(), stop.clone()).run();
            self.listener.serve(&Reply::TOO_MANY_SESSIONS.to_line(), &stop, session).await;
            Ok(())
        })
    }
}
