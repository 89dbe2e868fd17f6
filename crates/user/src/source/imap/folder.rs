//! One folder, watched: what has come since it was last looked at is fetched and handed in, once.
//!
//! **When a mail was received** is for this machine's clock to say: when it was seen here. But a mail may have lain in
//! the mailbox while nobody was connected, and an old one may be moved or copied into the folder, where it gets a new
//! number and looks as if it had just come. The server's INTERNALDATE goes with a mail from folder to folder
//! (RFC 9051, section 6.4.7). So a mail counts as received when it was seen, or at its INTERNALDATE if that is
//! earlier, and one without an INTERNALDATE is not taken. A server whose clock is behind makes its mail look older,
//! never younger: nothing is released that should not be.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use agent_otp_domain::{Digest, causes};
use agent_otp_jetstream::clock;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::desk::KEPT_MAX;
use crate::intake::{Fetched, Intake};
use crate::open::{Expected, Open};
use crate::source::pulled::Pulled;

use super::NAME;
use super::account::Account;
use super::connection::Connection;
use super::error::ImapError;
use super::pause::{AGAIN_AFTER, Failures};
use super::response::Listed;
use super::wanted::{Failed, Wanted};

/// How long the server is left to tell of news by itself. RFC 2177 allows 29 minutes; networks forget a silent
/// connection earlier, and some servers forget to tell, so that the folder is looked at this often in any case.
const IDLE_MAX: Duration = Duration::from_mins(4);
/// How often a server is asked while a message is likely to come: some wait half a second before they tell.
const NOOP_EVERY: Duration = Duration::from_millis(100);
/// The same while a message may come yet.
const NOOP_EVERY_LATER: Duration = Duration::from_millis(200);
/// The same of one that cannot tell by itself, as long as a request is open.
const POLL_EVERY_WHILE_OPEN: Duration = Duration::from_secs(2);
/// How often the folder itself is looked at while a request is open, whatever the server says.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often a server is asked that cannot tell by itself.
const POLL_EVERY: Duration = Duration::from_secs(15);
/// A folder that is being watched.
pub(super) struct Folder {
    account: Arc<Account>,
    name: String,
    pulled: Pulled,
    open: Open,
    /// How far it has been looked at; nothing before the first time.
    position: Option<Position>,
    /// What was listed and is still to be fetched.
    wanted: Wanted,
    failures: Failures,
}

/// A place between two messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    uid_validity: u32,
    /// The lowest UID that was not looked at.
    uid_next: u32,
}

impl Folder {
    pub(super) fn new(account: Arc<Account>, name: String, intake: &Intake) -> Self {
        let (pulled, open) = (Pulled::new(NAME, intake.clone()), intake.open());
        Self {
            account,
            name,
            pulled,
            open,
            position: None,
            wanted: Wanted::default(),
            failures: Failures::default(),
        }
    }

