//! A member's home on a real file system.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agent_otp_domain::Digest;
use agent_otp_keyring::{Home, KeyringError, Pin, generate};
use agent_otp_trust::{IdentityKey, Seen};
use tempfile::TempDir;

#[test]
fn a_member_is_the_same_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key, pin) = inhabited(&dir);
    assert_eq!(home.identity().unwrap().seed(), key.seed());
    assert_eq!(home.pin().unwrap(), pin);
    assert_eq!(Home::at(home.dir()).identity().unwrap().id(), key.id());
}

#[test]
fn only_the_user_can_get_at_a_members_home() {
    let dir = tempfile::tempdir().unwrap();
    let (home, ..) = inhabited(&dir);
    assert_eq!(mode(home.dir()), 0o700);
    let mut names: Vec<_> = fs::read_dir(home.dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .inspect(|path| assert_eq!(mode(path), 0o600, "{}", path.display()))
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["identity.key", "lock", "pin.json"], "nothing half written is left behind");
}

#[test]
fn nobody_lives_in_a_home_before_it_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("members/shopper"));
    assert!(!home.exists());
    assert!(matches!(home.identity(), Err(KeyringError::Unreadable { .. })));
    home.create(&key(1), &pin()).unwrap();
    assert!(home.exists());
}

#[test]
fn a_key_is_never_overwritten_and_neither_is_its_pin() {
    let dir = tempfile::tempdir().unwrap();
    let (home, first, first_pin) = inhabited(&dir);
    let another = Pin { owner_key: key(9).id(), roster: None };
    assert!(matches!(home.create(&key(9), &another), Err(KeyringError::Exists { .. })));
    assert_eq!(home.identity().unwrap().id(), first.id());
    assert_eq!(home.pin().unwrap(), first_pin);

    fs::write(home.dir().join("identity.key"), "half a k").unwrap();
    assert!(matches!(home.create(&key(9), &another), Err(KeyringError::Exists { .. })));
}

#[test]
fn a_creation_that_crashed_before_the_key_was_there_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key, pin) = inhabited(&dir);
    fs::remove_file(home.dir().join("identity.key")).unwrap();
    home.create(&key, &pin).unwrap();
    assert_eq!(home.identity().unwrap().id(), key.id());
}

#[test]
fn a_file_that_others_can_get_at_is_refused_with_the_command_to_type() {
    let dir = tempfile::tempdir().unwrap();
    let (home, ..) = inhabited(&dir);
    for name in ["identity.key", "pin.json"] {
        let path = home.dir().join(name);
        for loose in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o777] {
            fs::set_permissions(&path, Permissions::from_mode(loose)).unwrap();
            let error = read(&home, name).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("(mode {loose:04o}): type chmod 600 {}", path.display())),
                "{error}"
            );
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        read(&home, name).unwrap();
    }
}

#[test]
fn a_directory_that_others_can_enter_is_no_home() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o750)).unwrap();
    let home = Home::at(dir.path());
    let error = home.create(&key(1), &pin()).unwrap_err().to_string();
    assert!(error.ends_with(&format!("(mode 0750): type chmod 700 {}", dir.path().display())), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_cut_anywhere_is_malformed_and_its_content_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (home, ..) = inhabited(&dir);
    for name in ["identity.key", "pin.json"] {
        let path = home.dir().join(name);
        let whole = fs::read_to_string(&path).unwrap();
        for length in 0..whole.trim_end().len() {
            let (cut, _) = whole.split_at(length);
            fs::write(&path, cut).unwrap();
            is_malformed(&read(&home, name), &path, cut);
        }
        fs::write(&path, &whole).unwrap();
        read(&home, name).unwrap();
    }
}

