//! A connection to a server: commands go out one at a time, and nothing that is sent changes a mailbox.

mod login;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, empty};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use crate::source::stream::{Stream, connector};

use super::account::{Account, Tls};
use super::error::{ImapError, refusal};
use super::response::{self, Listed, Response, Untagged};

/// How long the server may take to be found, to agree on TLS, and to say its greeting.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long one of its addresses may take: where a network has no IPv6, it may be the next one that answers.
const ADDRESS_MAX: Duration = Duration::from_secs(4);
/// How long it may say nothing while it is at a command.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a command may take in all; a large mail takes its time, and is too old afterwards.
const COMMAND_MAX: Duration = Duration::from_mins(10);
/// How much is read at once.
const BLOCK_OCTETS: usize = 16 * 1_024;
/// How many folders are named to a person.
const FOLDERS_MAX: usize = 50;
/// What is asked of each message before it is fetched.
const ITEMS: &str = "(UID INTERNALDATE RFC822.SIZE)";

/// A connection.
pub(super) struct Connection {
    stream: Stream,
    /// What has come and was not read.
    received: Zeroizing<Vec<u8>>,
    capabilities: BTreeSet<String>,
    commands: u32,
    /// Whether the server has told of messages that were not asked about.
    has_news: bool,
}

/// A folder that was opened.
#[derive(Debug, Default)]
pub(super) struct Examined {
    /// Changes when the server numbers its messages anew.
    pub(super) uid_validity: u32,
    /// No message has this UID or a higher one; some servers do not say.
    pub(super) uid_next: Option<u32>,
    /// How many messages there are.
    pub(super) exists: u32,
}

impl Connection {
    /// Connects, with TLS as the account has it.
    pub(super) async fn open(account: &Account) -> Result<Self, ImapError> {
        let place = format!("{}:{}", account.host, account.port);
        let stream = connect(account)
            .await
            .map_err(|source| ImapError::Unreachable { place: place.clone(), source })?;
        let mut connection = Self::over(Box::new(stream));
        if account.tls == Tls::Implicit {
            connection.start_tls(account, &place).await?;
        }
        connection.greeting(&place).await?;
        if account.tls == Tls::Starttls {
            connection.ask_capabilities().await?;
            if !connection.can("STARTTLS") {
                return Err(ImapError::NoStartTls);
            }
            connection.command("STARTTLS", "STARTTLS", |_| {}).await?;
            // What came in the clear was perhaps written by somebody in between.
            connection.received.clear();
            connection.start_tls(account, &place).await?;
        }
        connection.ask_capabilities().await?;
        Ok(connection)
    }

    pub(super) fn over(stream: Stream) -> Self {
        Self {
            stream,
            received: Zeroizing::default(),
            capabilities: BTreeSet::new(),
            commands: 0,
            has_news: false,
        }
    }

    async fn start_tls(&mut self, account: &Account, place: &str) -> Result<(), ImapError> {
        let connector = connector(account.ca_file.as_deref())?;
        let plain = std::mem::replace(&mut self.stream, Box::new(empty()));
        let agreed = timeout(CONNECT_MAX, connector.connect(account.server.clone(), plain)).await;
        let stream = agreed
            .map_err(|_elapsed| ImapError::Silent(place.to_owned()))?
            .map_err(|source| ImapError::Tls { place: place.to_owned(), source })?;
        self.stream = Box::new(stream);
        Ok(())
    }

