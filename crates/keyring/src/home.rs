//! A member's directory: its identity key, and what it pinned.

use std::io;
use std::path::{Path, PathBuf};

use agent_otp_trust::{IdentityKey, Seen};

use crate::{Pin, identity, private};

/// The directory of one member, with mode 0700: `identity.key` and `pin.json`, both 0600.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
}

/// Why a member's home cannot be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A key is never overwritten.
    #[error("{} is there already: use that key, or move the file away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others can get at it.
    #[error("{} is open to others (mode {mode:04o}): type chmod {wanted:o} {}", path.display(), path.display())]
    Loose {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It holds something else, or only a part.
    #[error("{} holds no {expected}: restore it, or enrol anew", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Two rosters of one number: the owner's key signed both, or one was pinned from elsewhere.
    #[error("roster {number} is another than the one that {} remembers", path.display())]
    Forked {
        /// The file.
        path: PathBuf,
        /// The number of both.
        number: u64,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Home {
    /// The home in this directory, made or not.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a member lives here.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.key_file().exists()
    }

    /// Makes the directory if need be, and keeps a new member's key and pin in it.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Exists`] if a member lives here already, which stays as it is;
    /// [`KeyringError::Loose`] if others can enter the directory.
    pub fn create(&self, key: &IdentityKey, pin: &Pin) -> Result<(), KeyringError> {
        private::make_dir(&self.dir)?;
        let _lock = private::lock(&self.dir)?;
        if self.exists() {
            return Err(KeyringError::Exists { path: self.key_file() });
        }
        // The key comes last: where it stands, the rest is there too, whatever crashed.
        self.write_pin(pin)?;
        private::write_new(&self.key_file(), identity::written(key).as_bytes())
    }

    /// The member's key.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Loose`] if others can read it, [`KeyringError::Malformed`] if it is not whole.
    pub fn identity(&self) -> Result<IdentityKey, KeyringError> {
        let path = self.key_file();
        identity::read(&private::read(&path)?)
            .ok_or(KeyringError::Malformed { path, expected: "identity key of this version" })
    }

    /// What the member pinned, and the highest roster that it remembers.
    ///
    /// # Errors
    ///
    /// As [`Home::identity`].
    pub fn pin(&self) -> Result<Pin, KeyringError> {
        let path = self.pin_file();
        serde_json::from_slice(&private::read(&path)?)
            .map_err(|_| KeyringError::Malformed { path, expected: "pin of this version" })
    }

    /// Remembers the highest roster ever seen. One that is lower than what is remembered changes nothing: two
    /// programs of one member may tell what they saw in any order.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Forked`] if another roster of that number is remembered.
    pub fn remember(&self, seen: Seen) -> Result<(), KeyringError> {
        let _lock = private::lock(&self.dir)?;
        let pin = self.pin()?;
        match pin.roster {
            Some(kept) if kept.number == seen.number && kept.digest != seen.digest => {
                Err(KeyringError::Forked { path: self.pin_file(), number: seen.number })
            }
            Some(kept) if kept.number >= seen.number => Ok(()),
            Some(_) | None => self.write_pin(&Pin { roster: Some(seen), ..pin }),
        }
    }

    fn write_pin(&self, pin: &Pin) -> Result<(), KeyringError> {
        let path = self.pin_file();
        let text = serde_json::to_string_pretty(pin)
            .map_err(|error| KeyringError::Unwritable { path: path.clone(), source: error.into() })?;
        private::replace(&path, format!("{text}\n").as_bytes())
    }

    fn key_file(&self) -> PathBuf {
        self.dir.join("identity.key")
    }

    fn pin_file(&self) -> PathBuf {
        self.dir.join("pin.json")
    }
}
