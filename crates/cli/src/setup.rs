//! The first start: keys, roster, NATS users. Run again, it keeps what is there and makes what is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_otp_broker::{Permissions, Responses, User, UserKey};
use agent_otp_domain::{MemberId, OwnerId, Role};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::permission::{self, Grants};
use agent_otp_keyring::{Home, Pin, private};
use agent_otp_trust::Member;
use agent_otp_user::{Owner, latest_roster};
use anyhow::{Context as _, bail};

use crate::admitted;
use crate::named::Named;
use crate::place::Place;

/// The members that `up` makes: one of each role, and one agent to begin with.
const MEMBERS: [(Role, &str); 4] =
    [(Role::Agent, "shopper"), (Role::Approver, LOCAL), (Role::Capturer, LOCAL), (Role::Auditor, LOCAL)];
/// What the members of this machine's user are called.
pub(crate) const LOCAL: &str = "local";
/// The NATS users that are no member's.
const OPERATORS: [&str; 4] = ["relay", "provision", "dashboard", "enroller"];

/// Everything that `up` needs of the keys.
pub(crate) struct Setup {
    pub(crate) owner: OwnerId,
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

/// Makes whatever is missing, and looks at the rest. Of keys that are there no private half is needed.
pub(crate) fn run(place: &Place) -> anyhow::Result<Setup> {
    let is_first = !place.owner().exists();
    is_not_lost(place)?;
    if is_first {
        let key = agent_otp_keyring::generate()?;
        place.owner().create(&key, &Pin { owner_key: key.id(), roster: None })?;
    }
    let owner_key = place.owner().public().context("the owner's key cannot be used")?;
    // The key may have a successor; the owner is called by the first.
    let pin = Pin { roster: None, ..place.owner().pin()? };
    let owner_id = OwnerId::of(&pin.owner_key);

    let mut logins = Logins::default();
    let members = members(place, &owner_id, &pin, &mut logins)?;
    operators(place, &owner_id, &mut logins)?;

    private::make_dir(&place.rosters())?;
    if private::list(&place.rosters(), "roster")?.is_empty() {
        owner_of(place)?.begin(members, clock::now())?;
    }
    let (_, latest) = latest_roster(&place.rosters())?;
    if latest.owner_key != owner_key {
        bail!(
            "the key of the owner here is {}, but roster {} is signed by {}: `agent-otp keys recover` goes on where it \
             was broken off",
            owner_key.id(),
            latest.number,
            latest.owner_key.id()
        );
    }
    let Logins { users, creds } = logins;
    Ok(Setup { owner: owner_id, users, creds, is_first })
}

/// The broker's users as they are made, and the file of each.
#[derive(Default)]
struct Logins {
    users: Vec<User>,
    creds: BTreeMap<String, PathBuf>,
}

impl Logins {
    fn add(&mut self, name: String, path: PathBuf, grants: Grants) -> anyhow::Result<()> {
        self.users.push(user(&name, &path, grants)?);
        self.creds.insert(name, path);
        Ok(())
    }
}

/// Makes the members that are missing.
fn members(place: &Place, owner: &OwnerId, pin: &Pin, logins: &mut Logins) -> anyhow::Result<Vec<Member>> {
    let mut members = Vec::new();
    for (role, name) in MEMBERS {
        let name: MemberId = name.parse()?;
        let home = place.member(role, &name);
        if !home.exists() {
            home.create(&agent_otp_keyring::generate()?, pin)?;
        }
        let public_key = home.public()?;
        let grants = permission::member(owner, role, &name);
        logins.add(format!("{role}:{name}"), place.member_user(role, &name), grants)?;
        members.push(Member::new(role, name, public_key));
    }
    Ok(members)
}

fn operators(place: &Place, owner: &OwnerId, logins: &mut Logins) -> anyhow::Result<()> {
    private::make_dir(&place.dir().join("operator"))?;
    for name in OPERATORS {
        let grants = match name {
            "relay" => permission::relay(),
            "provision" => permission::provision(),
            "enroller" => permission::enroller(owner),
            _ => permission::dashboard(),
        };
        logins.add(name.to_owned(), place.operator_user(name), grants)?;
    }
    Ok(())
}

/// The owner whose keys were made before, with the private one.
pub(crate) fn owner_of(place: &Place) -> anyhow::Result<Owner> {
    has_keys(place)?;
    let key = place.owner().identity().context("the owner's key cannot be used")?;
    Ok(Owner::new(key, place.rosters()))
}

/// Fails if no keys were made here before.
pub(crate) fn has_keys(place: &Place) -> anyhow::Result<()> {
    is_not_lost(place)?;
    if !place.owner().exists() {
        bail!(
            "there are no keys in {}; `agent-otp serve broker` or `agent-otp up` makes them, or name another \
             directory with --data",
            place.dir().display()
        );
    }
    Ok(())
}

/// Fails if the owner's key was here once: another one made in its place would be a stranger's.
fn is_not_lost(place: &Place) -> anyhow::Result<()> {
    let has_rosters = private::list(&place.rosters(), "roster").is_ok_and(|rosters| !rosters.is_empty());
    if has_rosters && !place.owner().exists() {
        bail!(
            "the owner's key is missing in {}: restore identity.key, or make another with `agent-otp keys recover`",
            place.owner().dir().display()
        );
    }
    Ok(())
}

/// The homes whose keys the user's side opens.
pub(crate) fn of_the_user(place: &Place) -> anyhow::Result<[Home; 3]> {
    let local = local()?;
    Ok([place.owner(), place.member(Role::Approver, &local), place.member(Role::Capturer, &local)])
}

fn user(name: &str, path: &Path, grants: Grants) -> anyhow::Result<User> {
    let key = if path.exists() { UserKey::load(path)? } else { UserKey::create(path)? };
    Ok(User { name: name.to_owned(), public_key: key.public().to_owned(), permissions: permissions(grants) })
}

/// These users, as far as the roster still names them, and those that were admitted besides.
pub(crate) fn with_admitted(place: &Place, own: &[User]) -> anyhow::Result<Vec<User>> {
    let (_, latest) = latest_roster(&place.rosters())?;
    let mut standing = Vec::with_capacity(own.len());
    for user in own {
        // The operator's have no role.
        let is_admitted = match user.name.parse::<Named>() {
            Ok(Named { role, name }) => admitted::stands(place, &latest, role, &name)?,
            Err(_) => true,
        };
        standing.extend(is_admitted.then(|| user.clone()));
    }
    let admitted = place.nats_users().list().context("the admitted NATS users cannot be read")?;
    let admitted = admitted.into_iter().map(|user| User {
        name: user.whose.to_string(),
        permissions: permissions(user.grants()),
        public_key: user.public_key,
    });
    Ok(standing.into_iter().chain(admitted).collect())
}

pub(crate) fn permissions(grants: Grants) -> Permissions {
    let responses = grants.respond.then_some(Responses { max: 1, expires: Duration::from_secs(30) });
    Permissions { publish: grants.publish, subscribe: grants.subscribe, responses }
}
