//! How the programs of a data directory log in at the broker: which one it is, and the file of each NATS user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent_otp_broker::{LoadKeyError, UserKey};
use agent_otp_domain::{MemberId, Role};
use agent_otp_jetstream::{Credentials, Login, Server};
use agent_otp_keyring::private;

use crate::place::Place;

/// A broker, and who logs in there with which file.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    place: Place,
    pub(crate) server: Server,
    /// By `role:name`, or the name of a program. Whoever is not in it has a key in the data directory.
    files: BTreeMap<String, PathBuf>,
}

impl Access {
    pub(crate) fn new(place: &Place, server: Server, files: BTreeMap<String, PathBuf>) -> Self {
        Self { place: place.clone(), server, files }
    }

    /// How a member logs in.
    pub(crate) fn member(&self, role: Role, name: &MemberId) -> anyhow::Result<Login> {
        let file = self.files.get(&format!("{role}:{name}"));
        self.login(&file.cloned().unwrap_or_else(|| self.place.member_user(role, name)))
    }

    /// How a program logs in that is no member: `relay`, `provision`, `dashboard`, `enroller`.
    pub(crate) fn operator(&self, name: &str) -> anyhow::Result<Login> {
        let file = self.files.get(name);
        self.login(&file.cloned().unwrap_or_else(|| self.place.operator_user(name)))
    }

    fn login(&self, file: &Path) -> anyhow::Result<Login> {
        let credentials = match UserKey::load(file) {
            Ok(key) => Credentials::Nkey(key.seed().to_owned().into()),
            // No seed: then it is what operator mode has, or nothing that is known.
            Err(error @ LoadKeyError::Malformed { .. }) => of_operator_mode(file)?.ok_or(error)?,
            Err(error @ LoadKeyError::File(_)) => return Err(error.into()),
        };
        Ok(Login { server: self.server.clone(), credentials })
    }
}

/// The credentials in a file, if it holds a JWT and its seed.
fn of_operator_mode(file: &Path) -> anyhow::Result<Option<Credentials>> {
    let bytes = private::read(file)?;
    let credentials = std::str::from_utf8(&bytes).map(Credentials::read).ok();
    Ok(credentials.filter(|credentials| matches!(credentials, Credentials::File(_))))
}
