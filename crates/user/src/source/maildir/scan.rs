//! What is new in a Maildir: by the unique part of its name, which stays the same as it is moved and marked.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use agent_otp_domain::Timestamp;
use zeroize::Zeroizing;

use crate::desk::{KEPT_FOR, KEPT_MAX};
use crate::source::smtp::MAIL_MAX;

/// Where mail is, before and after a mail program has seen it. In this order, because it goes from the one to the other.
const FOLDERS: [&str; 2] = ["new", "cur"];

/// The unique names of the mails that were there before.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeSet<String>);

/// A mail that was not there before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) path: PathBuf,
    /// The unique part of its name.
    pub(super) name: String,
    /// When it was received, by this machine's clock.
    pub(super) received_at: Timestamp,
    pub(super) octets: u64,
}

impl Seen {
    /// Takes these mails for new.
    pub(super) fn forget(&mut self, names: &[String]) {
        for name in names {
            self.0.remove(unique(name));
        }
    }
}

/// The mails that are new and not too old to answer, the oldest first.
pub(super) fn new(maildir: &Path, seen: &mut Seen, now: Timestamp) -> io::Result<Vec<Delivered>> {
    let (mut there, mut new) = (BTreeSet::new(), Vec::new());
    for folder in FOLDERS {
        for entry in fs::read_dir(maildir.join(folder))? {
            let entry = entry?;
            let file = entry.file_name();
            let file = file.to_string_lossy();
            let name = unique(&file);
            if file.starts_with('.')
                || named_at(name).is_some_and(|at| is_old(at, now))
                || there.contains(name)
            {
                continue;
            }
            if !seen.0.contains(name) {
                // Moved meanwhile, or not written yet: it is found again.
                let Some(delivered) = delivered(&entry, name, now) else { continue };
                if !is_old(delivered.received_at, now) {
                    new.push(delivered);
                }
            }
            there.insert(name.to_owned());
        }
    }
    seen.0 = there;
    new.sort_by_key(|delivered| delivered.received_at);
    let too_many = new.len().saturating_sub(KEPT_MAX);
    Ok(new.split_off(too_many))
}

/// The mail that was written last; nothing if there is none, or a large one.
pub(super) fn newest(maildir: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let entries = FOLDERS.iter().filter_map(|folder| fs::read_dir(maildir.join(folder)).ok()).flatten();
    let written = |entry: DirEntry| {
        let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
        Some((metadata.modified().ok()?, metadata.len(), entry.path()))
    };
    let (_, octets, path) = entries.filter_map(|entry| written(entry.ok()?)).max()?;
    if octets > MAIL_MAX as u64 { None } else { fs::read(path).ok().map(Zeroizing::new) }
}

fn delivered(entry: &DirEntry, name: &str, now: Timestamp) -> Option<Delivered> {
    let metadata = entry.metadata().ok()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return None;
    }
    let written_at = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let written_at = Timestamp::from_unix_ms(written_at.as_millis().try_into().unwrap_or(i64::MAX));
    let received_at = named_at(name).map_or(written_at, |named_at| written_at.min(named_at)).min(now);
    Some(Delivered { path: entry.path(), name: name.to_owned(), received_at, octets: metadata.len() })
}

fn is_old(received_at: Timestamp, now: Timestamp) -> bool {
    now.since(received_at) >= KEPT_FOR
}

/// The part of a name before its flags.
fn unique(file: &str) -> &str {
    file.split_once(':').map_or(file, |(unique, _)| unique)
}

/// When the delivery began by the name's first part: seconds since 1970, here to the end of that second.
fn named_at(name: &str) -> Option<Timestamp> {
    let (seconds, _) = name.split_once('.')?;
    let seconds: i64 = seconds.parse().ok()?;
    Some(Timestamp::from_unix_ms(seconds.saturating_mul(1_000)).after(Duration::from_millis(999)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use agent_otp_jetstream::clock;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_mail_is_new_once_wherever_it_goes() {
        let maildir = maildir();
        let mut seen = Seen::default();
        let name = named(0);
        write(&maildir, &format!("new/{name}"));
        assert_eq!(names(&maildir, &mut seen), [name.as_str()]);
        assert!(names(&maildir, &mut seen).is_empty());
        fs::rename(maildir.path().join("new").join(&name), maildir.path().join(format!("cur/{name}:2,S")))
            .unwrap();
        assert!(names(&maildir, &mut seen).is_empty());
        seen.forget(&[format!("{name}:2,S")]);
        assert_eq!(names(&maildir, &mut seen), [name]);
    }

    #[test]
    fn what_is_old_by_its_name_or_by_its_time_or_has_not_been_written_is_passed_over() {
        let maildir = maildir();
        let mut seen = Seen::default();
        write(&maildir, &format!("cur/{}", named(700)));
        write(&maildir, "new/.hidden");
        File::create(maildir.path().join("new/empty")).unwrap();
        fs::create_dir(maildir.path().join("new/directory")).unwrap();
        write(&maildir, "new/copied");
        let earlier = UNIX_EPOCH + Duration::from_hours(24);
        File::options()
            .write(true)
            .open(maildir.path().join("new/copied"))
            .unwrap()
            .set_modified(earlier)
            .unwrap();
        assert!(names(&maildir, &mut seen).is_empty());
        write(&maildir, "new/empty");
        assert_eq!(names(&maildir, &mut seen), ["empty"]);
    }

    #[test]
    fn a_mail_is_received_at_the_earliest_of_what_its_file_says() {
        let maildir = maildir();
        let name = named(300);
        write(&maildir, &format!("new/{name}"));
        let now = clock::now();
        let [mail] = new(maildir.path(), &mut Seen::default(), now).unwrap().try_into().unwrap();
        let age = now.since(mail.received_at);
        assert!((298..=301).contains(&age.as_secs()), "{age:?}");
    }

    fn maildir() -> TempDir {
        let maildir = tempfile::tempdir().unwrap();
        for folder in FOLDERS {
            fs::create_dir(maildir.path().join(folder)).unwrap();
        }
        maildir
    }

    fn named(seconds_ago: i64) -> String {
        format!("{}.M1P2.host", clock::now().as_unix_ms() / 1_000 - seconds_ago)
    }

    fn write(maildir: &TempDir, file: &str) {
        fs::write(maildir.path().join(file), "From: a@acme.example\n\nhi\n").unwrap();
    }

    fn names(maildir: &TempDir, seen: &mut Seen) -> Vec<String> {
        new(maildir.path(), seen, clock::now()).unwrap().into_iter().map(|mail| mail.name).collect()
    }
}
