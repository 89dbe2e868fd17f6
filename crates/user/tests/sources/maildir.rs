//! A Maildir, and what programs do with one beside delivering.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use agent_otp_jetstream::clock;
use agent_otp_user::source::SourceError;
use agent_otp_user::source::config;
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::contract::contains;
use crate::running::Running;
use crate::swaks::mail;

#[tokio::test]
async fn a_mail_comes_once_though_a_mail_program_moves_and_marks_it() {
    let maildir = maildir();
    let mut source = Running::configured(&table(maildir.path())).await;
    let name = deliver(maildir.path(), 1, "482913");
    assert!(contains(&source.message().await, "482913"));
    fs::rename(maildir.path().join("new").join(&name), maildir.path().join(format!("cur/{name}:2,")))
        .unwrap();
    fs::rename(maildir.path().join(format!("cur/{name}:2,")), maildir.path().join(format!("cur/{name}:2,S")))
        .unwrap();
    deliver(maildir.path(), 2, "550127");
    assert!(contains(&source.message().await, "550127"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_file_that_is_written_in_its_place_is_read_when_it_is_whole() {
    let maildir = maildir();
    let mut source = Running::configured(&table(maildir.path())).await;
    let text = mail("482913");
    let (head, tail) = text.split_at(text.find("Ihr Code").unwrap());
    let mut file = File::create(maildir.path().join("new").join(named(1))).unwrap();
    file.write_all(head.as_bytes()).unwrap();
    deliver(maildir.path(), 2, "550127");
    // The part may be read, too; it says nothing.
    let mut message = source.message().await;
    if !contains(&message, "[0-9]{6}") {
        message = source.message().await;
    }
    assert!(contains(&message, "550127"));
    file.write_all(tail.as_bytes()).unwrap();
    drop(file);
    let mut message = source.message().await;
    if !contains(&message, "[0-9]{6}") {
        message = source.message().await;
    }
    assert!(contains(&message, "482913"));
    source.stop().await;
}

#[tokio::test]
async fn a_maildir_that_is_replaced_is_watched_at_its_place() {
    let maildir = maildir();
    let path = maildir.path().join("mail");
    make(&path);
    let mut source = Running::configured(&table(&path)).await;
    deliver(&path, 1, "482913");
    assert!(contains(&source.message().await, "482913"));
    fs::rename(&path, maildir.path().join("moved")).unwrap();
    make(&path);
    deliver(&path, 2, "550127");
    assert!(contains(&source.message().await, "550127"));
    deliver(&path, 3, "771204");
    assert!(contains(&source.message().await, "771204"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_flood_is_taken_whole_as_far_as_it_may_answer() {
    let maildir = maildir();
    for number in 0..200 {
        deliver(maildir.path(), number, &format!("{}", 100_000 + number));
    }
    let old = clock::now().before(Duration::from_mins(20)).as_unix_ms() / 1_000;
    fs::write(maildir.path().join(format!("new/{old}.M1P1.host")), mail("482913")).unwrap();
    let mut source = Running::configured(&table(maildir.path())).await;
    let mut missing: BTreeSet<String> = (100_000..100_200).map(|code| code.to_string()).collect();
    for _ in 0..200 {
        let message = source.message().await;
        let code = missing.iter().find(|code| contains(&message, code)).cloned();
        assert!(missing.remove(&code.expect("a code, and each once")));
    }
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn what_is_no_maildir_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let configured = config::parse(Path::new("sources.toml"), table(dir.path()).as_bytes()).unwrap();
    let Err(error) = configured[0].open().await else { panic!("it is no Maildir") };
    assert!(matches!(error, SourceError::NoMaildir { .. }), "{error}");
}

#[tokio::test]
async fn a_maildir_that_may_not_be_read_is_told_as_that() {
    let maildir = maildir();
    let new = maildir.path().join("new");
    fs::set_permissions(&new, Permissions::from_mode(0o000)).unwrap();
    let configured = config::parse(Path::new("sources.toml"), table(maildir.path()).as_bytes()).unwrap();
    let opened = configured[0].open().await;
    fs::set_permissions(&new, Permissions::from_mode(0o700)).unwrap();
    // Nothing is kept from root.
    if geteuid().is_root() {
        return;
    }
    let Err(error) = opened else { panic!("it may not be read") };
    let said = format!("{} may not be read by this user; give it the permissions r and x", new.display());
    assert_eq!(error.to_string(), said);
}

fn maildir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    dir
}

fn make(path: &Path) {
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(path.join(folder)).unwrap();
    }
}

fn table(path: &Path) -> String {
    format!("[[maildir]]\nname = \"mine\"\npath = \"{}\"\n", path.display())
}

fn named(number: u32) -> String {
    format!("{}.M{number}P1.host", clock::now().as_unix_ms() / 1_000)
}

/// Delivers as every mail server does: written in `tmp`, moved to `new`.
fn deliver(maildir: &Path, number: u32, code: &str) -> String {
    let name = named(number);
    fs::write(maildir.join("tmp").join(&name), mail(code)).unwrap();
    fs::rename(maildir.join("tmp").join(&name), maildir.join("new").join(&name)).unwrap();
    name
}
