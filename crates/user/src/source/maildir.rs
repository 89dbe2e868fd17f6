//! Mail of a Maildir (<https://cr.yp.to/proto/maildir.html>), as it is delivered.
//!
//! Read-only: files are read, and neither moved nor marked. What is in `new` and `cur` is whole, because deliveries are
//! written in `tmp`; a file that goes from `new` to `cur` is the same mail.
//!
//! **When a mail was received:** when it was seen here, or earlier if its file says so, by the time that its name begins
//! with or that it was last written at. A copy of an old mail is old by one of them as a rule; what proves who sent it
//! says when it was written besides.

mod scan;
mod watch;

use std::fs;
use std::mem;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use agent_otp_domain::{Digest, causes};
use agent_otp_jetstream::clock;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use zeroize::Zeroizing;

use crate::intake::{Fetched, Intake};
use crate::judge::Judge;
use crate::open::Open;
use crate::source::config::{Configured, Label, absolute, table};
use crate::source::finding::{Check, Finding};
use crate::source::pulled::Pulled;
use crate::source::smtp::MAIL_MAX;
use crate::source::{Binding, Kind, Source, SourceError, Told};

use self::scan::{Delivered, Seen};
use self::watch::{Gone, Watch};

/// What has to be known before there is one.
pub const KIND: Kind = Kind { name: NAME, loopback: None, table: Some(table!(maildir: Maildir)) };

/// The name of this source.
const NAME: &str = "maildir";
/// How long nothing is looked at if nothing is told of.
const LOOK_AFTER: Duration = Duration::from_mins(1);
/// The same while a request is open: files that another machine delivers are told of by nobody.
const LOOK_AFTER_WHILE_OPEN: Duration = Duration::from_secs(1);

/// A table `[[maildir]]`, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What you call it.
    name: Label,
    /// The directory with `new` and `cur` in it.
    path: PathBuf,
}

/// A Maildir that the user has configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
struct Maildir {
    name: Label,
    path: PathBuf,
}

impl TryFrom<Written> for Maildir {
    type Error = &'static str;

    fn try_from(Written { name, path }: Written) -> Result<Self, Self::Error> {
        absolute(&path)?;
        Ok(Self { name, path })
    }
}

impl Configured for Maildir {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn label(&self) -> &Label {
        &self.name
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn open(&self) -> Binding {
        let maildir = self.clone();
        Box::pin(async move {
            let watch = Watch::new(&maildir.path)?;
            Ok(Box::new(Watched { maildir, watch }) as Box<dyn Source>)
        })
    }

    fn check(&self) -> Check {
        let path = self.path.clone();
        Box::pin(async move {
            vec![
                match scan::new(&path, &mut Seen::default(), clock::now()) {
                    Ok(_) => Finding::works("directory", "new and cur can be read"),
                    Err(error) => {
                        Finding::fails("directory", format!("{error}; look at path, and at its permissions"))
                    }
                },
                match Watch::new(&path) {
                    Ok(_) => Finding::works("watch", "new files are told of"),
                    Err(error) => Finding::fails("watch", causes(&error)),
                },
            ]
        })
    }

    fn test(&self, judge: Judge) -> Check {
        let path = self.path.clone();
        Box::pin(async move {
            match spawn_blocking(move || scan::newest(&path)).await {
                Ok(Some(raw)) => judge.judge(raw).await,
                Ok(None) | Err(_) => vec![Finding::no_mail()],
            }
        })
    }
}

/// A Maildir that is watched.
struct Watched {
    maildir: Maildir,
    watch: Watch,
}

impl Source for Watched {
    fn name(&self) -> &'static str {
        NAME
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn told(&self) -> Told {
        let Maildir { name, path } = &self.maildir;
        let path = path.display().to_string();
        Told {
            greeting: vec![("mail", format!("maildir {path}  ({name}, read-only)"))],
            entries: vec![(format!("{NAME}.{name}"), path)],
        }
    }

    fn run(
        self: Box<Self>,
        intake: Intake,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let Self { maildir, watch } = *self;
            let (open, pulled) = (intake.open(), Pulled::new(NAME, intake));
            let reader = Reader { path: maildir.path, seen: Seen::default(), pulled, open };
            stop.run_until_cancelled(reader.read(watch)).await;
            Ok(())
        })
    }
}

/// Reads what is delivered.
struct Reader {
    path: PathBuf,
    seen: Seen,
    pulled: Pulled,
    open: Open,
}

impl Reader {
    /// Looks at everything first, and again whenever something has changed. What is told of a file is only a hint: the
    /// system drops what it cannot keep, and tells nothing of what another machine has delivered.
    async fn read(mut self, mut watch: Watch) {
        loop {
            self.look().await;
            let look_after = if self.open.is() { LOOK_AFTER_WHILE_OPEN } else { LOOK_AFTER };
            let changed = async {
                tokio::select! {
                    changed = timeout(look_after, watch.changed()) => changed.unwrap_or(Err(Gone)),
                    () = self.open.opened(), if look_after == LOOK_AFTER => Ok(Vec::new()),
                }
            };
            match changed.await {
                Ok(rewritten) => self.seen.forget(&rewritten),
                // Another directory may stand in its place.
                Err(Gone) => match Watch::new(&self.path) {
                    Ok(anew) => watch = anew,
                    Err(error) => {
                        warn!(error = %causes(&error), "Maildir not watched");
                        sleep(LOOK_AFTER_WHILE_OPEN).await;
                    }
                },
            }
        }
    }

    async fn look(&mut self) {
        let (path, mut seen) = (self.path.clone(), mem::take(&mut self.seen));
        let scanned = spawn_blocking(move || {
            let delivered = scan::new(&path, &mut seen, clock::now());
            (seen, delivered)
        });
        let Ok((seen, delivered)) = scanned.await else { return };
        self.seen = seen;
        match delivered {
            Ok(delivered) => {
                for mail in delivered {
                    self.take(mail).await;
                }
            }
            Err(error) => warn!(%error, "Maildir not read"),
        }
    }

    async fn take(&mut self, Delivered { path, name, received_at, octets }: Delivered) {
        if octets > MAIL_MAX as u64 {
            return warn!(octets, limit = MAIL_MAX, "mail not read: it is too large to be one with a code");
        }
        match spawn_blocking(move || fs::read(path).map(Zeroizing::new)).await {
            Ok(Ok(raw)) => {
                let place = Digest::of(&[b"maildir\0", name.as_bytes()]);
                self.pulled.hand_in(Fetched { raw, received_at, place }).await;
            }
            // It has been moved meanwhile: its other name brings it back.
            Ok(Err(_)) | Err(_) => self.seen.forget(&[name]),
        }
    }
}
