//! The NATS users that a broker admits besides those of its own machine: one small file each, in one directory.

mod reload;

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use agent_otp_domain::{MemberId, OwnerId, Role, Timestamp};
use data_encoding::HEXLOWER;
use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize};

pub use reload::{Applied, ApplyError, Change, Changes};

use crate::clock;
use crate::connection::Who;
use crate::permission::{self, Grants};

/// How the name of a user's file ends.
const SUFFIX: &str = "json";

/// A NATS user that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsUser {
    /// The public nkey (`U…`), by which the broker knows it.
    pub public_key: String,
    /// Whose it is, which decides what it may do.
    pub whose: Whose,
    /// When it was admitted.
    pub made_at: Timestamp,
}

/// Whose a NATS user is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Whose {
    /// A member's, on whichever machine it is.
    Member {
        /// Whose member.
        owner: OwnerId,
        /// In which role.
        role: Role,
        /// Under which name.
        name: MemberId,
    },
    /// That of one who wants to become a member; it is removed when the enrolment has ended.
    Enrolment {
        /// Whose member.
        owner: OwnerId,
        /// Which enrolment.
        id: MemberId,
    },
}

/// The admitted users of a broker.
///
/// What is changed here counts from the next start of the broker on, or once [`NatsUsers::apply`] has returned.
#[derive(Debug, Clone)]
pub struct NatsUsers {
    dir: PathBuf,
}

/// Why the users could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum NatsUserError {
    /// One user is one file, and its key is not changed by writing over it.
    #[error("{whose} has a NATS user already, with another key: remove that one first")]
    Taken {
        /// Whose.
        whose: Whose,
    },
    /// One key is one user.
    #[error("this NATS key is {whose}'s already: make another")]
    KeyTaken {
        /// Whose.
        whose: Whose,
    },
    /// It cannot log in.
    #[error("`{text}` is no public nkey of a user: it must be `U` and 55 further characters")]
    NoKey {
        /// What was given, shortened.
        text: String,
    },
    /// A file cannot be understood.
    #[error("{} is damaged: restore it, or remove it and admit the user anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file or the directory cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file or the directory cannot be written.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl NatsUser {
    /// A user that is admitted now.
    #[must_use]
    pub fn new(public_key: impl Into<String>, whose: Whose) -> Self {
        Self { public_key: public_key.into(), whose, made_at: clock::now() }
    }

    /// What it may do.
    #[must_use]
    pub fn grants(&self) -> Grants {
        match &self.whose {
            Whose::Member { owner, role, name } => permission::member(owner, *role, name),
            Whose::Enrolment { owner, id } => permission::enrolment(owner, id),
        }
    }
}

impl Whose {
    /// The owner on whose behalf it was admitted.
    #[must_use]
    pub fn owner(&self) -> &OwnerId {
        match self {
            Self::Member { owner, .. } | Self::Enrolment { owner, .. } => owner,
        }
    }

    /// Who connects with it.
    #[must_use]
    pub fn who(&self) -> Who {
        match self.clone() {
            Self::Member { owner, role, name } => Who::Member { owner, role, name },
            Self::Enrolment { owner, id } => Who::Enrolment { owner, id },
        }
    }

    fn file_name(&self) -> String {
        match self {
            Self::Member { owner, role, name } => format!("{owner}.{role}.{name}.{SUFFIX}"),
            Self::Enrolment { owner, id } => format!("{owner}.enrolment.{id}.{SUFFIX}"),
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { owner, role, name } => write!(f, "{role}:{name} of {owner}"),
            Self::Enrolment { owner, id } => write!(f, "enrolment {id} of {owner}"),
        }
    }
}

