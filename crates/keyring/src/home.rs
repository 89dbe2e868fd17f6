//! A member's directory: its identity key, and what it pinned.

use std::io;
use std::path::{Path, PathBuf};

use agent_otp_trust::{IdentityKey, PublicKey, Seen};

use crate::key_file::KeyFile;
use crate::{GenerateError, Passphrase, Pin, identity, private};

/// The directory of one member, with mode 0700: `identity.key` and `pin.json`, both 0600, and during a rotation
/// `identity.next`.
#[derive(Debug, Clone)]
pub struct Home {
    dir: PathBuf,
    passphrase: Option<Passphrase>,
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
    /// A sealed key is not as it was written.
    #[error("{} is damaged: restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A sealed key, and no passphrase.
    #[error("{} is sealed with a passphrase, and none was given", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A sealed key, and another passphrase. Somebody who changes the file with care looks like that too.
    #[error("the passphrase is not the one of {}", path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// A sealed key asks for more than a machine should give, or for so little that it protects nothing; or there is
    /// not enough memory.
    #[error(
        "{} cannot be derived at the cost that it names (argon2id, {memory_kib} KiB, {passes} passes, {lanes} lanes)",
        path.display()
    )]
    Cost {
        /// The file.
        path: PathBuf,
        /// How much memory, in KiB.
        memory_kib: u32,
        /// How many passes over it.
        passes: u32,
        /// In how many lanes.
        lanes: u32,
    },
    /// No key could be made or sealed.
    #[error(transparent)]
    Random(#[from] GenerateError),
    /// Two rosters of one number: the owner's key signed both, or one was pinned from elsewhere.
    #[error(
        "roster {number} is another than the one that {} remembers; if neither was restored from a backup, somebody else \
         has the owner's key: agent-otp keys recover",
        path.display()
    )]
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
        Self { dir: dir.into(), passphrase: None }
    }

    /// The same home, whose sealed keys this passphrase opens. New ones are sealed with it.
    #[must_use]
    pub fn with(self, passphrase: Option<Passphrase>) -> Self {
        Self { passphrase, ..self }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a member lives here.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.key().exists()
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
            return Err(KeyringError::Exists { path: self.key().path().to_owned() });
        }
        // The key comes last: where it stands, the rest is there too, whatever crashed.
        self.write_pin(pin)?;
        self.key().create(key, self.passphrase.as_ref())
    }

    /// The member's key.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Loose`] if others can read it, [`KeyringError::Malformed`] or [`KeyringError::Damaged`] if it is
    /// not whole, [`KeyringError::Locked`] or [`KeyringError::Passphrase`] if the right passphrase is missing.
    pub fn identity(&self) -> Result<IdentityKey, KeyringError> {
        self.key().open(self.passphrase.as_ref())
    }

    /// The public half of the member's key. Of a sealed one it is what the file says, which its passphrase alone proves.
    ///
    /// # Errors
    ///
    /// As [`Home::identity`], but no passphrase is needed.
    pub fn public(&self) -> Result<PublicKey, KeyringError> {
        self.key().public()
    }

    /// Whether the member's key is sealed.
    ///
    /// # Errors
    ///
    /// As [`Home::public`].
    pub fn is_sealed(&self) -> Result<bool, KeyringError> {
        self.key().is_sealed()
    }

    /// Seals every key of the home with `passphrase`, and clears away what a crash has left; whether that changed
    /// anything. A key that is sealed with it already stays as it is, so that whoever was interrupted does it again.
    ///
    /// # Errors
    ///
    /// As [`Home::identity`] for what each was sealed with before, and [`KeyringError::Unwritable`].
    pub fn protect(&self, passphrase: &Passphrase) -> Result<bool, KeyringError> {
        self.each(|key| key.protect(self.passphrase.as_ref(), passphrase))
    }

    /// Writes every key of the home as it is, for whoever can read its files; whether that changed anything.
    ///
    /// # Errors
    ///
    /// As [`Home::protect`].
    pub fn unprotect(&self) -> Result<bool, KeyringError> {
        self.each(|key| key.unprotect(self.passphrase.as_ref()))
    }

    fn each(&self, change: impl Fn(&KeyFile) -> Result<bool, KeyringError>) -> Result<bool, KeyringError> {
        let _lock = private::lock(&self.dir)?;
        let mut is_changed = false;
        for key in [self.key(), self.next_key()].iter().filter(|key| key.exists()) {
            is_changed |= change(key)?;
        }
        private::sweep(&self.dir)?;
        Ok(is_changed)
    }

    /// Makes the directory and the pin of a member that has yet to get its key, unless they are there.
    ///
    /// # Errors
    ///
    /// As [`Home::create`], but that a member lives here is none.
    pub fn prepare(&self, pin: &Pin) -> Result<(), KeyringError> {
        private::make_dir(&self.dir)?;
        let _lock = private::lock(&self.dir)?;
        if self.pin_file().exists() { Ok(()) } else { self.write_pin(pin) }
    }

    /// The key that is to take the place of the member's present one: made and kept, unless there is one already.
    ///
    /// # Errors
    ///
    /// As [`Home::create`] and [`Home::identity`].
    pub fn next_identity(&self) -> Result<IdentityKey, KeyringError> {
        let _lock = private::lock(&self.dir)?;
        let next = self.next_key();
        if !next.exists() {
            next.create(&identity::generate()?, self.passphrase.as_ref())?;
        }
        next.open(self.passphrase.as_ref())
    }

    /// The public half of the key that is to come, if a rotation has begun.
    ///
    /// # Errors
    ///
    /// As [`Home::public`].
    pub fn next_public(&self) -> Result<Option<PublicKey>, KeyringError> {
        let next = self.next_key();
        if next.exists() { next.public().map(Some) } else { Ok(None) }
    }

    /// Puts the key that is to come in the place of the present one, which is gone then.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Unwritable`] if there is none.
    pub fn promote(&self) -> Result<(), KeyringError> {
        let _lock = private::lock(&self.dir)?;
        private::promote(self.next_key().path(), self.key().path())
    }

    /// Deletes what was prepared for a member that never came to be. Where a member lives, nothing is touched.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Exists`] if a member lives here, [`KeyringError::Unwritable`] if something stays.
    pub fn abandon(&self) -> Result<(), KeyringError> {
        if self.exists() {
            return Err(KeyringError::Exists { path: self.key().path().to_owned() });
        }
        private::remove_dir(&self.dir)
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

    fn key(&self) -> KeyFile {
        KeyFile::at(self.dir.join("identity.key"))
    }

    fn next_key(&self) -> KeyFile {
        KeyFile::at(self.dir.join("identity.next"))
    }

    fn pin_file(&self) -> PathBuf {
        self.dir.join("pin.json")
    }
}
