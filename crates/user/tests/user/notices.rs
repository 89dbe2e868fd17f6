//! The notices: kept in one file, as long as they matter.

use std::fs;

use agent_otp_user::{Notice, Notices};

use crate::given::{MS, at, key};

#[test]
fn a_notice_is_kept_until_it_matters_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notices.json");
    let mut notices = Notices::open(&path);
    let (one, other) = (key(1).request, key(2).request);
    assert_eq!(notices.about(one), None);
    notices.tell(one, notice("two codes", 60), at(0));
    notices.tell(other, notice("clocks", 90), at(60).before(MS));
    let reread = Notices::open(&path);
    assert_eq!(reread.about(one), Some(&notice("two codes", 60)));
    assert_eq!(reread.about(other), Some(&notice("clocks", 90)));

    notices.tell(other, notice("clocks", 120), at(60));
    for notices in [notices, Notices::open(&path)] {
        assert_eq!(notices.about(one), None);
        assert_eq!(notices.about(other), Some(&notice("clocks", 120)));
    }
}

#[test]
fn only_what_outlasts_its_request_is_told_of_one_that_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut notices = Notices::open(dir.path().join("notices.json"));
    let newer = notice("a newer code", 60).outlasting();
    notices.tell(key(1).request, notice("two codes", 60), at(0));
    notices.tell(key(2).request, newer.clone(), at(0));
    let told: Vec<_> = notices.outlasting(at(60).before(MS)).collect();
    assert_eq!(told, [(key(2).request, &newer)]);
    assert_eq!(notices.outlasting(at(60)).count(), 0);
}

#[test]
fn a_file_that_cannot_be_read_is_no_notice_and_is_replaced_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notices.json");
    fs::write(&path, "{").unwrap();
    let mut notices = Notices::open(&path);
    let request = key(1).request;
    assert_eq!(notices.about(request), None);
    notices.tell(request, notice("two codes", 60), at(0));
    assert_eq!(Notices::open(&path).about(request), Some(&notice("two codes", 60)));
}

#[test]
fn a_notice_that_cannot_be_kept_is_still_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut notices = Notices::open(dir.path().join("missing/notices.json"));
    notices.tell(key(1).request, notice("two codes", 60), at(0));
    assert!(notices.about(key(1).request).is_some());
}

fn notice(text: &str, seconds: i64) -> Notice {
    Notice { until: at(seconds), ..Notice::new(text, at(0)) }
}
