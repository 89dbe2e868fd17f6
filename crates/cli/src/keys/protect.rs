//! `keys protect` and `keys unprotect`: every key of a data directory sealed, or none.

use std::path::Path;

use agent_otp_keyring::{Home, Passphrase};
use anyhow::Context as _;

use crate::place::{Part, Place};
use crate::{passphrase, print};

const COMMAND: &str = "agent-otp keys protect";

/// Seals what is not sealed yet with the passphrase of the rest; if nothing is, with one that is given or chosen.
pub(super) fn protect(place: &Place) -> anyhow::Result<()> {
    super::present(place)?;
    let _hold = place.hold(Part::Keys, COMMAND)?;
    unlock(place, &super::homes(place))?;
    match place.passphrase() {
        Some(passphrase) => seal(place, passphrase),
        None => seal(place, &passphrase::chosen()?),
    }
}

/// Seals all keys with another passphrase: the one of a file, or one that is chosen.
pub(super) fn change(place: &Place, to: Option<&Path>) -> anyhow::Result<()> {
    super::present(place)?;
    let _hold = place.hold(Part::Keys, COMMAND)?;
    unlock(place, &super::homes(place))?;
    seal(place, &to.map_or_else(passphrase::chosen, passphrase::from_file)?)
}

/// Whatever breaks it off, the same command goes on: a key that is sealed already stays as it is.
fn seal(place: &Place, passphrase: &Passphrase) -> anyhow::Result<()> {
    let homes = super::homes(place);
    let mut changed = 0;
    for (_, home) in &homes {
        changed += u32::from(home.protect(passphrase).context("not every key is sealed")?);
    }
    print::out(&format!("sealed {changed} keys; {} are sealed with this passphrase", homes.len()));
    print::say(
        "Nobody can open them without it, neither can you: keep it, and see docs/KEYS.md for what else to keep.",
    );
    Ok(())
}

/// Writes all keys as they are.
pub(super) fn unprotect(place: &Place) -> anyhow::Result<()> {
    super::present(place)?;
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
