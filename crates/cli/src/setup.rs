//! The first start: keys, roster, NATS users. Run again, it keeps what is there and makes what is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_otp_broker::{Permissions, Responses, User, UserKey};
use agent_otp_domain::{MemberId, OwnerId, Role};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::permission::{self, Grants};
use agent_otp_keyring::{Home, Pin, private};
use agent_otp_trust::{IdentityKey, Member};
use agent_otp_user::Owner;
use anyhow::{Context as _, bail};

use crate::place::Place;

/// The members that `up` makes: one of each role, and one agent to begin with.
const MEMBERS: [(Role, &str); 4] =
    [(Role::Agent, "shopper"), (Role::Approver, LOCAL), (Role::Capturer, LOCAL), (Role::Auditor, LOCAL)];
/// What the members of this machine's user are called.
pub(crate) const LOCAL: &str = "local";
/// The programs that belong to no owner.
const OPERATORS: [&str; 3] = ["relay", "provision", "dashboard"];

/// Everything that `up` needs of the keys.
pub(crate) struct Setup {
    pub(crate) owner: OwnerId,
    pub(crate) roster: Owner,
    /// The broker's users, with their permissions.
    pub(crate) users: Vec<User>,
    /// The file with each user's seed, by `role:name`.
    pub(crate) creds: BTreeMap<String, PathBuf>,
    /// Whether anything was made.
    pub(crate) is_first: bool,
}

pub(crate) fn local() -> anyhow::Result<MemberId> {
    LOCAL.parse().context("a constant name")
}

/// Makes whatever is missing, and loads the rest.
pub(crate) fn run(place: &Place) -> anyhow::Result<Setup> {
    let is_first = !place.owner().exists();
    let owner_key = owner(&place.owner())?;
    let owner_id = OwnerId::of(&owner_key.id());
    let pin = Pin { owner_key: owner_key.id(), roster: None };

    let mut members = Vec::new();
    let mut users = Vec::new();
    let mut creds = BTreeMap::new();
    for (role, name) in MEMBERS {
        let name: MemberId = name.parse()?;
        let identity = identity(&place.member(role, &name), &pin)?;
        let path = place.member_user(role, &name);
        users.push(user(&format!("{role}:{name}"), &path, permission::member(&owner_id, role, &name))?);
        creds.insert(format!("{role}:{name}"), path);
        members.push(Member::new(role, name, identity.public()));
    }
    private::make_dir(&place.dir().join("operator"))?;
    for name in OPERATORS {
        let path = place.operator_user(name);
        let grants = match name {
            "relay" => permission::relay(),
            "provision" => permission::provision(),
            _ => permission::dashboard(),
        };
        users.push(user(name, &path, grants)?);
        creds.insert(name.to_owned(), path);
    }

    let roster = Owner::new(owner_key, place.rosters());
    private::make_dir(&place.rosters())?;
    if private::list(&place.rosters(), "roster")?.is_empty() {
        roster.begin(members, clock::now())?;
    }
    roster.latest()?;
    Ok(Setup { owner: owner_id, roster, users, creds, is_first })
}

/// The owner whose keys were made before; nothing is made.
pub(crate) fn owner_of(place: &Place) -> anyhow::Result<Owner> {
    if !place.owner().exists() {
        bail!(
            "there are no keys in {}; `agent-otp serve broker` or `agent-otp up` makes them, or name another \
             directory with --data",
            place.dir().display()
        );
    }
    Ok(Owner::new(owner(&place.owner())?, place.rosters()))
}

fn owner(home: &Home) -> anyhow::Result<IdentityKey> {
    if !home.exists() {
        let key = agent_otp_keyring::generate()?;
        home.create(&key, &Pin { owner_key: key.id(), roster: None })?;
    }
    home.identity().context("the owner's key cannot be used")
}

fn identity(home: &Home, pin: &Pin) -> anyhow::Result<IdentityKey> {
    if !home.exists() {
        home.create(&agent_otp_keyring::generate()?, pin)?;
    }
    Ok(home.identity()?)
}

fn user(name: &str, path: &Path, grants: Grants) -> anyhow::Result<User> {
    let key = if path.exists() { UserKey::load(path)? } else { UserKey::create(path)? };
    Ok(User { name: name.to_owned(), public_key: key.public().to_owned(), permissions: permissions(grants) })
}

fn permissions(grants: Grants) -> Permissions {
    let responses = grants.respond.then_some(Responses { max: 1, expires: Duration::from_secs(30) });
    Permissions { publish: grants.publish, subscribe: grants.subscribe, responses }
}
