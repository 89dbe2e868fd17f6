//! The nkey with which a user logs in at the broker: a seed in a file that only its owner can read.

use std::fmt::{self, Debug};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nkeys::{KeyPair, KeyPairType};
use zeroize::Zeroizing;

/// Longer than a seed (58 characters) and its line end.
const LONGEST: u64 = 64;

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
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:04o}): type chmod 600 {}", path.display(), path.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
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
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(refused)?;
        file.write_all(seed.as_bytes()).and_then(|()| file.sync_all()).map_err(refused)?;
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
    /// [`LoadKeyError::Loose`] if others can read it, [`LoadKeyError::Malformed`] if it is no user's seed.
    pub fn load(path: &Path) -> Result<UserKey, LoadKeyError> {
        let refused = |source| LoadKeyError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(refused)?;
        let mode = file.metadata().map_err(refused)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(LoadKeyError::Loose { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(128));
        file.take(LONGEST).read_to_end(&mut text).map_err(refused)?;
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
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn a_key_is_the_same_after_it_was_stored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.nk");
        let created = UserKey::create(&path).unwrap();
        let loaded = UserKey::load(&path).unwrap();
        assert_eq!((loaded.public(), loaded.seed()), (created.public(), created.seed()));
        assert!(loaded.public().starts_with('U') && loaded.seed().starts_with("SU"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
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
    fn a_key_that_others_can_read_is_refused_with_the_command_to_type() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.nk");
        UserKey::create(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = UserKey::load(&path).unwrap_err().to_string();
        assert!(error.ends_with(&format!("(mode 0640): type chmod 600 {}", path.display())), "{error}");
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
