//! `agent-otp nats permissions`: the users of Agent OTP for a server's configuration, or the roles for operator mode.

use std::process::ExitCode;
use std::str::FromStr;

use agent_otp_broker::{Scope, User, authorization};
use agent_otp_domain::{OwnerId, Role};
use agent_otp_jetstream::permission;
use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::named::{NameError, Named};
use crate::place::Place;
use crate::{print, setup};

/// The roles that see what is their owner's, and nothing else.
const OWN: [Role; 3] = [Role::Agent, Role::Approver, Role::Capturer];

/// What is asked for.
#[derive(Debug, Args)]
pub(crate) struct Permissions {
    /// Whose members [default: those of this data directory's owner, and the programs that it runs; their keys are made
    /// if they are not there].
    #[arg(long, value_name = "ID")]
    owner: Option<OwnerId>,
    /// A member besides, such as `agent:booker`, with its public NATS key (`U…`) if you have it; for `config`
    /// alone.
    #[arg(long, value_name = "ROLE:NAME[=NKEY]")]
    member: Vec<NamedUser>,
    /// In which form.
    #[arg(long, value_enum, default_value_t = Format::Config)]
    format: Format,
    /// What nsc calls the account.
    #[arg(long, value_name = "NAME", default_value = "OTP")]
    account: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Users for the server's configuration.
    Config,
    /// Commands for nsc that make one scoped signing key for each role.
    Operator,
    /// The same roles as they stand in the account's claims (JSON).
    OperatorJson,
}

/// A member, and the key with which it logs in.
#[derive(Debug, Clone)]
struct NamedUser {
    named: Named,
    public_key: Option<String>,
}

impl FromStr for NamedUser {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (named, key) = text.split_once('=').map_or((text, None), |(named, key)| (named, Some(key)));
        Ok(Self { named: named.parse()?, public_key: key.map(str::to_owned) })
    }
}

pub(super) fn run(
    place: impl FnOnce() -> anyhow::Result<Place>,
    asked: Permissions,
) -> anyhow::Result<ExitCode> {
    if asked.format != Format::Config && !asked.member.is_empty() {
        let why = "--member is for `--format config` alone: whoever holds a role's key in operator mode makes its users\n";
        clap::Error::raw(ErrorKind::ArgumentConflict, why).exit();
    }
    match asked.format {
        Format::Config => print::out(&config(place, &asked)?),
        Format::Operator => {
            let scopes = scopes(place, &asked)?;
            let commands: Vec<String> = scopes.iter().map(|scope| scope.nsc(&asked.account)).collect();
            print::out(&commands.join("\n"));
            print::say(&users_by_nsc(&asked.account));
        }
        Format::OperatorJson => {
            let claims: Value = scopes(place, &asked)?.iter().map(Scope::claim).collect();
            print::out(&print::json(&claims)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn config(place: impl FnOnce() -> anyhow::Result<Place>, asked: &Permissions) -> anyhow::Result<String> {
    let (owner, mut users) = if let Some(owner) = &asked.owner {
        (owner.clone(), Vec::new())
    } else {
        let place = place()?;
        let setup = setup::run(&place).context("the NATS users of this data directory cannot be listed")?;
        (setup.owner, setup::with_admitted(&place, &setup.users)?)
    };
    for NamedUser { named, public_key } in &asked.member {
        let name = format!("{named} of {owner}");
        // No server takes this for a key, so that it is not overlooked.
        let public_key =
            public_key.clone().unwrap_or_else(|| format!("the public NATS key of {named} (U...)"));
        let permissions = setup::permissions(permission::member(&owner, named.role, &named.name));
        users.push(User { name, public_key, permissions });
    }
    Ok(format!(
        "# Agent OTP, owner {owner}. In a server with accounts, these users belong into one account, with JetStream.\n{}",
        authorization(&users).trim_end()
    ))
}

/// The owner's roles, and, for this data directory's owner, those of the programs that serve it.
fn scopes(place: impl FnOnce() -> anyhow::Result<Place>, asked: &Permissions) -> anyhow::Result<Vec<Scope>> {
    let mut roles = Vec::new();
    let owner = if let Some(owner) = &asked.owner {
        owner.clone()
    } else {
        let owner = setup::run(&place()?)?.owner;
        // It reads the log of all owners, and so is not for one who is a guest here.
        roles.push((format!("auditor-{owner}"), permission::members(&owner, Role::Auditor)));
        roles.extend([
            ("relay".to_owned(), permission::relay()),
            ("provision".to_owned(), permission::provision()),
            ("dashboard".to_owned(), permission::dashboard()),
        ]);
        owner
    };
    roles.extend(OWN.map(|role| (format!("{role}-{owner}"), permission::members(&owner, role))));
    roles.push((format!("enroller-{owner}"), permission::enroller(&owner)));
    roles.push((format!("enrolment-{owner}"), permission::enrolments(&owner)));
    let scope = |(role, grants)| Scope { role, permissions: setup::permissions(grants) };
    Ok(roles.into_iter().map(scope).collect())
}

/// What makes the users, once the roles are there. The template wants each member's own name, and this machine's approver,
/// capturer and auditor have the same one.
fn users_by_nsc(account: &str) -> String {
    format!(
        "then: nsc push --account {account}, and for each user, with a member's own name:\n  \
         nsc add user --account {account} --name NAME -K ROLE\n  \
         nsc generate creds --account {account} --name NAME > creds/USER.creds    # relay.creds, approver-local.creds\n\
         nsc takes a name once in an account: before the next user of the same name, take this one from its list (the \
         creds stay good):\n  \
         nsc delete user --account {account} --name NAME --revoke=false"
    )
}
