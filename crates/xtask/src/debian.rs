//! What the tests need of Debian: found where it is installed, or installed, or unpacked into the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::target;

/// Every package that a test needs, with a file of it by which it is found; `*` stands for any one directory.
const PACKAGES: [(&str, &str); 6] = [
    ("libfaketime", "usr/lib/*/faketime/libfaketimeMT.so.1"),
    ("openssl", "usr/bin/openssl"),
    ("dovecot-imapd", "usr/lib/dovecot/imap"),
    ("dovecot-lmtpd", "usr/lib/dovecot/lmtp"),
    ("swaks", "usr/bin/swaks"),
    ("libnet-ssleay-perl", "usr/lib/*/perl5/*/Net/SSLeay.pm"),
];
/// Of these, what is unpacked does not run: its programs look for each other where Debian puts them.
const INSTALLED: [&str; 5] = ["openssl", "dovecot-imapd", "dovecot-lmtpd", "swaks", "libnet-ssleay-perl"];
/// Where packages are unpacked, below the target directory. The stories look there too.
const UNPACKED: &str = "debian";

/// Makes sure that every package is there.
pub(crate) fn ensure(say: &mut dyn FnMut(&str)) -> Result<()> {
    let unpacked = target()?.join(UNPACKED);
    let is_there = |name: &str, file: &str| {
        is_below(Path::new("/"), file) || (!INSTALLED.contains(&name) && is_below(&unpacked, file))
    };
    let missing: Vec<(&str, &str)> =
        PACKAGES.into_iter().filter(|(name, file)| !is_there(name, file)).collect();
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let by_hand = format!("type: sudo apt-get install {}", names.join(" "));
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && names.iter().any(|name| INSTALLED.contains(name)) {
        bail!("the tests need packages of Debian that only root can install; {by_hand}");
    }
    say(&format!("installing of Debian: {}", names.join(" ")));
    let got =
        if is_root { install(&names) } else { names.iter().try_for_each(|name| unpack(name, &unpacked)) };
    got.with_context(|| format!("packages are missing; {by_hand}"))?;
    match missing.iter().find(|(name, file)| !is_there(name, file)) {
        Some((name, file)) => bail!("{name} is installed, but holds no {file}"),
        None => Ok(()),
    }
}

/// As root: for the whole machine. A fresh container knows no packages before the first update.
fn install(names: &[&str]) -> Result<()> {
    let install = || {
        let arguments = ["install", "--yes", "--no-install-recommends"];
        apt_get(&[&arguments[..], names].concat(), Path::new("/"))
    };
    install().or_else(|_| {
        apt_get(&["update"], Path::new("/"))?;
        install()
    })
}

/// Without root: into the target directory. What the package needs in turn is not fetched.
fn unpack(name: &str, into: &Path) -> Result<()> {
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    apt_get(&["download", name], into)?;
    let is_package = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        file.starts_with(&format!("{name}_")) && path.extension().is_some_and(|extension| extension == "deb")
    };
    let package = entries(into).into_iter().find(is_package);
    let package = package.with_context(|| format!("apt-get left no package in {}", into.display()))?;
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(into))
}

fn apt_get(arguments: &[&str], directory: &Path) -> Result<()> {
    run(Command::new("apt-get")
        .args(arguments)
        .current_dir(directory)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

fn run(command: &mut Command) -> Result<()> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| format!("cannot run {line}"))?;
    if !output.status.success() {
        bail!("{line} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Whether there is such a file.
fn is_below(root: &Path, file: &str) -> bool {
    match file.split_once("/*/") {
        Some((directory, rest)) => entries(&root.join(directory)).iter().any(|entry| is_below(entry, rest)),
        None => root.join(file).exists(),
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_one_directory() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(is_below(root, "src/main.rs"));
        assert!(is_below(root.ancestors().nth(2).unwrap(), "crates/*/src/lib.rs"));
        assert!(!is_below(root, "src/*/main.rs"));
    }
}
