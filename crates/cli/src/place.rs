//! The data directory: what lies where, who holds it, and how others find what runs there.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use agent_otp_domain::{MemberId, Role, Services};
use agent_otp_jetstream::nats_user::NatsUsers;
use agent_otp_keyring::{Home, KeyringError, Passphrase, private};
use anyhow::{Context as _, bail};
use etcetera::AppStrategy as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::access::Access;
use crate::passphrase;
use crate::server::RunTls;
use crate::typed;

/// The data directory.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    dir: PathBuf,
    /// Whether commands find it without being told.
    is_default: bool,
    /// What opens the sealed keys; all clones learn it together.
    passphrase: Arc<OnceLock<Passphrase>>,
}

/// What runs on a data directory, as `run.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Where programs of this machine reach the broker.
    pub(crate) nats_url: String,
    /// How they know it, if it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nats_tls: Option<RunTls>,
    /// Where programs of other machines reach it, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nats_public_url: Option<String>,
    /// Whose relay it is.
    pub(crate) owner: String,
    /// What each source says of itself: where it takes messages, by the name of its kind.
    #[serde(flatten)]
    pub(crate) sources: BTreeMap<String, String>,
    /// The NATS user of each member: the file with its seed.
    pub(crate) creds: BTreeMap<String, PathBuf>,
    /// The process of `up`.
    pub(crate) pid: u32,
    /// The broker's process, if `up` runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nats_pid: Option<u32>,
    /// Where that broker keeps its streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nats_store: Option<PathBuf>,
}

/// The ports of the last run, which the next one takes again if they are free: the broker's as [`BROKER_PORT`], and
/// each source's by the name of its kind.
pub(crate) type Ports = BTreeMap<String, u16>;

/// What the broker's port is called among the ports.
pub(crate) const BROKER_PORT: &str = "nats";

impl Run {
    /// How programs of this machine reach the broker, and log in there.
    pub(crate) fn access(&self, place: &Place) -> anyhow::Result<Access> {
        let server = RunTls::server(self.nats_tls.as_ref(), &self.nats_url)?;
        Ok(Access::new(place, server, self.creds.clone()))
    }
}

/// Nothing runs here.
#[derive(Debug, thiserror::Error)]
#[error("no relay is running on {}; start one with `agent-otp up`, or name its directory with --data", dir.display())]
pub(crate) struct NotRunning {
    dir: PathBuf,
}

/// Reads a file that nobody else can read; none if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    match private::read(path) {
        Err(KeyringError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// What runs at most once on a data directory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Broker,
    User,
    Audit,
    Keys,
    /// An enrolment on the owner's side.
    Enrol,
    /// An enrolment on the joiner's side.
    Join,
}

impl Part {
    fn lock(self) -> &'static str {
        match self {
            Self::Broker => "lock",
            Self::User => "user.lock",
            Self::Audit => "audit.lock",
            Self::Keys => "keys.lock",
            Self::Enrol => "enrol.lock",
            Self::Join => "join.lock",
        }
    }
}

/// Held by the one process that runs a part.
#[derive(Debug)]
pub(crate) struct Hold {
    _file: File,
}

impl Place {
    pub(crate) fn at(data: Option<PathBuf>) -> anyhow::Result<Self> {
        let is_default = data.is_none();
        let dir = match data {
            Some(dir) => {
                std::path::absolute(&dir).with_context(|| format!("`{}` is no directory", dir.display()))?
            }
            None => etcetera::choose_app_strategy(etcetera::AppStrategyArgs {
                top_level_domain: "org".to_owned(),
                author: "agent-otp".to_owned(),
                app_name: "agent-otp".to_owned(),
            })
            .context("there is no home directory; name a data directory with --data")?
            .data_dir(),
        };
        Ok(Self { dir, is_default, passphrase: Arc::default() })
    }

    /// The same place, whose sealed keys this passphrase opens; new keys are sealed with it.
    pub(crate) fn with(self, passphrase: Option<Passphrase>) -> Self {
        Self { passphrase: Arc::new(passphrase.map_or_else(OnceLock::new, OnceLock::from)), ..self }
    }

    pub(crate) fn passphrase(&self) -> Option<&Passphrase> {
        self.passphrase.get()
    }

    /// Goes by this passphrase from now on, unless there is one.
    pub(crate) fn take(&self, passphrase: Passphrase) {
        self.passphrase.get_or_init(|| passphrase);
    }

