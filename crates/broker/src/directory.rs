//! A broker's directory: which file is which, and that one program at a time holds it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::private;

/// Why a broker's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another living program holds it; two servers on one store would damage it.
    #[error("{} is in use by another agent-otp: stop that one first, or give another directory", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// It cannot be made or locked.
    #[error("cannot use {} for the broker", dir.display())]
    Refused {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The files of one broker.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(crate) fn of(dir: impl Into<PathBuf>) -> Files {
        Files { dir: dir.into() }
    }

    /// What nats-server reads.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.dir.join("nats-server.conf")
    }

    /// What nats-server logs and prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("nats-server.log")
    }

    /// The running server's pid, for `nats-server --signal`.
    pub(crate) fn pid(&self) -> PathBuf {
        self.dir.join("nats-server.pid")
    }

    /// A directory for the one file in which a server says on which port it listens.
    pub(crate) fn ports(&self) -> PathBuf {
        self.dir.join("ports")
    }

    /// Where `JetStream` stores.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// Which process is our server.
    pub(crate) fn record(&self) -> PathBuf {
        self.dir.join("broker.json")
    }

    /// Replaces a file of ours at once and whole; only this user can read it.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.dir)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    }

    /// Removes what only a running server has.
    pub(crate) fn remove_traces(&self) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(self.ports()))?;
        absent_is_fine(fs::remove_file(self.pid()))?;
        absent_is_fine(fs::remove_file(self.record()))
    }
}

/// The right to run a broker in a directory, held until dropped or until the program dies.
#[derive(Debug)]
pub(crate) struct Claim {
    lock: File,
    pub(crate) files: Files,
}

impl Claim {
    /// Makes the directory if need be (0700), and locks it.
    pub(crate) fn take(dir: &Path) -> Result<Claim, ClaimError> {
        let refused = |source| ClaimError::Refused { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(refused)?;
        let mut options = private::options();
        let lock =
            options.write(true).create(true).truncate(false).open(dir.join("lock")).map_err(refused)?;
        match lock.try_lock() {
            // The server's command line is compared with this path after a crash, so it has one spelling.
            Ok(()) => Ok(Claim { lock, files: Files::of(dir.canonicalize().map_err(refused)?) }),
            Err(TryLockError::WouldBlock) => Err(ClaimError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(refused(source)),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child that another thread is just starting.
        self.lock.unlock().ok();
    }
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::take(dir.path()).unwrap();
        assert!(matches!(Claim::take(dir.path()), Err(ClaimError::InUse { .. })));
        drop(claim);
        assert!(Claim::take(dir.path()).is_ok());
    }
}
