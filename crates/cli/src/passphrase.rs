//! The passphrase of sealed keys: from a file, from the environment, or from whoever sits at the terminal.

use std::path::Path;

use agent_otp_keyring::{Home, KeyringError, Passphrase, PassphraseError, private};
use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

use crate::hidden::{self, Line};
use crate::print;

/// How often a person may try.
const TRIES: u32 = 3;
const VARIABLE: &str = "AGENT_OTP_PASSPHRASE";

/// What the environment holds. It stays there, for root, who may read `/proc/PID/environ`: to take it away is not safe once
/// there are threads, and the system keeps its own copy anyhow.
pub(crate) fn from_environment() -> Option<Zeroizing<String>> {
    // What is not UTF-8 is no passphrase that was ever taken.
    std::env::var_os(VARIABLE).filter(|text| !text.is_empty())?.into_string().ok().map(Zeroizing::new)
}

/// The passphrase that was given with the command: by `file`, otherwise by the environment.
pub(crate) fn given(
    file: Option<&Path>,
    environment: Option<Zeroizing<String>>,
) -> anyhow::Result<Option<Passphrase>> {
    match (file, environment) {
        (Some(file), _) => from_file(file).map(Some),
        (None, Some(text)) => Ok(Some(Passphrase::new(text).context(VARIABLE)?)),
        (None, None) => Ok(None),
    }
}

/// The first line of a file that nobody else can read.
pub(crate) fn from_file(file: &Path) -> anyhow::Result<Passphrase> {
    let line = secret_line(file)?;
    Passphrase::new(line).with_context(|| format!("{} holds no passphrase", file.display()))
}

/// The first line of a file that nobody else can read, without its end.
pub(crate) fn secret_line(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let content = private::read(file)?;
    let text = std::str::from_utf8(&content).with_context(|| format!("{} is no text", file.display()))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Asks for the passphrase that opens the home's key.
pub(crate) fn asked_for(home: &Home) -> anyhow::Result<Passphrase> {
    let locked = match home.identity() {
        Err(locked @ KeyringError::Locked { .. }) => locked,
        Ok(_) => bail!("{} needs no passphrase", home.dir().display()),
        Err(error) => return Err(error.into()),
    };
    if !hidden::is_terminal() {
        bail!("{locked}; name a file that holds it with --passphrase-file, or set {VARIABLE}");
    }
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let wrong = match Passphrase::new(typed("Passphrase (it is not shown): ")?) {
            Err(PassphraseError::Short | PassphraseError::Long) => {
                KeyringError::Passphrase { path: home.dir().to_owned() }
            }
            Ok(passphrase) => match home.clone().with(Some(passphrase.clone())).identity() {
                Ok(_) => return Ok(passphrase),
                Err(wrong @ KeyringError::Passphrase { .. }) => wrong,
                Err(error) => return Err(error.into()),
            },
        };
        if tries == 0 {
            return Err(wrong.into());
        }
        print::say("That is not it; try again.");
    }
}

/// Has a person choose a passphrase, and type it twice.
pub(crate) fn chosen() -> anyhow::Result<Passphrase> {
    if !hidden::is_terminal() {
        bail!("no passphrase was given: name a file that holds it with --passphrase-file, or set {VARIABLE}");
    }
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let refused = match Passphrase::new(typed("New passphrase (it is not shown): ")?) {
            Ok(passphrase) => {
                let again = Passphrase::new(typed("Once more: ")?);
                if again.is_ok_and(|again| again.is(&passphrase)) {
                    return Ok(passphrase);
                }
                "the two differ".to_owned()
            }
            Err(error) => error.to_string(),
        };
        if tries == 0 {
            bail!("no passphrase was chosen: {refused}");
        }
        print::say(&format!("{refused}; try again"));
    }
}

/// A line that a person types unseen.
pub(crate) fn typed(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    match hidden::line(prompt)? {
        Line::Typed(text) => Ok(text),
        Line::Interrupted => bail!("interrupted"),
        Line::End => bail!("the input ended"),
    }
}