impl NatsUsers {
    /// The users whose files are in `dir`, which need not be there.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Admits a user. The same one again changes nothing.
    ///
    /// # Errors
    ///
    /// [`NatsUserError::Taken`] and [`NatsUserError::KeyTaken`] if its name or its key is another's.
    pub fn add(&self, user: &NatsUser) -> Result<(), NatsUserError> {
        is_user_key(&user.public_key)?;
        for other in self.list()? {
            match (other.whose == user.whose, other.public_key == user.public_key) {
                (true, true) => return Ok(()),
                (true, false) => return Err(NatsUserError::Taken { whose: other.whose }),
                (false, true) => return Err(NatsUserError::KeyTaken { whose: other.whose }),
                (false, false) => {}
            }
        }
        let path = self.dir.join(user.whose.file_name());
        let damaged = |source| NatsUserError::Damaged { path: path.clone(), source };
        let json = serde_json::to_vec_pretty(user).map_err(damaged)?;
        self.write_new(&path, &json).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                NatsUserError::Taken { whose: user.whose.clone() }
            } else {
                NatsUserError::Unwritable { path: path.clone(), source }
            }
        })
    }

    /// Takes a user's admission back, and says whether there was one.
    ///
    /// # Errors
    ///
    /// If its file stays.
    pub fn remove(&self, whose: &Whose) -> Result<bool, NatsUserError> {
        let path = self.dir.join(whose.file_name());
        match fs::remove_file(&path) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(NatsUserError::Unwritable { path, source }),
        }
    }

    /// All of them, by owner and name.
    ///
    /// # Errors
    ///
    /// If one cannot be read: whoever it admits would else be cut off without a word.
    pub fn list(&self) -> Result<Vec<NatsUser>, NatsUserError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| NatsUserError::Unreadable { path, source }
        };
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable(&self.dir))?,
        };
        let paths: Result<Vec<PathBuf>, io::Error> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut paths = paths.map_err(unreadable(&self.dir))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == SUFFIX));
        paths.sort();
        let read = |path: PathBuf| {
            let text = match fs::read(&path) {
                // It was removed since the directory was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                text => text.map_err(unreadable(&path))?,
            };
            let user: NatsUser =
                serde_json::from_slice(&text).map_err(|source| NatsUserError::Damaged { path, source })?;
            is_user_key(&user.public_key)?;
            Ok(Some(user))
        };
        paths.into_iter().filter_map(|path| read(path).transpose()).collect()
    }

    /// Writes a file that is not there yet, whole or not at all.
    fn write_new(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let unfinished = self.dir.join(format!(".unfinished-{}", HEXLOWER.encode(&clock::random::<8>())));
        let written = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
            .and_then(|()| fs::hard_link(&unfinished, path));
        let removed = fs::remove_file(&unfinished);
        written?;
        removed?;
        File::open(&self.dir)?.sync_all()
    }

    fn sync(&self) -> Result<(), NatsUserError> {
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|source| NatsUserError::Unwritable { path: self.dir.clone(), source })
    }
}

fn is_user_key(text: &str) -> Result<(), NatsUserError> {
    match KeyPair::from_public_key(text) {
        Ok(pair) if pair.key_pair_type() == KeyPairType::User && pair.public_key() == text => Ok(()),
        Ok(_) | Err(_) => Err(NatsUserError::NoKey { text: text.chars().take(80).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_file_and_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let users = NatsUsers::at(dir.path().join("nats-users"));
        assert_eq!(users.list().unwrap(), []);
        let (booker, reader) = (user(member("booker")), user(member("reader")));
        users.add(&booker).unwrap();
        users.add(&reader).unwrap();
        users.add(&NatsUser { made_at: Timestamp::from_unix_ms(0), ..booker.clone() }).unwrap();
        assert_eq!(users.list().unwrap(), [booker.clone(), reader.clone()]);

        let other_key = users.add(&user(member("booker"))).unwrap_err();
        assert!(matches!(other_key, NatsUserError::Taken { .. }), "{other_key}");
        let same_key = users.add(&NatsUser { whose: member("third"), ..booker.clone() }).unwrap_err();
        assert!(matches!(same_key, NatsUserError::KeyTaken { .. }), "{same_key}");

        assert!(users.remove(&booker.whose).unwrap());
        assert!(!users.remove(&booker.whose).unwrap());
        assert_eq!(users.list().unwrap(), [reader]);
        let names: Vec<_> = fs::read_dir(&users.dir).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }

    #[test]
    fn what_is_no_public_key_of_a_user_is_not_admitted() {
        let dir = tempfile::tempdir().unwrap();
        let users = NatsUsers::at(dir.path().to_owned());
        let pair = KeyPair::new_user();
        for text in ["", "U", &pair.seed().unwrap(), &KeyPair::new_account().public_key(), "U\" }"] {
            let error = users.add(&NatsUser::new(text, member("booker"))).unwrap_err();
            assert!(matches!(error, NatsUserError::NoKey { .. }), "{error}");
        }
        assert_eq!(users.list().unwrap(), []);
    }

    #[test]
    fn a_damaged_file_is_named_and_what_is_unfinished_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let users = NatsUsers::at(dir.path().to_owned());
        fs::write(dir.path().join(".unfinished-00"), "{").unwrap();
        assert_eq!(users.list().unwrap(), []);
        fs::write(dir.path().join("x.json"), "{").unwrap();
        let error = users.list().unwrap_err().to_string();
        assert!(
            error.ends_with("x.json is damaged: restore it, or remove it and admit the user anew"),
            "{error}"
        );
    }

    #[test]
    fn a_user_reads_as_it_is_written() {
        let user = NatsUser {
            public_key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4".to_owned(),
            whose: member("booker"),
            made_at: Timestamp::from_unix_ms(1_769_860_800_000),
        };
        insta::assert_json_snapshot!(user, @r#"
        {
          "public_key": "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
          "whose": {
            "type": "member",
            "owner": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "role": "agent",
            "name": "booker"
          },
          "made_at": 1769860800000
        }
        "#);
    }

    fn user(whose: Whose) -> NatsUser {
        NatsUser::new(KeyPair::new_user().public_key(), whose)
    }

    fn member(name: &str) -> Whose {
        let owner = "a".repeat(32).parse().unwrap();
        Whose::Member { owner, role: Role::Agent, name: name.parse().unwrap() }
    }
}
