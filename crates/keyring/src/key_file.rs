//! One identity key in one file: as it is, or sealed with a passphrase.

use std::path::{Path, PathBuf};

use agent_otp_trust::{IdentityKey, PublicKey};

use crate::passphrase::{Cost, Passphrase};
use crate::sealed::{self, Sealed, Unopened, Unreadable, Unsealed};
use crate::{KeyringError, identity, private};

/// The file of a key, there or not.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
}

/// What a file holds.
enum Held {
    Plain(IdentityKey),
    Sealed(Sealed),
}

impl KeyFile {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Keeps a new key, sealed if there is a passphrase.
    pub(crate) fn create(
        &self,
        key: &IdentityKey,
        passphrase: Option<&Passphrase>,
    ) -> Result<(), KeyringError> {
        match passphrase {
            Some(passphrase) => private::write_new(&self.path, self.seal(key, passphrase)?.as_bytes()),
            None => private::write_new(&self.path, identity::written(key).as_bytes()),
        }
    }

    /// The key; one that is not sealed needs no passphrase.
    pub(crate) fn open(&self, passphrase: Option<&Passphrase>) -> Result<IdentityKey, KeyringError> {
        match self.read()? {
            Held::Plain(key) => Ok(key),
            Held::Sealed(sealed) => {
                let passphrase =
                    passphrase.ok_or_else(|| KeyringError::Locked { path: self.path.clone() })?;
                sealed.open(passphrase).map_err(|unopened| match unopened {
                    Unopened::Passphrase => KeyringError::Passphrase { path: self.path.clone() },
                    Unopened::Memory(cost) => self.too_dear(cost),
                })
            }
        }
    }

    /// The public half, which a sealed key tells without its passphrase.
    pub(crate) fn public(&self) -> Result<PublicKey, KeyringError> {
        Ok(match self.read()? {
            Held::Plain(key) => key.public(),
            Held::Sealed(sealed) => sealed.public,
        })
    }

    pub(crate) fn is_sealed(&self) -> Result<bool, KeyringError> {
        Ok(matches!(self.read()?, Held::Sealed(_)))
    }

    /// Writes the key sealed with `to` in its place, whatever it was opened with; whether that changed anything.
    pub(crate) fn protect(&self, from: Option<&Passphrase>, to: &Passphrase) -> Result<bool, KeyringError> {
        if self.is_sealed()? && self.open(Some(to)).is_ok() {
            return Ok(false);
        }
        let key = self.open(from)?;
        private::replace_wiping(&self.path, self.seal(&key, to)?.as_bytes())?;
        Ok(true)
    }

    /// Writes the key as it is in its place; whether that changed anything.
    pub(crate) fn unprotect(&self, from: Option<&Passphrase>) -> Result<bool, KeyringError> {
        if !self.is_sealed()? {
            return Ok(false);
        }
        let key = self.open(from)?;
        private::replace(&self.path, identity::written(&key).as_bytes())?;
        Ok(true)
    }

    fn read(&self) -> Result<Held, KeyringError> {
        let line = private::read(&self.path)?;
        let path = || self.path.clone();
        if !sealed::is_sealed(&line) {
            let key = identity::read(&line);
            return key.map(Held::Plain).ok_or_else(|| KeyringError::Malformed {
                path: path(),
                expected: "identity key of this version",
            });
        }
        Sealed::read(&line).map(Held::Sealed).map_err(|unreadable| match unreadable {
            Unreadable::Damaged => KeyringError::Damaged { path: path() },
            Unreadable::Malformed => {
                KeyringError::Malformed { path: path(), expected: "sealed identity key of this version" }
            }
            Unreadable::Cost(cost) => self.too_dear(cost),
        })
    }

    fn seal(&self, key: &IdentityKey, passphrase: &Passphrase) -> Result<String, KeyringError> {
        sealed::seal(key, passphrase).map_err(|unsealed| match unsealed {
            Unsealed::Random(error) => KeyringError::Random(error),
            Unsealed::Memory(cost) => self.too_dear(cost),
        })
    }

    fn too_dear(&self, cost: Cost) -> KeyringError {
        let Cost { memory_kib, passes, lanes } = cost;
        KeyringError::Cost { path: self.path.clone(), memory_kib, passes, lanes }
    }
}
