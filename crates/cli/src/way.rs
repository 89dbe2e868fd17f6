//! How a member of a data directory reaches its broker: as it was told when it joined, or the one that runs there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agent_otp_domain::{MemberId, Role};
use agent_otp_jetstream::{Login, Server};
use agent_otp_keyring::private;
use anyhow::{Context as _, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::place::{self, Place};
use crate::server::RunTls;
use crate::setup;

/// Which member acts, where several are in one data directory.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct As {
    /// Which of several members of this data directory acts [default: `local`, or the only one].
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<MemberId>,
}

/// What a member keeps that joined from another machine than its owner's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    /// Where the broker listens.
    nats_url: String,
    /// How it is known, if it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nats_tls: Option<RunTls>,
}

impl Place {
    /// Has a member remember how its broker is reached.
    pub(crate) fn remember_way(&self, role: Role, name: &MemberId, server: &Server) -> anyhow::Result<()> {
        let way = Way { nats_url: server.url.clone(), nats_tls: RunTls::of(server) };
        Ok(private::replace(&self.way_file(role, name), &serde_json::to_vec_pretty(&way)?)?)
    }

    /// How a member reaches its broker, and logs in there.
    pub(crate) fn access_of(&self, role: Role, name: &MemberId) -> anyhow::Result<Access> {
        let path = self.way_file(role, name);
        let Some(text) = place::read(&path)? else { return self.run()?.access(self) };
        let damaged = || format!("{} is damaged: restore it, or enrol anew", path.display());
        let way: Way = serde_json::from_slice(&text).with_context(damaged)?;
        Ok(Access::new(self, RunTls::server(way.nats_tls.as_ref(), &way.nats_url)?, BTreeMap::new()))
    }

    /// How a member logs in there.
    pub(crate) fn member_login(&self, role: Role, name: &MemberId) -> anyhow::Result<Login> {
        self.access_of(role, name)?.member(role, name)
    }

    /// The member of this role that a command means: the one that is named, `local`, or the only one.
    pub(crate) fn meant(&self, role: Role, by: &As) -> anyhow::Result<MemberId> {
        let mut known = self.names(role);
        known.retain(|name| self.member(role, name).exists());
        let listed = || known.iter().map(MemberId::to_string).collect::<Vec<_>>().join(", ");
        let local = setup::local()?;
        match (&by.name, known.as_slice()) {
            (Some(name), known) if known.contains(name) => Ok(name.clone()),
            (Some(name), _) => bail!("there is no {role} `{name}` here; known: {}", listed()),
            (None, [only]) => Ok(only.clone()),
            (None, known) if known.is_empty() || known.contains(&local) => Ok(local),
            (None, _) => {
                bail!("there are several members here that could do this; name one with --as: {}", listed())
            }
        }
    }

    fn way_file(&self, role: Role, name: &MemberId) -> PathBuf {
        self.member(role, name).dir().join("broker.json")
    }
}
