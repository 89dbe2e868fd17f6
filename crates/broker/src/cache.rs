//! Our own copy of nats-server, which is trusted by its SHA-256 and never by its name.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::package::{Package, VERSION};

/// How often it is looked whether another process still installs.
const LOOK: Duration = Duration::from_millis(100);
/// How the names of scratch directories begin.
const SCRATCH: &str = "install-";

/// A directory for one version of the program.
#[derive(Debug)]
pub(crate) struct Cache {
    /// `~/.cache/agent-otp/nats-server-2.15.1`.
    pub(crate) dir: PathBuf,
    /// The program's SHA-256 in lower-case hexadecimal.
    pub(crate) digest: String,
}

impl Cache {
    /// The cache below `$XDG_CACHE_HOME`; `None` without a home directory or a package for this machine.
    pub(crate) fn of_this_user() -> Option<Cache> {
        let strategy = etcetera::choose_base_strategy().ok()?;
        let dir = strategy.cache_dir().join("agent-otp").join(format!("nats-server-{VERSION}"));
        Some(Cache { dir, digest: Package::pinned()?.digest })
    }

    /// Where the program is, or would be.
    pub(crate) fn program(&self) -> PathBuf {
        self.dir.join("nats-server")
    }

    /// Whether the program is there, whole, and can be run but not altered by others.
    pub(crate) fn is_intact(&self) -> bool {
        let program = self.program();
        let mode = fs::metadata(&program).map_or(0, |metadata| metadata.permissions().mode());
        mode & 0o100 != 0 && mode & 0o022 == 0 && digest(&program).is_ok_and(|digest| digest == self.digest)
    }

    /// Waits until no other process installs here, saying so if it has to; lasts as long as the file.
    pub(crate) async fn lock(&self, say: &mut dyn FnMut(&str)) -> io::Result<File> {
        fs::create_dir_all(&self.dir)?;
        let lock = File::create(self.dir.join("lock"))?;
        if !is_taken(&lock)? {
            say("waiting for another process that installs nats-server");
            // A wait in the kernel would outlast whoever gives it up.
            while !is_taken(&lock)? {
                sleep(LOOK).await;
            }
        }
        Ok(lock)
    }

    /// A scratch directory on the cache's own file system. Those of installers that were killed are deleted: whoever asks
    /// holds the lock.
    pub(crate) fn scratch(&self) -> io::Result<TempDir> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(SCRATCH.as_bytes()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        tempfile::Builder::new().prefix(SCRATCH).tempdir_in(&self.dir)
    }

    /// Moves the program in, at once and whole.
    pub(crate) fn put(&self, program: &Path) -> io::Result<()> {
        fs::set_permissions(program, Permissions::from_mode(0o755))?;
        File::open(program)?.sync_all()?;
        fs::rename(program, self.program())
    }
}

fn is_taken(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The SHA-256 of a file in lower-case hexadecimal.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    Ok(HEXLOWER.encode(&Sha256::digest(fs::read(path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_copy_is_not_trusted() {
        let (_home, cache) = filled();
        assert!(cache.is_intact());
        fs::write(cache.program(), "progra").unwrap();
        assert!(!cache.is_intact());
        fs::remove_file(cache.program()).unwrap();
        assert!(!cache.is_intact());
    }

    #[test]
    fn a_copy_that_others_can_alter_is_not_trusted() {
        let (_home, cache) = filled();
        for mode in [0o775, 0o757, 0o644] {
            fs::set_permissions(cache.program(), Permissions::from_mode(mode)).unwrap();
            assert!(!cache.is_intact(), "{mode:o}");
        }
    }

    fn filled() -> (TempDir, Cache) {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("program");
        fs::write(&program, "program").unwrap();
        let cache = Cache { dir: home.path().to_owned(), digest: digest(&program).unwrap() };
        cache.put(&program).unwrap();
        (home, cache)
    }
}
