//! `agent-otp-relay owner`: whom the relays serve, and whose NATS users go with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use agent_otp_domain::OwnerId;
use agent_otp_jetstream::nats_user::{Applied, NatsUsers};
use agent_otp_relay::owners;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use tracing::{info, warn};

#[derive(Debug, Subcommand)]
pub(crate) enum Owner {
    /// Has the relays serve an owner.
    Add(Named),
    /// Prints the owners whom the relays serve, one a line.
    List(At),
    /// Has the relays serve an owner no longer, and removes its NATS users.
    Remove {
        #[command(flatten)]
        named: Named,
        /// The directory `nats-users` of the data directory on which the broker runs: the owner's users there are removed
        /// and cut off [default: none; those of an existing server its administrator removes].
        #[arg(long, value_name = "DIR")]
        nats_users: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct At {
    /// The list, a file with one owner id a line.
    #[arg(long, env = "AGENT_OTP_OWNERS", value_name = "FILE")]
    owners: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The owner's id, as its `agent-otp up` prints it.
    id: OwnerId,
    #[command(flatten)]
    at: At,
}

pub(crate) async fn run(verb: Owner) -> anyhow::Result<()> {
    match verb {
        Owner::Add(Named { id, at }) => {
            let is_new = owners::add(&at.owners, &id)?;
            info!(owner = %id, is_new, "served");
        }
        Owner::List(At { owners }) => {
            for owner in owners::list(&owners)? {
                writeln!(std::io::stdout(), "{owner}").context("cannot print")?;
            }
        }
        Owner::Remove { named: Named { id, at }, nats_users } => {
            // Before anything is done: whose directory is mistyped types the same again.
            let users = nats_users.as_deref().map(users_in).transpose()?;
            let was_there = owners::remove(&at.owners, &id)?;
            info!(owner = %id, was_there, "not served");
            if let Some(users) = users {
                cut_off(&users, &id).await?;
            } else {
                warn!(
                    "its NATS users may still log in: name them with --nats-users, or remove them at the server"
                );
            }
        }
    }
    Ok(())
}

/// The users in a directory that is there: one that is not has none, and could be another than is meant.
fn users_in(dir: &Path) -> anyhow::Result<NatsUsers> {
    std::fs::read_dir(dir).with_context(|| {
        format!(
            "nothing is removed: cannot read {}; --nats-users names the directory `nats-users` of the broker's data \
             directory",
            dir.display()
        )
    })?;
    Ok(NatsUsers::at(dir.to_owned()))
}

/// Removes an owner's NATS users, and waits until the broker has cut them off.
async fn cut_off(users: &NatsUsers, owner: &OwnerId) -> anyhow::Result<()> {
    let mut removed = 0;
    for user in users.list()? {
        if user.whose.owner() == owner {
            users.remove(&user.whose)?;
            removed += 1;
            info!(user = %user.whose, "removed");
        }
    }
    if removed == 0 {
        warn!("none of the NATS users there is the owner's: is it the directory of its broker?");
    } else {
        info!(removed, "all of the owner's NATS users are removed");
    }
    match users.apply().await? {
        Applied::Now => info!("the broker has taken it"),
        Applied::AtStart => info!("no broker runs on this directory; the next one goes by it"),
    }
    Ok(())
}
