//! `keys protect` and `keys unprotect`: every key of a data directory sealed, or none.

use std::path::PathBuf;

use agent_otp_keyring::{Home, Passphrase};
use anyhow::Context as _;

use crate::place::{Part, Place};
use crate::{passphrase, print, setup};

/// Seals all keys. Whatever broke it off, the same command goes on: a key that is sealed already stays as it is.
pub(super) fn protect(place: &Place, change: Option<Option<PathBuf>>) -> anyhow::Result<()> {
    setup::has_keys(place)?;
    let _hold = place.hold(Part::Keys, "agent-otp keys protect")?;
    let homes = super::homes(place);
    let passphrase = match change {
        Some(to) => {
            unlock(place, &homes)?;
            to.map_or_else(passphrase::chosen, |file| passphrase::from_file(&file))?
        }
        None => first(place, &homes)?,
    };
    let mut changed = 0;
    for (_, home) in super::homes(place) {
        changed += u32::from(home.protect(&passphrase).context("not every key is sealed")?);
    }
    print::out(&format!("sealed {changed} keys; {} are sealed with this passphrase", homes.len()));
    print::say(
        "Nobody can open them without it, neither can you: keep it, and see docs/KEYS.md for what else to keep.",
    );
    Ok(())
}

/// The passphrase that seals what is not sealed yet: the one of the others, if there are any.
fn first(place: &Place, homes: &[(String, Home)]) -> anyhow::Result<Passphrase> {
    unlock(place, homes)?;
    match place.passphrase() {
        Some(passphrase) => Ok(passphrase.clone()),
        None => passphrase::chosen(),
    }
}

/// Writes all keys as they are.
pub(super) fn unprotect(place: &Place) -> anyhow::Result<()> {
    setup::has_keys(place)?;
    let _hold = place.hold(Part::Keys, "agent-otp keys unprotect")?;
    let homes = super::homes(place);
    unlock(place, &homes)?;
    let mut changed = 0;
    for (_, home) in super::homes(place) {
        changed += u32::from(home.unprotect().context("some keys are still sealed")?);
    }
    print::out(&format!("unsealed {changed} keys: whoever reads their files can use them"));
    Ok(())
}

fn unlock(place: &Place, homes: &[(String, Home)]) -> anyhow::Result<()> {
    place.unlock(homes.iter().map(|(_, home)| home))
}