#[test]
fn garbage_is_malformed_and_its_content_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (home, key, pin) = inhabited(&dir);
    let digest = "0".repeat(64);
    let table = [
        "hunter2 hunter2".to_owned(),
        "x".repeat(100_000),
        r#"{"owner_key": "hunter2", "roster": null}"#.to_owned(),
        format!(r#"{{"owner_key": "{}", "roster": null, "hunter2": 1}}"#, key.id()),
        format!(r#"{{"owner_key": "{}", "roster": {{"number": -1, "digest": "{digest}"}}}}"#, pin.owner_key),
        format!(r#"{{"owner_key": "{}", "roster": {{"number": 1, "digest": "hunter2"}}}}"#, pin.owner_key),
    ];
    for name in ["identity.key", "pin.json"] {
        let path = home.dir().join(name);
        for garbage in &table {
            fs::write(&path, garbage).unwrap();
            is_malformed(&read(&home, name), &path, "hunter2");
        }
        fs::write(&path, [0xff; 66]).unwrap();
        is_malformed(&read(&home, name), &path, "hunter2");
    }
}

#[test]
fn what_is_remembered_never_goes_backwards() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _, pin) = inhabited(&dir);
    assert_eq!(pin.roster, None);
    for (offered, kept) in [(1, 1), (3, 3), (2, 3), (3, 3), (1, 3), (7, 7)] {
        home.remember(seen(offered)).unwrap();
        assert_eq!(home.pin().unwrap(), Pin { roster: Some(seen(kept)), ..pin.clone() });
    }
}

#[test]
fn another_roster_of_the_number_that_is_remembered_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (home, ..) = inhabited(&dir);
    home.remember(seen(3)).unwrap();
    let forked = Seen { digest: Digest::of(&[b"another"]), ..seen(3) };
    assert!(matches!(home.remember(forked), Err(KeyringError::Forked { number: 3, .. })));
    assert_eq!(home.pin().unwrap().roster, Some(seen(3)));
}

#[test]
fn of_what_many_programs_saw_at_once_the_highest_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (home, ..) = inhabited(&dir);
    std::thread::scope(|scope| {
        for number in 1..=32 {
            let home = &home;
            scope.spawn(move || home.remember(seen(number)).unwrap());
        }
    });
    assert_eq!(home.pin().unwrap().roster, Some(seen(32)));
}

#[test]
fn a_pin_is_written_for_people_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let (home, ..) = inhabited(&dir);
    home.remember(seen(3)).unwrap();
    insta::assert_snapshot!(fs::read_to_string(home.dir().join("pin.json")).unwrap(), @r#"
    {
      "owner_key": "m3qxx72p7nh6f64m3dc7sv3nsk4l7jaa",
      "roster": {
        "number": 3,
        "digest": "d5688a52d55a02ec4aea5ec1eadfffe1c9e0ee6a4ddbe2377f98326d42dfc975"
      }
    }
    "#);
}

#[test]
fn debug_shows_nothing_of_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let (home, ..) = inhabited(&dir);
    let seed = fs::read_to_string(home.dir().join("identity.key")).unwrap().split_off(22);
    let shown = format!("{home:?} {:?} {:?}", home.identity().unwrap(), home.pin().unwrap());
    assert!(!shown.contains(seed.trim_end()), "{shown}");
    let error = home.create(&key(9), &pin()).unwrap_err();
    assert!(!format!("{error:?} {error}").contains(seed.trim_end()));
}

fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&[seed; 32].into())
}

fn pin() -> Pin {
    Pin { owner_key: key(1).id(), roster: None }
}

fn seen(number: u64) -> Seen {
    Seen { number, digest: Digest::of(&[&number.to_be_bytes()]), succession: None }
}

/// A home with a fresh key in it.
fn inhabited(dir: &TempDir) -> (Home, IdentityKey, Pin) {
    let home = Home::at(dir.path().join("shopper"));
    let key = generate().unwrap();
    home.create(&key, &pin()).unwrap();
    (home, key, pin())
}

fn read(home: &Home, name: &str) -> Result<(), KeyringError> {
    if name == "pin.json" { home.pin().map(|_| ()) } else { home.identity().map(|_| ()) }
}

fn is_malformed(result: &Result<(), KeyringError>, path: &Path, content: &str) {
    let Err(error @ KeyringError::Malformed { .. }) = result else {
        unreachable!("{} was read: {result:?}", path.display());
    };
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(&path.display().to_string()), "{shown}");
    assert!(content.len() < 8 || !shown.contains(content), "{shown}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
