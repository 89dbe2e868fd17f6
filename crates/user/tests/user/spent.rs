//! The records of what was acted on: on the disk before anything is sent, and without the sealed code after the end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_otp_domain::{Digest, SealedCode, SignedStatement};
use agent_otp_user::{Offer, Record, SpendError, Spent};
use tempfile::TempDir;

use crate::given::{MS, TTL, at, capturer, key};

/// How long a record outlives its decision.
const KEPT_AFTER: Duration = Duration::from_mins(12);

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let (_home, dir) = dir();
    let spent = Spent::open(&dir).unwrap();
    assert_eq!((spent.decisions().len(), spent.standing().len()), (0, 0));
    spent.write(record(1)).unwrap();
    drop(spent);

    let spent = Spent::open(&dir).unwrap();
    assert_eq!(spent.decisions(), [decision(1)]);
    assert_eq!(spent.standing(), [key(1)]);
    let offers = spent.offers();
    let [(of, offer)] = &offers[..] else { panic!("{offers:?}") };
    assert_eq!((*of, &offer.statement, &offer.sealed.0), (decision(1), &statement(1), &sealed(1)));
}

#[test]
fn of_two_programs_of_one_home_one_acts_on_a_decision_and_the_other_learns_of_it() {
    let (_home, dir) = dir();
    let (one, other) = (Spent::open(&dir).unwrap(), Spent::open(&dir).unwrap());
    one.write(record(1)).unwrap();
    let whole = fs::read(&files(&dir)[0]).unwrap();
    assert!(matches!(other.write(record(1)), Err(SpendError::Twice)));
    assert_eq!(fs::read(&files(&dir)[0]).unwrap(), whole, "the first one's record stays as it is");

    assert!(!other.holds(&decision(1)));
    assert_eq!(other.offer(&decision(1)).unwrap().unwrap().sealed.0, sealed(1));
    assert!(other.holds(&decision(1)));
    assert_eq!(other.standing(), [key(1)]);
    other.end(&decision(1)).unwrap();
    assert_eq!(holding(&dir, &sealed(1)), 0);
}

#[test]
fn a_record_that_stands_under_another_name_spends_the_decision_of_that_name_and_offers_nothing() {
    let (_home, dir) = dir();
    Spent::open(&dir).unwrap().write(record(1)).unwrap();
    fs::rename(&files(&dir)[0], dir.join(format!("{}.spent", decision(2)))).unwrap();
    let spent = Spent::open(&dir).unwrap();
    assert_eq!((spent.decisions(), spent.offers().len()), (vec![decision(2)], 0));
}

#[test]
fn nobody_else_can_read_a_record() {
    let (_home, dir) = dir();
    Spent::open(&dir).unwrap().write(record(1)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(files(&dir).iter().map(|path| mode(path)).collect::<Vec<_>>(), [0o600]);
}

#[test]
fn the_end_of_a_request_takes_the_sealed_code_off_the_disk_and_leaves_the_decision_spent() {
    let (_home, dir) = dir();
    let spent = Spent::open(&dir).unwrap();
    spent.write(record(1)).unwrap();
    spent.write(record(2)).unwrap();
    assert_eq!((holding(&dir, &sealed(1)), holding(&dir, &sealed(2))), (1, 1));

    spent.end(&decision(1)).unwrap();
    assert_eq!((holding(&dir, &sealed(1)), holding(&dir, &sealed(2))), (0, 1));
    for spent in [spent, Spent::open(&dir).unwrap()] {
        assert_eq!(spent.decisions().len(), 2);
        assert_eq!(spent.standing(), [key(2)]);
        assert_eq!(
            spent.offers().into_iter().map(|(decision, _)| decision).collect::<Vec<_>>(),
            [decision(2)]
        );
    }
}

#[test]
fn the_message_that_was_answered_with_is_known_after_a_restart_and_after_the_end() {
    let (_home, dir) = dir();
    let name = Digest::of(&[b"<1@acme.example>"]);
    let spent = Spent::open(&dir).unwrap();
    spent.write(record(1).answered_by(Some(name))).unwrap();
    spent.write(record(2)).unwrap();
    spent.end(&decision(1)).unwrap();
    assert_eq!((spent.messages(), Spent::open(&dir).unwrap().messages()), (vec![name], vec![name]));
}

#[test]
fn a_record_is_deleted_twelve_minutes_after_its_decision_lapsed_and_not_before() {
    let (_home, dir) = dir();
    let spent = Spent::open(&dir).unwrap();
    spent.write(record(1)).unwrap();
    let past = at(TTL).after(KEPT_AFTER);
    spent.forget(past.before(MS)).unwrap();
    assert_eq!((spent.decisions().len(), files(&dir).len()), (1, 1));
    spent.forget(past).unwrap();
    assert_eq!((spent.decisions().len(), files(&dir).len()), (0, 0));
}

#[test]
fn a_damaged_record_keeps_its_decision_spent_and_hinders_no_other() {
    let (_home, dir) = dir();
    let spent = Spent::open(&dir).unwrap();
    for number in [1, 2] {
        spent.write(record(number)).unwrap();
    }
    let path = dir.join(format!("{}.spent", decision(1)));
    let whole = fs::read(&path).unwrap();
    for damage in [Vec::new(), whole[..whole.len() / 2].to_vec(), vec![0xc1; 80]] {
        fs::write(&path, damage).unwrap();
        let spent = Spent::open(&dir).unwrap();
        assert!(
            [1, 2]
                .map(decision)
                .iter()
                .all(|known| spent.decisions().into_iter().any(|found| found == *known))
        );
        assert_eq!(spent.standing(), [key(2)]);
    }
}

#[test]
fn the_debug_of_a_record_is_without_the_sealed_bytes() {
    let shown = format!("{:?}", record(1));
    assert!(shown.contains("SealedCode(301 bytes)") && !shown.contains("171"), "{shown}");
}

/// A directory to be made, in one that is deleted in the end.
fn dir() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("spent");
    (home, dir)
}

fn record(number: u8) -> Record {
    Record::new(decision(number), &key(number), at(TTL), Offer::new(statement(number), sealed(number)))
}

fn decision(number: u8) -> Digest {
    Digest::of(&[b"decision", &[number]])
}

fn statement(number: u8) -> SignedStatement {
    SignedStatement {
        payload_type: "application/vnd.agent-otp.capture.v1+msgpack".to_owned(),
        payload: vec![number; 40],
        key: capturer(),
        signature: [number; 64],
    }
}

fn sealed(number: u8) -> SealedCode {
    SealedCode::new([vec![number], vec![171; 300]].concat())
}

/// The files of a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// How many files hold these bytes.
fn holding(dir: &Path, sealed: &SealedCode) -> usize {
    let bytes = sealed.as_bytes();
    let holds = |path: &&PathBuf| fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
    files(dir).iter().filter(holds).count()
}