    /// Asks for the passphrase if the key of one of these homes is sealed and none was given. Homes that were looked up
    /// before do not know it.
    pub(crate) fn unlock<'a>(&self, homes: impl IntoIterator<Item = &'a Home>) -> anyhow::Result<()> {
        for home in homes {
            if self.passphrase().is_none() && home.exists() && home.is_sealed()? {
                self.take(passphrase::asked_for(home)?);
            }
        }
        Ok(())
    }

    /// What is typed before the verb to run this program on this place again.
    pub(crate) fn typed(&self) -> String {
        let program = typed::program();
        if self.is_default {
            return program;
        }
        format!("{program} --data {}", typed::quoted(&self.dir.to_string_lossy()))
    }

    /// What a member with this role types before the verb. One who is elsewhere knows where its program lies.
    pub(crate) fn typed_by(&self, role: Role) -> String {
        if self.names(role).is_empty() { typed::NAME.to_owned() } else { self.typed() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory, and holds a part of it until the result is dropped; `command` is what was typed.
    pub(crate) fn hold(&self, part: Part, command: &str) -> anyhow::Result<Hold> {
        private::make_dir(&self.dir).with_context(|| {
            format!("the data directory {} cannot be used; name another with --data", self.dir.display())
        })?;
        let path = self.dir.join(part.lock());
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                drop(file.read_to_string(&mut holder));
                let (pid, command) = holder.trim().split_once(' ').unwrap_or(("unknown", "agent-otp"));
                bail!(
                    "another `{command}` (pid {pid}) runs on {}; stop it first, or name another directory with --data",
                    self.dir.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{} {command}", std::process::id()))?;
        Ok(Hold { _file: file })
    }

    pub(crate) fn owner(&self) -> Home {
        Home::at(self.dir.join("owner")).with(self.passphrase().cloned())
    }

    pub(crate) fn rosters(&self) -> PathBuf {
        self.dir.join("owner").join("rosters")
    }

    pub(crate) fn member(&self, role: Role, name: &MemberId) -> Home {
        Home::at(self.dir.join("members").join(format!("{role}-{name}"))).with(self.passphrase().cloned())
    }

    /// The file with the seed of a member's NATS user.
    pub(crate) fn member_user(&self, role: Role, name: &MemberId) -> PathBuf {
        self.member(role, name).dir().join("nats.nk")
    }

    /// The file with the seed of an operator's NATS user: `relay`, `provision`, `dashboard`.
    pub(crate) fn operator_user(&self, name: &str) -> PathBuf {
        self.dir.join("operator").join(format!("{name}.nk"))
    }

    pub(crate) fn nats(&self) -> PathBuf {
        self.dir.join("nats")
    }

    /// The NATS users that are admitted besides those of this machine.
    pub(crate) fn nats_users(&self) -> NatsUsers {
        NatsUsers::at(self.dir.join("nats-users"))
    }

    /// Where the broker's TLS key is, and the certificate over it.
    pub(crate) fn tls(&self) -> PathBuf {
        self.dir.join("tls")
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.dir.join("audit.db")
    }

    /// Where the sources keep their secrets.
    pub(crate) fn sources(&self) -> PathBuf {
        self.dir.join("sources")
    }

    /// The services that are known here, the user's own among them if there is a file of them.
    pub(crate) fn services(&self) -> anyhow::Result<Services> {
        let path = self.dir.join("services.toml");
        match fs::read_to_string(&path) {
            Ok(own) => Services::with_own(&own).with_context(|| format!("{} cannot be used", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Services::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// What sources the user has configured.
    pub(crate) fn source_config(&self) -> PathBuf {
        self.dir.join("sources.toml")
    }

    pub(crate) fn notices(&self) -> PathBuf {
        self.dir.join("notices.json")
    }

    fn run_file(&self) -> PathBuf {
        self.dir.join("run.json")
    }

    /// What runs here.
    pub(crate) fn run(&self) -> anyhow::Result<Run> {
        let path = self.run_file();
        let Some(text) = read(&path)? else {
            return Err(NotRunning { dir: self.dir.clone() }.into());
        };
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; restart `agent-otp up`", path.display()))
    }

    pub(crate) fn say_running(&self, run: &Run) -> anyhow::Result<()> {
        private::replace(&self.run_file(), &serde_json::to_vec_pretty(run)?)?;
        Ok(())
    }

    pub(crate) fn say_stopped(&self) -> anyhow::Result<()> {
        private::remove(&self.run_file())?;
        Ok(())
    }

    pub(crate) fn ports(&self) -> Ports {
        let read = || serde_json::from_slice(&fs::read(self.dir.join("ports.json")).ok()?).ok();
        read().unwrap_or_default()
    }

    /// Keeps these ports for the next run, beside those that others have: two parts that start together add to one file.
    pub(crate) fn remember_ports(&self, more: impl IntoIterator<Item = (String, u16)>) -> anyhow::Result<()> {
        let _lock = private::lock_file(&self.dir.join("ports.lock"))?;
        let mut ports = self.ports();
        ports.extend(more);
        private::replace(&self.dir.join("ports.json"), &serde_json::to_vec(&ports)?)?;
        Ok(())
    }

    /// The names of the members with this role.
    pub(crate) fn names(&self, role: Role) -> Vec<MemberId> {
        let Ok(entries) = fs::read_dir(self.dir.join("members")) else { return Vec::new() };
        let prefix = format!("{role}-");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<MemberId> =
            names.filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn parts_that_start_together_remember_the_ports_of_all() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::at(Some(dir.path().to_owned())).unwrap();
        let part = |part: u16| {
            let place = &place;
            move || (0..16).for_each(|port| place.remember_ports([(format!("{part}.{port}"), port)]).unwrap())
        };
        thread::scope(|scope| (0..8).for_each(|number| drop(scope.spawn(part(number)))));
        assert_eq!(place.ports().len(), 8 * 16);
    }
}