    async fn greeting(&mut self, place: &str) -> Result<(), ImapError> {
        match timeout(CONNECT_MAX, self.hear()).await {
            Err(_elapsed) => Err(ImapError::Silent(place.to_owned())),
            Ok(Ok(Response::Untagged(Untagged::Well))) => Ok(()),
            Ok(Ok(Response::Bye(said))) => Err(ImapError::Closed(said)),
            Ok(Ok(_)) => Err(ImapError::Silent(place.to_owned())),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Whether the server has said that it can do this.
    pub(super) fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    pub(super) async fn ask_capabilities(&mut self) -> Result<(), ImapError> {
        let mut capabilities = BTreeSet::new();
        self.command("CAPABILITY", "CAPABILITY", |told| {
            if let Untagged::Capabilities(names) = told {
                capabilities.extend(names);
            }
        })
        .await?;
        self.capabilities = capabilities;
        Ok(())
    }

    /// Opens a folder so that nothing in it can be changed.
    pub(super) async fn examine(&mut self, folder: &str) -> Result<Examined, ImapError> {
        let mut examined = Examined::default();
        let examine = format!("EXAMINE {}", *login::quoted(folder));
        let opened = self.command("EXAMINE", &examine, |told| match told {
            Untagged::UidValidity(number) => examined.uid_validity = number,
            Untagged::UidNext(number) => examined.uid_next = Some(number),
            Untagged::Exists(number) => examined.exists = number,
            Untagged::Message(_)
            | Untagged::Capabilities(_)
            | Untagged::Folder(_)
            | Untagged::Well
            | Untagged::Other => {}
        });
        opened.await.map_err(|error| {
            refused(error, |said| ImapError::NoFolder { folder: folder.to_owned(), said })
        })?;
        self.has_news = false;
        Ok(examined)
    }

    /// The folders that can be opened, as the server calls them; of very many, the first.
    pub(super) async fn folders(&mut self) -> Result<Vec<String>, ImapError> {
        let mut folders = Vec::new();
        self.command("LIST", "LIST \"\" \"*\"", |told| {
            if let Untagged::Folder(folder) = told
                && folders.len() < FOLDERS_MAX
            {
                folders.push(folder);
            }
        })
        .await?;
        Ok(folders)
    }

    /// Lists the messages from this UID on. The last message is always among them, whatever its UID.
    pub(super) async fn list_from(&mut self, uid: u32) -> Result<Vec<Listed>, ImapError> {
        self.list(&format!("UID FETCH {uid}:* {ITEMS}")).await
    }

    /// Lists the messages from this place on, counted from 1.
    pub(super) async fn list_last(&mut self, place: u32) -> Result<Vec<Listed>, ImapError> {
        self.list(&format!("FETCH {place}:* {ITEMS}")).await
    }

    async fn list(&mut self, command: &str) -> Result<Vec<Listed>, ImapError> {
        self.has_news = false;
        let mut listed = Vec::new();
        self.command("FETCH", command, |told| {
            if let Untagged::Message(message) = told {
                listed.push(message);
            }
        })
        .await?;
        Ok(listed)
    }

    /// Fetches a whole message without marking it as read; none if it is gone.
    pub(super) async fn body(&mut self, uid: u32) -> Result<Option<Zeroizing<Vec<u8>>>, ImapError> {
        let mut body = None;
        self.command("FETCH", &format!("UID FETCH {uid} (UID BODY.PEEK[])"), |told| {
            if let Untagged::Message(message) = told
                && message.uid == uid
            {
                body = message.body.or_else(|| body.take());
            }
        })
        .await?;
        Ok(body)
    }

    /// Asks whether there is news: see [`Connection::has_news`].
    pub(super) async fn noop(&mut self) -> Result<(), ImapError> {
        self.command("NOOP", "NOOP", |_| {}).await
    }

    /// Whether the server has told of a message since the last were listed.
    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }

    /// Lets the server tell of news as they come, until there are some, `enough` is ready, or `longest` is over.
    pub(super) async fn idle(
        &mut self,
        longest: Duration,
        enough: impl Future<Output = ()>,
    ) -> Result<(), ImapError> {
        let tag = self.send("IDLE").await?;
        let mut enough = std::pin::pin!(enough);
        let until = Instant::now() + longest;
        let mut is_idle = false;
        while !(is_idle && self.has_news) {
            let heard = tokio::select! {
                heard = self.hear() => heard?,
                () = &mut enough, if is_idle => break,
                () = tokio::time::sleep_until(until) => break,
            };
            match heard {
                Response::Continuation => is_idle = true,
                Response::Bye(said) => return Err(ImapError::Closed(said)),
                Response::Tagged { tag: done, said, .. } if done == tag => {
                    return Err(ImapError::Refused { command: "IDLE", said });
                }
                Response::Tagged { .. } | Response::Untagged(_) => {}
            }
        }
        self.write(b"DONE\r\n").await?;
        self.end("IDLE", &tag, |_| {}).await
    }

    /// Takes leave; whether the server hears it does not matter.
    pub(super) async fn log_out(mut self) {
        drop(self.command("LOGOUT", "LOGOUT", |_| {}).await);
    }

    /// Sends a command, and gives `each` what is said until it has ended.
    async fn command(
        &mut self,
        name: &'static str,
        text: &str,
        each: impl FnMut(Untagged),
    ) -> Result<(), ImapError> {
        let tag = self.send(text).await?;
        self.end(name, &tag, each).await
    }

    async fn end(
        &mut self,
        name: &'static str,
        tag: &str,
        mut each: impl FnMut(Untagged),
    ) -> Result<(), ImapError> {
        let until = Instant::now() + COMMAND_MAX;
        loop {
            match self.hear_until(until).await? {
                Response::Tagged { tag: done, is_ok, said } if done == *tag => {
                    return if is_ok { Ok(()) } else { Err(ImapError::Refused { command: name, said }) };
                }
                Response::Bye(said) if name != "LOGOUT" => return Err(ImapError::Closed(said)),
                Response::Untagged(told) => each(told),
                Response::Continuation | Response::Bye(_) | Response::Tagged { .. } => {}
            }
        }
    }

    /// Sends a command under a tag of its own.
    async fn send(&mut self, command: &str) -> Result<String, ImapError> {
        self.commands += 1;
        let tag = format!("A{}", self.commands);
        let line = Zeroizing::new(format!("{tag} {command}\r\n"));
        self.write(line.as_bytes()).await?;
        Ok(tag)
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), ImapError> {
        let written = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        let written = timeout(SILENCE_MAX, written).await;
        written.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())).map_err(ImapError::Broken)
    }

    /// The next thing that the server says to a command that may take until then.
    async fn hear_until(&mut self, until: Instant) -> Result<Response, ImapError> {
        loop {
            if let Some(heard) = self.next()? {
                return Ok(heard);
            }
            let silent_at = until.min(Instant::now() + SILENCE_MAX);
            let received = timeout_at(silent_at, self.receive()).await;
            received.unwrap_or_else(|_elapsed| Err(ImapError::Broken(io::ErrorKind::TimedOut.into())))?;
        }
    }

    /// The next thing that the server says, however long that takes. What came of it stays if this is broken off.
    async fn hear(&mut self) -> Result<Response, ImapError> {
        loop {
            if let Some(heard) = self.next()? {
                return Ok(heard);
            }
            self.receive().await?;
        }
    }

    /// The first of what has come, if it is all there.
    fn next(&mut self) -> Result<Option<Response>, ImapError> {
        let length = response::length(&self.received).map_err(|_too_long| ImapError::TooLong)?;
        let Some(length) = length else { return Ok(None) };
        let rest = self.received.split_off(length);
        let response = Zeroizing::new(std::mem::replace(&mut *self.received, rest));
        let heard = response::read(&response);
        self.has_news |= matches!(heard, Response::Untagged(Untagged::Exists(_)));
        Ok(Some(heard))
    }

    /// Waits for more to come.
    async fn receive(&mut self) -> Result<(), ImapError> {
        self.received.reserve(BLOCK_OCTETS);
        if self.stream.read_buf(&mut *self.received).await.map_err(ImapError::Broken)? == 0 {
            return Err(ImapError::Closed("without a word".to_owned()));
        }
        Ok(())
    }
}

/// Connects to the first address of the host that answers.
async fn connect(account: &Account) -> io::Result<TcpStream> {
    let host = (account.host.as_str(), account.port);
    let addresses =
        timeout(CONNECT_MAX, lookup_host(host)).await.map_err(|_elapsed| io::ErrorKind::TimedOut)??;
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(ADDRESS_MAX, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return stream.set_nodelay(true).map(|()| stream),
            Ok(Err(error)) => failed = error,
            Err(_elapsed) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

/// What it means that this command was refused.
fn refused(error: ImapError, meaning: impl FnOnce(String) -> ImapError) -> ImapError {
    if let ImapError::Refused { said, .. } = error { refusal(said, meaning) } else { error }
}

#[cfg(test)]
mod tests;
