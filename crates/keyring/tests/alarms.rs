//! A member's alarms on a real file system.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use agent_otp_domain::Alarm;
use agent_otp_keyring::{Home, private};
use tempfile::TempDir;

#[test]
fn an_alarm_is_kept_once_and_outlives_its_program() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(&dir);
    assert_eq!(home.alarms().unwrap(), []);
    assert!(home.raise(&alarm("one", "12:00")).unwrap());
    assert!(home.raise(&alarm("another", "12:01")).unwrap());
    assert!(!home.raise(&alarm("one", "12:02")).unwrap());
    assert_eq!(Home::at(home.dir()).alarms().unwrap(), [alarm("one", "12:00"), alarm("another", "12:01")]);
    let mode = fs::metadata(home.dir().join("alarms.jsonl")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_line_that_a_crash_left_half_written_is_an_alarm_and_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(&dir);
    home.raise(&alarm("one", "12:00")).unwrap();
    let path = home.dir().join("alarms.jsonl");
    fs::write(&path, [&fs::read(&path).unwrap()[..], b"\n{\"noticed_by\":\"ag"].concat()).unwrap();
    home.raise(&alarm("another", "12:01")).unwrap();
    let found: Vec<String> = home.alarms().unwrap().into_iter().map(|alarm| alarm.what).collect();
    assert_eq!(
        found,
        ["one".to_owned(), format!("a line of {} cannot be read", path.display()), "another".to_owned()]
    );
}

#[test]
fn whoever_lies_anew_each_time_fills_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(&dir);
    for number in 0..250 {
        home.raise(&alarm(&format!("lie {number}"), "12:00")).unwrap();
    }
    let kept = home.alarms().unwrap();
    assert_eq!((kept.len(), &*kept[199].what), (200, "lie 199"));
}

fn home(dir: &TempDir) -> Home {
    let home = Home::at(dir.path().join("home"));
    private::make_dir(home.dir()).unwrap();
    home
}

fn alarm(what: &str, noticed_at: &str) -> Alarm {
    Alarm {
        noticed_by: "agent:shopper".to_owned(),
        position: None,
        request: None,
        what: what.to_owned(),
        noticed_at: Some(noticed_at.to_owned()),
    }
}
