//! Sealed keys on a real file system: protected, unprotected, rotated, and what a crash leaves between two steps.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agent_otp_keyring::{Home, KeyringError, Passphrase, Pin, generate};
use agent_otp_trust::IdentityKey;
use data_encoding::BASE64_NOPAD;
use tempfile::TempDir;

#[test]
fn a_protected_home_opens_with_its_passphrase_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key) = inhabited(&dir);
    let passphrase = passphrase("correct horse");
    assert!(home.protect(&passphrase).unwrap());
    assert!(!home.protect(&passphrase).unwrap(), "it is protected already");
    assert!(home.is_sealed().unwrap());
    assert_eq!(home.public().unwrap(), key.public());
    let path = home.dir().join("identity.key");
    assert_eq!(mode(&path), 0o600);
    assert!(matches!(home.identity(), Err(KeyringError::Locked { path: locked }) if locked == path));
    let with = |text| home.clone().with(Some(self::passphrase(text))).identity();
    assert_eq!(with("correct horse").unwrap().seed(), key.seed());
    assert!(matches!(with("correct mouse"), Err(KeyringError::Passphrase { path: other }) if other == path));
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(with("correct horse"), Err(KeyringError::Loose { mode: 0o640, .. })));
}

#[test]
fn a_key_that_is_not_sealed_opens_with_any_passphrase_and_with_none() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key) = inhabited(&dir);
    for passphrase in [None, Some(passphrase("correct horse"))] {
        assert_eq!(home.clone().with(passphrase).identity().unwrap().seed(), key.seed());
    }
    assert!(!home.unprotect().unwrap());
}

#[test]
fn nothing_of_a_plain_key_is_left_in_a_protected_home() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key) = inhabited(&dir);
    let next = home.next_identity().unwrap();
    // As a crash leaves them that came while a key was written.
    for name in [".unfinished-a", ".unfinished-b"] {
        fs::copy(home.dir().join("identity.key"), home.dir().join(name)).unwrap();
    }
    home.protect(&passphrase("correct horse")).unwrap();
    for file in fs::read_dir(home.dir()).unwrap() {
        let content = String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned();
        for plain in [&key, &next] {
            assert!(!content.contains(&BASE64_NOPAD.encode(plain.seed().as_slice())));
        }
    }
    assert_eq!(names(&home), ["identity.key", "identity.next", "lock", "pin.json"]);
    // Another name for the file of before: what it held was written over.
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = inhabited(&dir);
    let before = dir.path().join("before");
    fs::hard_link(home.dir().join("identity.key"), &before).unwrap();
    home.protect(&passphrase("correct horse")).unwrap();
    assert!(fs::read(before).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn protecting_goes_on_wherever_it_was_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key) = inhabited(&dir);
    let next = home.next_identity().unwrap();
    let (first, second) = (passphrase("correct horse"), passphrase("another one"));
    let plain = fs::read(home.dir().join("identity.next")).unwrap();
    home.protect(&first).unwrap();
    // The second of two keys was not reached.
    fs::write(home.dir().join("identity.next"), plain).unwrap();
    assert!(home.protect(&first).unwrap());
    opens(&home, &first, &key, &next);
    // A change that reached the first key alone.
    let unreached = fs::read(home.dir().join("identity.next")).unwrap();
    let home = home.with(Some(first.clone()));
    home.protect(&second).unwrap();
    fs::write(home.dir().join("identity.next"), unreached).unwrap();
    assert!(home.protect(&second).unwrap());
    opens(&home, &second, &key, &next);
    // One that reached neither, by whoever knows neither.
    let stranger = home.clone().with(Some(passphrase("not the one")));
    assert!(matches!(stranger.protect(&first), Err(KeyringError::Passphrase { .. })));
    assert!(matches!(stranger.unprotect(), Err(KeyringError::Passphrase { .. })));
    opens(&home, &second, &key, &next);
    home.with(Some(second.clone())).unprotect().unwrap();
    opens(&Home::at(dir.path().join("shopper")), &second, &key, &next);
}