    /// Watches until `stop` is cancelled, whatever the server does.
    pub(super) async fn watch(mut self, stop: CancellationToken) {
        while let Some(Err(error)) = stop.run_until_cancelled(self.follow()).await {
            let pause = self.failures.pause(&error);
            warn!(source = %self.account.name, error = %causes(&error), again_in = ?pause, "mailbox not watched");
            let open = &mut self.open;
            let pausing = async {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = async { sleep(AGAIN_AFTER.0).await; open.opened().await }, if !error.is_lasting() => {}
                }
            };
            if stop.run_until_cancelled(pausing).await.is_none() {
                return;
            }
        }
    }

    async fn follow(&mut self) -> Result<Infallible, ImapError> {
        let mut connection = Connection::open(&self.account).await?;
        connection.log_in(&self.account).await?;
        self.begin(&mut connection).await?;
        info!(source = %self.account.name, "mailbox watched");
        self.failures = Failures::default();
        loop {
            self.look(&mut connection).await?;
            self.wait(&mut connection).await?;
        }
    }

    /// Goes on where it was; where that says nothing, begins with what came lately, for an approval may wait for it.
    async fn begin(&mut self, connection: &mut Connection) -> Result<(), ImapError> {
        let examined = connection.examine(&self.name).await?;
        let uid_validity = examined.uid_validity;
        if self.position.is_some_and(|position| position.uid_validity == uid_validity) {
            return Ok(());
        }
        self.position = None;
        self.wanted.clear();
        let mut listed = Vec::new();
        if examined.exists > 0 {
            let kept_max = u32::try_from(KEPT_MAX).unwrap_or(u32::MAX);
            listed = connection.list_last(examined.exists.saturating_sub(kept_max).max(1)).await?;
        }
        self.note(Position { uid_validity, uid_next: examined.uid_next.unwrap_or(1) }, &listed);
        Ok(())
    }

    /// Takes what has come since.
    async fn look(&mut self, connection: &mut Connection) -> Result<(), ImapError> {
        if let Some(position) = self.position {
            let mut listed = connection.list_from(position.uid_next).await?;
            listed.retain(|message| message.uid >= position.uid_next);
            self.note(position, &listed);
        }
        self.fetch(connection).await
    }

    /// Remembers what was listed from this position on.
    fn note(&mut self, position: Position, listed: &[Listed]) {
        let next = listed.iter().map(|message| message.uid.saturating_add(1)).max();
        self.position = Some(Position { uid_next: position.uid_next.max(next.unwrap_or(0)), ..position });
        self.wanted.add(listed, clock::now());
    }

    /// Fetches what is wanted and hands it in, until there is news of more: that may be smaller, and is looked at first.
    async fn fetch(&mut self, connection: &mut Connection) -> Result<(), ImapError> {
        let Some(Position { uid_validity, .. }) = self.position else { return Ok(()) };
        while let Some(message) = self.wanted.next(clock::now()) {
            match connection.body(message.uid).await {
                Ok(Some(raw)) => {
                    let place = self.digest(uid_validity, message.uid);
                    self.pulled.hand_in(Fetched { raw, received_at: message.received_at, place }).await;
                }
                Ok(None) | Err(ImapError::Refused { .. }) => {
                    self.wanted.put_back(message, Failed::Answered, clock::now());
                }
                Err(error) => {
                    let is_answer = matches!(error, ImapError::TooLong);
                    let failed = if is_answer { Failed::Answered } else { Failed::Broken };
                    self.wanted.put_back(message, failed, clock::now());
                    return Err(error);
                }
            }
            if connection.has_news() {
                break;
            }
        }
        Ok(())
    }

    /// What names a message's place.
    fn digest(&self, uid_validity: u32, uid: u32) -> Digest {
        let Account { host, user, .. } = &*self.account;
        let place = format!("imap\0{host}\0{user}\0{}\0{uid_validity}\0{uid}", self.name);
        Digest::of(&[place.as_bytes()])
    }

    /// How often the server is asked; not at all while it is left to tell by itself.
    fn asked_every(&mut self) -> Option<Duration> {
        match self.open.expected() {
            Expected::Soon => Some(NOOP_EVERY),
            Expected::Later => Some(NOOP_EVERY_LATER),
            Expected::Sometime => None,
        }
    }

    /// Waits until the folder is to be looked at.
    async fn wait(&mut self, connection: &mut Connection) -> Result<(), ImapError> {
        let look_at = Instant::now() + LOOK_EVERY;
        while let Some(every) = self.asked_every()
            && !connection.has_news()
            && Instant::now() < look_at
        {
            let next = Instant::now() + every;
            connection.noop().await?;
            if !connection.has_news() {
                sleep_until(next).await;
            }
        }
        if self.asked_every().is_some() || connection.has_news() {
            return Ok(());
        }
        let is_open = self.open.is();
        if connection.can("IDLE") {
            let longest = if is_open { LOOK_EVERY } else { IDLE_MAX };
            return connection.idle(longest, self.open.changed()).await;
        }
        tokio::select! {
            () = sleep(if is_open { POLL_EVERY_WHILE_OPEN } else { POLL_EVERY }) => {}
            () = self.open.changed() => {}
        }
        debug!(source = %self.account.name, "the server is asked: it has no IDLE");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
    use tokio::sync::watch;

    use crate::intake::Unverified;
    use crate::mail::authentication::{Authenticator, Dns};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_is_asked_often_for_as_long_as_a_message_is_likely_to_come() {
        for (capabilities, least, most) in [("IDLE", 2 * 596, 2 * 606), ("ID", 0, 2)] {
            let (client, server) = duplex(1_024);
            let serving = tokio::spawn(serve(server, capabilities));
            let mut connection = Connection::over(Box::new(client));
            connection.ask_capabilities().await.unwrap();
            let until = watch::Sender::new(Some(clock::now().after(Duration::from_hours(1))));
            let (intake, _received) =
                Intake::new(Unverified::Accept, Authenticator::new(Dns::None, None).unwrap());
            let intake = intake.while_open(until.subscribe());
            let mut folder = Folder::new(Arc::new(account()), "INBOX".to_owned(), &intake);
            let mut looks = 0;
            let began = Instant::now();
            while began.elapsed() < Duration::from_hours(1) {
                folder.wait(&mut connection).await.unwrap();
                looks += 1;
            }
            drop(connection);
            let (noops, others) = serving.await.unwrap();
            assert!((3_280..=3_305).contains(&noops), "{noops}");
            assert!((least..=most).contains(&others), "{capabilities}: {others}");
            assert!(looks >= 700, "{looks}");
        }
    }

    fn account() -> Account {
        toml::from_str("name = \"mine\"\nhost = \"localhost\"\nuser = \"me\"\npassword_file = \"/nowhere\"\n")
            .unwrap()
    }

    /// A server to which nothing happens; how many commands came: NOOP, and all others.
    async fn serve(stream: DuplexStream, capabilities: &str) -> (usize, usize) {
        let mut lines = BufReader::new(stream);
        let (mut noops, mut others, mut idle) = (0, 0, String::new());
        let mut line = String::new();
        while lines.read_line(&mut line).await.unwrap() > 0 {
            let command = line.trim_end().to_owned();
            let (tag, name) = command.split_once(' ').unwrap_or((idle.as_str(), "DONE"));
            if name == "NOOP" {
                noops += 1;
            } else {
                others += 1;
            }
            let answer = match name {
                "CAPABILITY" => format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n{tag} OK\r\n"),
                "IDLE" => "+ idling\r\n".to_owned(),
                _ => format!("{tag} OK done\r\n"),
            };
            if name == "IDLE" {
                idle = tag.to_owned();
            }
            lines.write_all(answer.as_bytes()).await.unwrap();
            line.clear();
        }
        (noops, others)
    }
}
