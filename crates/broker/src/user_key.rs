//! The nkey with which a user logs in at the broker: a seed in a file that only its owner can read.

use std::fmt::{self, Debug};
use std::io;
use std::path::{Path, PathBuf};

use nkeys::{KeyPair, KeyPairType};
use zeroize::Zeroizing;

use crate::private::{self, SecretError};

/// A user's key for the broker, which is not its identity: see the members' own keys for that.
pub struct UserKey {
    seed: Zeroizing<String>,
    public: String,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    /// A key is never overwritten.
    #[error("{} is there already: use that key, or move the file away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Why a key was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadKeyError {
    /// Its file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] SecretError),
    /// It holds something else.
    #[error("{} holds no nkey seed of a user (SU…): restore it, or enrol anew", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl UserKey {
    /// Makes a new key and stores its seed in a new file of mode 0600.
    ///
    /// # Errors
    ///
    /// [`CreateKeyError::Exists`] if there is a file already, which stays as it is.
    pub fn create(path: &Path) -> Result<UserKey, CreateKeyError> {
        let refused = |source: io::Error| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::AlreadyExists {
                CreateKeyError::Exists { path }
            } else {
                CreateKeyError::Unwritable { path, source }
            }
        };
        let pair = KeyPair::new_user();
        let seed = Zeroizing::new(pair.seed().map_err(|error| refused(io::Error::other(error)))?);
        private::write_new(path, seed.as_bytes()).map_err(refused)?;
        Ok(UserKey { seed, public: pair.public_key() })
    }

    /// The key of 32 bytes that two sides have derived; it stands in no file. None if there is no such key.
    #[must_use]
    pub fn derived(bytes: &[u8; 32]) -> Option<UserKey> {
        let pair = KeyPair::new_from_raw(KeyPairType::User, *bytes).ok()?;
        Some(UserKey { seed: Zeroizing::new(pair.seed().ok()?), public: pair.public_key() })
    }

    /// Reads a key that [`UserKey::create`] or `nk -gen user` has made.
    ///
    /// # Errors
    ///
    /// [`LoadKeyError::File`] if others can read it, [`LoadKeyError::Malformed`] if it is no user's seed.
    pub fn load(path: &Path) -> Result<UserKey, LoadKeyError> {
        let text = private::read(path)?;
        UserKey::decoded(&text).ok_or_else(|| LoadKeyError::Malformed { path: path.to_owned() })
    }

    /// The public key, `U…`, by which the broker knows the user.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The seed, `SU…`, for the client that logs in; a secret.
    #[must_use]
    pub fn seed(&self) -> &str {
        &self.seed
    }

    fn decoded(text: &[u8]) -> Option<UserKey> {
        let seed = std::str::from_utf8(text).ok()?.trim_end();
        let pair = KeyPair::from_seed(seed).ok()?;
        let is_user = pair.key_pair_type() == KeyPairType::User && seed.starts_with("SU");
        is_user.then(|| UserKey { seed: Zeroizing::new(seed.to_owned()), public: pair.public_key() })
    }
}

impl Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserKey({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_it_was_stored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.nk");
        let created = UserKey::create(&path).unwrap();
        let loaded = UserKey::load(&path).unwrap();
        assert_eq!((loaded.public(), loaded.seed()), (created.public(), created.seed()));
        assert!(loaded.public().starts_with('U') && loaded.seed().starts_with("SU"));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.nk");
        let first = UserKey::create(&path).unwrap();
        assert!(matches!(UserKey::create(&path), Err(CreateKeyError::Exists { .. })));
        assert_eq!(UserKey::load(&path).unwrap().public(), first.public());
    }

    #[test]
    fn anything_but_the_seed_of_a_user_is_malformed() {
        let user = KeyPair::new_user();
        let seed = user.seed().unwrap();
        let table = [
            String::new(),
            user.public_key(),
            KeyPair::new_account().seed().unwrap(),
            seed.to_lowercase(),
            seed.replacen("SU", "SA", 1),
            format!("{seed}{seed}"),
            "é".repeat(29),
        ];
        assert!(UserKey::decoded(format!("{seed}\n").as_bytes()).is_some());
        for text in table {
            assert!(UserKey::decoded(text.as_bytes()).is_none(), "{text}");
        }
        assert!(UserKey::decoded(&[0xff; 58]).is_none());
    }

    #[test]
    fn a_key_is_derived_from_its_bytes_as_nk_would() {
        let key = UserKey::derived(&[7; 32]).unwrap();
        assert_eq!(key.seed(), KeyPair::new_from_raw(KeyPairType::User, [7; 32]).unwrap().seed().unwrap());
        assert_eq!(key.public(), UserKey::decoded(key.seed().as_bytes()).unwrap().public());
    }

    #[test]
    fn debug_shows_the_public_key_alone() {
        let seed = KeyPair::new_from_raw(KeyPairType::User, [7; 32]).unwrap().seed().unwrap();
        let key = UserKey::decoded(seed.as_bytes()).unwrap();
        insta::assert_snapshot!(format!("{key:?}"), @"UserKey(UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF)");
    }
}
