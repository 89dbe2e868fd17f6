//! Mail of a mailbox over IMAP (RFC 9051, and RFC 3501), as it comes.
//!
//! Read-only: folders are opened with EXAMINE and messages fetched with BODY.PEEK, so that nothing is marked, moved or
//! stored. The server tells of new mail by IDLE (RFC 2177), and is asked besides only while a request is open.

mod account;
mod connection;
mod error;
mod folder;
mod pause;
mod response;
mod secret;
mod wanted;

use std::net::SocketAddr;
use std::sync::Arc;

use agent_otp_domain::causes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::intake::Intake;
use crate::judge::Judge;
use crate::source::config::{Configured, Label, table};
use crate::source::finding::{Check, Finding};
use crate::source::smtp::MAIL_MAX;
use crate::source::stream::connector;
use crate::source::{Binding, Kind, Source, SourceError, Told};

use self::account::{Account, Tls};
use self::connection::Connection;
use self::error::ImapError;
use self::folder::Folder;
use self::response::Listed;

/// What has to be known before there is one.
pub const KIND: Kind = Kind { name: NAME, loopback: None, table: Some(table!(imap: Mailbox)) };

/// The name of this source.
const NAME: &str = "imap";

/// A mailbox that the user has configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Account")]
struct Mailbox(Arc<Account>);

impl From<Account> for Mailbox {
    fn from(account: Account) -> Self {
        Self(Arc::new(account))
    }
}

impl Configured for Mailbox {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn label(&self) -> &Label {
        &self.0.name
    }

    fn place(&self) -> String {
        let Account { user, host, port, folders, .. } = &*self.0;
        format!("{user} at {host}:{port}, {}", folders.join(", "))
    }

    fn open(&self) -> Binding {
        let mailbox = self.clone();
        Box::pin(async move {
            if mailbox.0.tls != Tls::None {
                connector(mailbox.0.ca_file.as_deref())?;
            }
            Ok(Box::new(mailbox) as Box<dyn Source>)
        })
    }

    fn check(&self) -> Check {
        let account = self.0.clone();
        Box::pin(async move {
            let mut found = Vec::new();
            if let Err((what, error)) = check(&account, &mut found).await {
                found.push(Finding::fails(what, causes(&error)));
            }
            found
        })
    }

    fn test(&self, judge: Judge) -> Check {
        let account = self.0.clone();
        Box::pin(async move {
            match newest(&account).await {
                Ok(Some(raw)) => judge.judge(raw).await,
                Ok(None) => vec![Finding::no_mail()],
                Err(error) => vec![Finding::fails("mail", causes(&error))],
            }
        })
    }
}

/// The newest mail of the first folder; nothing if there is none, or a large one.
async fn newest(account: &Account) -> Result<Option<Zeroizing<Vec<u8>>>, ImapError> {
    let mut connection = Connection::open(account).await?;
    connection.log_in(account).await?;
    let mut newest = None;
    if let Some(folder) = account.folders.first() {
        let examined = connection.examine(folder).await?;
        let listed =
            if examined.exists > 0 { connection.list_last(examined.exists).await? } else { Vec::new() };
        let is_small = |mail: &&Listed| mail.octets.is_some_and(|octets| octets as usize <= MAIL_MAX);
        if let Some(mail) = listed.last().filter(is_small) {
            newest = connection.body(mail.uid).await?;
        }
    }
    connection.log_out().await;
    Ok(newest)
}

/// Tries one step after the other; the first that fails is told with its name.
async fn check(account: &Account, found: &mut Vec<Finding>) -> Result<(), (String, ImapError)> {
    let failed = |what: &str| {
        let what = what.to_owned();
        |error| (what, error)
    };
    let mut connection = Connection::open(account).await.map_err(failed("connect"))?;
    let protected = if account.tls == Tls::None { "without TLS" } else { "with TLS" };
    found.push(Finding::works("connect", format!("{}:{} {protected}", account.host, account.port)));
    connection.log_in(account).await.map_err(failed("login"))?;
    found.push(Finding::works("login", account.user.clone()));
    for folder in &account.folders {
        let what = format!("folder {folder}");
        if let Err(error) = connection.examine(folder).await {
            if let Ok(there) = connection.folders().await {
                found.push(Finding::works("folders", format!("the server has {}", shown(&there))));
            }
            return Err((what, error));
        }
        found.push(Finding::works(what, "can be read, and is not changed"));
    }
    found.push(if connection.can("IDLE") {
        Finding::works("idle", "the server tells of new mail by itself")
    } else {
        Finding::slow(
            "idle",
            "the server has no IDLE: it is asked every 15 s, and every 2 s or more often while a request is open",
        )
    });
    connection.log_out().await;
    Ok(())
}

/// Names, to be copied into a list.
fn shown(names: &[String]) -> String {
    let quoted = |name: &String| format!("\"{}\"", agent_otp_domain::visible(name));
    names.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

impl Source for Mailbox {
    fn name(&self) -> &'static str {
        NAME
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn told(&self) -> Told {
        let place = self.place();
        Told {
            entries: vec![(format!("{NAME}.{}", self.label()), place.clone())],
            greeting: vec![("mail", format!("imap {place}  ({}, read-only)", self.label()))],
        }
    }

    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let watch =
                |folder: &String| Folder::new(self.0.clone(), folder.clone(), &intake).watch(stop.clone());
            let folders: JoinSet<()> = self.0.folders.iter().map(watch).collect();
            folders.join_all().await;
            Ok(())
        })
    }
}
