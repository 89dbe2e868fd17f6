//! Word to whoever runs the broker that its users have changed, and back that they are admitted as they stand now.
//!
//! A Unix socket beside the users' files: connecting is the question, and the one line that comes back the answer.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tracing::debug;

use super::NatsUsers;

const SOCKET: &str = "reload.sock";
/// What is answered when all went well.
const DONE: &str = "ok\n";
/// How long an answer may take: a broker that died meanwhile is started again first.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one who asked is waited for when it is answered.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64 * 1_024;
/// The longest path of a socket that every system takes.
#[cfg(target_os = "linux")]
const PATH_MAX: usize = 100;

/// From when on a change counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// From now on: the broker has taken it, and those left out are disconnected.
    Now,
    /// From the broker's next start on: nobody runs it at the moment.
    AtStart,
}

/// Why it is not known whether a change counts.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The broker does not take the users; those of before are admitted.
    #[error("the broker's users stay as they were: {said}")]
    Refused {
        /// Why, in words of the one who runs it.
        said: String,
    },
    /// The one who runs the broker ended, or did not answer.
    #[error(
        "it is not known whether the broker has taken its users; restart `agent-otp up`, which reads them"
    )]
    Unanswered(#[source] io::Error),
}

/// Hears that users have changed: for the one who runs the broker.
#[derive(Debug)]
pub struct Changes {
    listener: UnixListener,
    path: PathBuf,
}

/// Somebody says that users have changed, and waits.
#[derive(Debug)]
#[must_use = "the one who asks waits for the answer"]
pub struct Change {
    stream: UnixStream,
}

impl NatsUsers {
    /// Has the broker take the users as they stand, and waits until it has.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Refused`] if it does not take them.
    pub async fn apply(&self) -> Result<Applied, ApplyError> {
        let connecting = async { UnixStream::connect(short(&self.dir.join(SOCKET))?.path()).await };
        let mut stream = match connecting.await {
            Ok(stream) => stream,
            Err(error) if is_nobody(&error) => return Ok(Applied::AtStart),
            Err(error) => return Err(ApplyError::Unanswered(error)),
        };
        let mut said = String::new();
        let reading = async { (&mut stream).take(LONGEST).read_to_string(&mut said).await };
        timeout(PATIENCE, reading)
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into()))
            .map_err(ApplyError::Unanswered)?;
        match said.as_str() {
            DONE => Ok(Applied::Now),
            "" => Err(ApplyError::Unanswered(io::ErrorKind::UnexpectedEof.into())),
            said => Err(ApplyError::Refused { said: said.trim_end().to_owned() }),
        }
    }

    /// Hears of changes from now on: for the one who runs the broker, and holds its directory.
    ///
    /// # Errors
    ///
    /// If the socket cannot be made.
    pub fn changes(&self) -> io::Result<Changes> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let path = self.dir.join(SOCKET);
        // That of one who was killed.
        absent_is_fine(fs::remove_file(&path))?;
        let listener = UnixListener::bind(short(&path)?.path())?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Changes { listener, path })
    }
}

impl Changes {
    /// Waits for the next one who says so. May be cancelled.
    ///
    /// # Errors
    ///
    /// If the system cannot take it.
    pub async fn next(&mut self) -> io::Result<Change> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Change { stream })
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Err(error) = absent_is_fine(fs::remove_file(&self.path)) {
            debug!(%error, "the socket stays");
        }
    }
}

impl Change {
    /// Says that the users count as they stood when this was taken, or why they do not.
    pub async fn answer(mut self, outcome: Result<(), String>) {
        let line = outcome.map_or_else(|said| format!("{}\n", said.replace('\n', " ")), |()| DONE.to_owned());
        let answering = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.shutdown().await
        };
        if !matches!(timeout(HEARD_WITHIN, answering).await, Ok(Ok(()))) {
            debug!("nobody hears the answer");
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A path that is short enough for a socket, as long as this lives.
struct Short {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    _dir: Option<fs::File>,
}

impl Short {
    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(target_os = "linux")]
fn short(path: &Path) -> io::Result<Short> {
    use std::os::fd::AsRawFd as _;
    if path.as_os_str().len() <= PATH_MAX {
        return Ok(Short { path: path.to_owned(), _dir: None });
    }
    let dir = fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(SOCKET);
    Ok(Short { path, _dir: Some(dir) })
}

/// Elsewhere the system says itself that a path is too long.
#[cfg(not(target_os = "linux"))]
fn short(path: &Path) -> io::Result<Short> {
    Ok(Short { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_counts_once_it_was_answered() {
        let dir = tempfile::tempdir().unwrap();
        for below in ["users".to_owned(), "long/".repeat(40)] {
            let users = NatsUsers::at(dir.path().join(below));
            assert_eq!(users.apply().await.unwrap(), Applied::AtStart);
            let mut changes = users.changes().unwrap();
            let taken = async {
                changes.next().await.unwrap().answer(Ok(())).await;
                changes.next().await.unwrap().answer(Err("no such thing:\nnowhere".to_owned())).await;
                drop(changes.next().await.unwrap());
            };
            let asked = async {
                assert_eq!(users.apply().await.unwrap(), Applied::Now);
                let refused = users.apply().await.unwrap_err().to_string();
                assert_eq!(refused, "the broker's users stay as they were: no such thing: nowhere");
                assert!(matches!(users.apply().await.unwrap_err(), ApplyError::Unanswered(_)));
            };
            tokio::join!(taken, asked);
            drop(changes);
            assert_eq!(users.apply().await.unwrap(), Applied::AtStart);
            assert_eq!(users.list().unwrap(), []);
        }
    }

    #[tokio::test]
    async fn a_socket_that_a_crash_left_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let users = NatsUsers::at(dir.path().to_owned());
        drop(std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap());
        assert_eq!(users.apply().await.unwrap(), Applied::AtStart);
        let _changes = users.changes().unwrap();
    }
}
