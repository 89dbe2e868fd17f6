//! Files that a member keeps: its key, what it pinned, and what a capturer has acted on.

use std::cell::LazyCell;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use agent_otp_domain::Digest;
use agent_otp_keyring::{Home, Pin};
use agent_otp_user::Spent;
use data_encoding::BASE64_NOPAD;
use tempfile::TempDir;

thread_local! {
    static DIR: LazyCell<TempDir> = LazyCell::new(|| {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        dir
    });
}

/// A key has one writing, a pin reads back, and a decision that has a file is spent, whatever is in the file.
///
/// The first byte says which file it is.
pub fn kept_files(bytes: &[u8]) {
    let Some((which, content)) = bytes.split_first() else { return };
    DIR.with(|dir| match which % 3 {
        0 => identity(dir.path(), content),
        1 => pin(dir.path(), content),
        _ => spent(dir.path(), content),
    });
}

fn identity(dir: &Path, content: &[u8]) {
    write(&dir.join("identity.key"), content);
    let Ok(key) = Home::at(dir).identity() else { return };
    let line = format!("agent-otp-identity-v1 {}", BASE64_NOPAD.encode(key.seed().as_slice()));
    assert_eq!(content.strip_suffix(b"\n").unwrap_or(content), line.as_bytes());
}

fn pin(dir: &Path, content: &[u8]) {
    write(&dir.join("pin.json"), content);
    let Ok(pin) = Home::at(dir).pin() else { return };
    let again: Pin = serde_json::from_str(&serde_json::to_string(&pin).unwrap()).unwrap();
    assert_eq!(again, pin);
    if let Some(seen) = pin.roster {
        Home::at(dir).remember(seen).expect("what is remembered can be seen again");
        assert_eq!(Home::at(dir).pin().unwrap(), pin);
    }
}

fn spent(dir: &Path, content: &[u8]) {
    let decision = Digest::of(&[b"decision"]);
    let dir = dir.join("spent");
    agent_otp_keyring::private::make_dir(&dir).unwrap();
    write(&dir.join(format!("{decision}.spent")), content);
    let spent = Spent::open(&dir).expect("a damaged record is passed over");
    assert!(spent.holds(&decision), "a decision that has a record is spent");
    assert_eq!(spent.decisions(), [decision]);
    spent.end(&decision).unwrap();
    assert_eq!(spent.offers().len(), 0);
    assert!(Spent::open(&dir).unwrap().holds(&decision));
}

/// Only its user can read it.
fn write(path: &Path, content: &[u8]) {
    let mut file =
        fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(content).unwrap();
}
