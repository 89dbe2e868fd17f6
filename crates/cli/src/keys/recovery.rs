//! `keys recovery new` and `keys recover`: a key kept offline, and the owner's new key when the old one is lost or stolen.

use std::io::IsTerminal as _;
use std::path::Path;

use agent_otp_domain::KeyId;
use agent_otp_jetstream::clock;
use agent_otp_keyring::{KeyringError, Pin, private, recovery};
use agent_otp_trust::{IdentityKey, Roster};
use agent_otp_user::{Owner, latest_roster};
use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use crate::place::{Part, Place};
use crate::{passphrase, print, setup};

const NEXT: &str = "Start `agent-otp up` or `agent-otp serve user`: it hands the roster to the relay.";

/// Makes a recovery key, hands it over, and only then has the roster name it: a key that was named and is lost could
/// never be replaced.
pub(super) fn new(place: &Place, to: Option<&Path>, present: Option<&Path>) -> anyhow::Result<()> {
    let command = "agent-otp keys recovery new";
    setup::has_keys(place)?;
    let _holds = (place.hold(Part::Keys, command)?, place.hold(Part::User, command)?);
    if to.is_none() && !std::io::stdout().is_terminal() {
        bail!("the recovery key is printed on a terminal alone; name a file for it with --to");
    }
    place.unlock([&place.owner()])?;
    let owner = setup::owner_of(place)?;
    let next = owner.next_roster(clock::now())?;
    if let Some(key) = to.filter(|to| to.exists()).map(from_file).transpose()?
        && next.recovery.as_ref() == Some(&key.public())
    {
        print::out(&format!("the rosters name the recovery key {} already", key.id()));
        return Ok(());
    }
    // The one that stands alone can name another: a stolen owner key cannot.
    let by = match &next.recovery {
        Some(_) => standing(&next, present)?,
        None => place.owner().identity()?,
    };
    let key = match to {
        Some(to) => kept_in(to)?,
        None => shown()?,
    };
    let owner_key = next.owner_key.clone();
    let number = owner.keep(&next.succeeded(&by, owner_key, key.public()))?.number;
    print::out(&format!("roster {number} names the recovery key {}", key.id()));
    if let Some(to) = to {
        print::say(&format!(
            "Take {} off this machine: what lies beside the owner's key is stolen with it.",
            to.display()
        ));
    }
    print::say(NEXT);
    Ok(())
}

/// Makes a new owner key on a machine without one, in the same three steps as a member's rotation.
pub(super) fn recover(place: &Place, file: Option<&Path>) -> anyhow::Result<()> {
    let command = "agent-otp keys recover";
    let (_, latest) = latest_roster(&place.rosters()).context(
        "without the latest roster nothing can be recovered: copy the directory owner/rosters from wherever it is",
    )?;
    let _holds = (place.hold(Part::Keys, command)?, place.hold(Part::User, command)?);
    let home = place.owner();
    let number = if home.next_public()?.is_some_and(|next| next == latest.owner_key) {
        latest.number
    } else {
        let recovery = standing(&latest, file)?;
        choose_passphrase(place)?;
        let home = place.owner();
        let first: KeyId = String::from(latest.owner.clone()).parse()?;
        home.prepare(&Pin { owner_key: first, roster: None })?;
        let key = home.next_identity()?;
        let owner_key = key.public();
        let owner = Owner::new(key, place.rosters());
        let next = owner.next_roster(clock::now())?;
        owner.keep(&next.succeeded(&recovery, owner_key, recovery.public()))?.number
    };
    home.promote()?;
    print::out(&format!(
        "recovered: roster {number} is signed by the owner's new key {}",
        home.public()?.id()
    ));
    print::out("the old key signs no roster any more");
    print::say("The recovery key has been on this machine: replace it with `agent-otp keys recovery new`.");
    print::say(NEXT);
    Ok(())
}

/// A new owner key is to rest as the other keys here do.
fn choose_passphrase(place: &Place) -> anyhow::Result<()> {
    let are_sealed: Result<Vec<bool>, KeyringError> =
        super::homes(place).iter().map(|(_, home)| home.is_sealed()).collect();
    if place.passphrase().is_none() && are_sealed?.contains(&true) {
        print::say(
            "Keys here are sealed. Choose the passphrase of the owner's new key: theirs, or a new one if theirs is lost.",
        );
        place.take(passphrase::chosen()?);
    }
    Ok(())
}

/// The recovery key that the rosters name, from a file or typed unseen.
fn standing(latest: &Roster, file: Option<&Path>) -> anyhow::Result<IdentityKey> {
    let Some(named) = &latest.recovery else {
        bail!(
            "roster {} names no recovery key, so that nothing can be recovered; see docs/KEYS.md",
            latest.number
        );
    };
    let key = match file {
        Some(file) => from_file(file)?,
        None => recovery::read(&passphrase::typed("Recovery key (it is not shown): ")?)?,
    };
    if key.public() != *named {
        bail!("this is the recovery key {}, but roster {} names {}", key.id(), latest.number, named.id());
    }
    Ok(key)
}

fn from_file(file: &Path) -> anyhow::Result<IdentityKey> {
    let line = passphrase::secret_line(file)?;
    recovery::read(&line).with_context(|| format!("{} holds no recovery key", file.display()))
}

/// A new key in a new file; one that is there from a run that was broken off is used.
fn kept_in(file: &Path) -> anyhow::Result<IdentityKey> {
    if file.exists() {
        return from_file(file);
    }
    let key = agent_otp_keyring::generate()?;
    private::write_new(file, recovery::written(&key).as_bytes())?;
    Ok(key)
}

/// A new key on the screen.
fn shown() -> anyhow::Result<IdentityKey> {
    let key = agent_otp_keyring::generate()?;
    print::say("Write this recovery key down and keep it offline. It is shown this once:");
    print::out("");
    for line in recovery::written(&key).as_bytes().chunks(35) {
        let line = String::from_utf8_lossy(line);
        print::out(&Zeroizing::new(format!("    {}", line.trim_end_matches('-'))));
    }
    print::out("");
    Ok(key)
}