#[test]
fn a_home_with_a_passphrase_seals_what_it_makes() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("shopper")).with(Some(passphrase("correct horse")));
    let key = generate().unwrap();
    home.create(&key, &pin()).unwrap();
    assert!(home.is_sealed().unwrap());
    let next = home.next_identity().unwrap();
    assert_eq!(home.next_public().unwrap(), Some(next.public()));
    assert!(matches!(Home::at(home.dir()).next_identity(), Err(KeyringError::Locked { .. })));
    home.promote().unwrap();
    assert_eq!(home.identity().unwrap().seed(), next.seed());
    assert_eq!(home.next_public().unwrap(), None);
}

#[test]
fn a_rotation_that_was_begun_goes_on_with_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key) = inhabited(&dir);
    assert_eq!(home.next_public().unwrap(), None);
    let next = home.next_identity().unwrap();
    assert_eq!(home.next_identity().unwrap().seed(), next.seed());
    assert_eq!(home.identity().unwrap().seed(), key.seed(), "the present one is in its place till then");
    home.promote().unwrap();
    assert_eq!(home.identity().unwrap().seed(), next.seed());
    assert!(matches!(home.promote(), Err(KeyringError::Unwritable { .. })));
    assert_eq!(home.identity().unwrap().seed(), next.seed());
}

#[test]
fn a_home_that_was_lost_is_prepared_again_and_a_pin_that_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("shopper"));
    home.prepare(&pin()).unwrap();
    assert!(!home.exists());
    let other = Pin { owner_key: generate().unwrap().id(), roster: None };
    home.prepare(&other).unwrap();
    assert_eq!(home.pin().unwrap(), pin());
    let next = home.next_identity().unwrap();
    home.promote().unwrap();
    assert_eq!(home.identity().unwrap().seed(), next.seed());
}

#[test]
fn what_goes_wrong_with_a_sealed_key_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = inhabited(&dir);
    let passphrase = passphrase("correct horse");
    home.protect(&passphrase).unwrap();
    let path = home.dir().join("identity.key");
    let whole = fs::read_to_string(&path).unwrap();
    let home = home.with(Some(passphrase));
    let told = |content: &str| {
        fs::write(&path, content).unwrap();
        let error = home.identity().unwrap_err();
        error.to_string().replace(&path.display().to_string(), "KEY")
    };
    insta::assert_snapshot!(told(&whole.replacen("argon2id", "argon2ix", 1)), @"KEY is damaged: restore it from a copy");
    insta::assert_snapshot!(told(whole.get(..100).unwrap()), @"KEY is damaged: restore it from a copy");
    insta::assert_snapshot!(told(&whole.replacen("v1", "v2", 1)), @"KEY holds no identity key of this version: restore it, or enrol anew");
    let (body, _) = whole.rsplit_once(' ').unwrap();
    let greedy = resummed(&body.replacen("m=65536", "m=16777216", 1));
    insta::assert_snapshot!(told(&greedy), @"KEY cannot be derived at the cost that it names (argon2id, 16777216 KiB, 3 passes, 4 lanes)");
    let weak = resummed(&body.replacen("t=3", "t=1", 1));
    insta::assert_snapshot!(told(&weak), @"KEY cannot be derived at the cost that it names (argon2id, 65536 KiB, 1 passes, 4 lanes)");
    let careful = resummed(&body.replacen("t=3", "t=4", 1));
    insta::assert_snapshot!(told(&careful), @"the passphrase is not the one of KEY");
    fs::write(&path, &whole).unwrap();
    home.identity().unwrap();
}

fn inhabited(dir: &TempDir) -> (Home, IdentityKey) {
    let home = Home::at(dir.path().join("shopper"));
    let key = generate().unwrap();
    home.create(&key, &pin()).unwrap();
    (home, key)
}

fn opens(home: &Home, passphrase: &Passphrase, key: &IdentityKey, next: &IdentityKey) {
    let home = home.clone().with(Some(passphrase.clone()));
    assert_eq!(home.identity().unwrap().seed(), key.seed());
    assert_eq!(home.next_identity().unwrap().seed(), next.seed());
}

fn pin() -> Pin {
    Pin { owner_key: IdentityKey::from_seed(&[1; 32].into()).id(), roster: None }
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned().into()).unwrap()
}

/// A line whose sum is right again.
fn resummed(body: &str) -> String {
    let digest = agent_otp_domain::Digest::of(&[body.as_bytes()]);
    format!("{body} {}\n", BASE64_NOPAD.encode(digest.as_bytes().get(..8).unwrap()))
}

fn names(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.dir()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
