//! An existing NATS server in place of one of our own, and the users that its administrator made for us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent_otp_jetstream::Server;
use agent_otp_jetstream::provision::Settings;
use anyhow::{Context as _, bail};
use clap::Args;

use crate::args::heading;
use crate::server::Tls;

/// How the files of operator mode's users end.
const CREDS: &str = "creds";
/// How the files of users end whose keys stand in the server's configuration.
const NKEY: &str = "nk";

/// Which server.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerOption {
    /// Uses an existing NATS server, 2.12 or newer with JetStream, instead of running one.
    #[arg(
        help_heading = heading::EXISTING,
        long = "nats",
        value_name = "URL",
        conflicts_with_all = ["nats_server", "nats_port", "listen"]
    )]
    url: Option<String>,
    /// How to log in there: one credentials file for everything, or a directory with a file for each user, such as
    /// `relay.creds` and `agent-shopper.creds` [default: the keys of this data directory, which `agent-otp nats
    /// permissions` lists for the server's configuration].
    #[arg(help_heading = heading::EXISTING, long, value_name = "FILE|DIR", requires = "url")]
    creds: Option<PathBuf>,
    /// On how many of its servers each stream is kept: 1, 3 or 5.
    #[arg(help_heading = heading::EXISTING, long, value_name = "COUNT", requires = "url", default_value_t = 1)]
    replicas: usize,
    #[command(flatten)]
    tls: Tls,
}

/// An existing server, and who logs in there with which file.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    pub(crate) server: Server,
    /// How the streams are kept there.
    pub(crate) settings: Settings,
    creds: Creds,
}

#[derive(Debug, Clone)]
enum Creds {
    /// The keys of the data directory.
    Own,
    /// One file for everybody.
    One(PathBuf),
    /// A file for each.
    Each(PathBuf),
}

impl ServerOption {
    /// The server that was named, if one was.
    pub(crate) fn existing(self) -> anyhow::Result<Option<Existing>> {
        let Self { url, creds, replicas, tls } = self;
        let Some(url) = url else {
            if tls.is_typed() {
                bail!("--nats-pin and --tls-… say how an existing server is known: name it with --nats URL");
            }
            return Ok(None);
        };
        let creds = match creds {
            None => Creds::Own,
            Some(path) => {
                let path = std::path::absolute(&path)?;
                if !path.exists() {
                    bail!(
                        "there is no {}: name the credentials file that the server's administrator gave you, or a \
                         directory with one for each user",
                        path.display()
                    );
                }
                if path.is_dir() { Creds::Each(path) } else { Creds::One(path) }
            }
        };
        let settings = Settings { replicas, ..Settings::default() };
        Ok(Some(Existing { server: tls.server(url)?, settings, creds }))
    }
}

impl Existing {
    /// The file of each of these users, by `role:name` or the name of a program; `own` are those of the data directory.
    /// Who is not in the directory that was named, cannot log in.
    pub(crate) fn files(&self, own: BTreeMap<String, PathBuf>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let files: BTreeMap<String, PathBuf> = match &self.creds {
            Creds::Own => own,
            Creds::One(file) => own.into_keys().map(|user| (user, file.clone())).collect(),
            Creds::Each(dir) => {
                own.into_keys().filter_map(|user| file_of(dir, &user).map(|file| (user, file))).collect()
            }
        };
        let needed = ["relay", "approver:local", "capturer:local"];
        let missing: Vec<&str> = needed.into_iter().filter(|user| !files.contains_key(*user)).collect();
        if let (Creds::Each(dir), false) = (&self.creds, missing.is_empty()) {
            let missing: Vec<String> =
                missing.into_iter().map(|user| format!("{}.{CREDS}", file_name(user))).collect();
            return Err(anyhow::anyhow!("{} lacks {}", dir.display(), missing.join(", "))).context(
                "not every NATS user is there; `agent-otp nats permissions --format operator` prints how they are made",
            );
        }
        Ok(files)
    }
}

fn file_of(dir: &Path, user: &str) -> Option<PathBuf> {
    let files = [CREDS, NKEY].map(|ending| dir.join(format!("{}.{ending}", file_name(user))));
    files.into_iter().find(|file| file.exists())
}

/// A member's file is called as its directory is.
fn file_name(user: &str) -> String {
    user.replace(':', "-")
}
