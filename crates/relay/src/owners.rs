//! Whom a relay serves: a file with one owner id a line, which its operator changes and all its relays read.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_otp_domain::{IdError, OwnerId};
use tokio::time::Instant;
use tracing::warn;

/// For how long the file is taken to say what it said: so long may a change take to count.
const READ_FOR: Duration = Duration::from_secs(1);

/// The owners whom a relay serves.
#[derive(Debug)]
pub struct Owners {
    path: PathBuf,
    known: Mutex<Known>,
}

/// What the file said, and when it was read.
#[derive(Debug)]
struct Known {
    owners: BTreeSet<OwnerId>,
    read_at: Instant,
}

/// Why the list cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum OwnersError {
    /// The file cannot be read.
    #[error("cannot read the owners in {}; `agent-otp-relay owner add ID --owners {}` makes it", path.display(), path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A line is no owner.
    #[error("line {line} of {} is no owner; `agent-otp up` prints its owner's id", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: IdError,
    },
    /// The file cannot be written.
    #[error("cannot write the owners into {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Owners {
    /// Reads the list; relays go by it from then on, and by what it is changed to.
    ///
    /// # Errors
    ///
    /// [`OwnersError`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Self, OwnersError> {
        let known = Known { owners: read(path)?, read_at: Instant::now() };
        Ok(Self { path: path.to_owned(), known: Mutex::new(known) })
    }

    /// Whether this owner is served. A list that cannot be read any more says what it said before.
    pub(crate) fn serve(&self, owner: &OwnerId) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.read_at.elapsed() >= READ_FOR {
            known.read_at = Instant::now();
            match read(&self.path) {
                Ok(owners) => known.owners = owners,
                Err(error) => warn!(%error, "going by the owners of before"),
            }
        }
        known.owners.contains(owner)
    }
}

/// The owners in a list.
///
/// # Errors
///
/// [`OwnersError`] if it cannot be read.
pub fn list(path: &Path) -> Result<Vec<OwnerId>, OwnersError> {
    Ok(read(path)?.into_iter().collect())
}

/// Adds an owner to the list, which is made if it is not there; says whether it was new. Everything else in it stays.
///
/// # Errors
///
/// [`OwnersError`] if the list cannot be read or written; it is as it was then.
pub fn add(path: &Path, owner: &OwnerId) -> Result<bool, OwnersError> {
    change(path, |text| {
        let is_new = !parse(path, text)?.contains(owner);
        let line_ends = text.is_empty() || text.ends_with('\n');
        let added = format!("{text}{}{owner}\n", if line_ends { "" } else { "\n" });
        Ok(is_new.then_some(added))
    })
}

/// Takes an owner off the list; says whether it was there. Everything else in it stays.
///
/// # Errors
///
/// [`OwnersError`] if the list cannot be read or written; it is as it was then.
pub fn remove(path: &Path, owner: &OwnerId) -> Result<bool, OwnersError> {
    read(path)?;
    change(path, |text| {
        let was_there = parse(path, text)?.contains(owner);
        let others = text.split_inclusive('\n').filter(|line| line.trim() != owner.to_string());
        Ok(was_there.then(|| others.collect()))
    })
}

fn read(path: &Path) -> Result<BTreeSet<OwnerId>, OwnersError> {
    let unreadable = |source| OwnersError::Unreadable { path: path.to_owned(), source };
    parse(path, &fs::read_to_string(path).map_err(unreadable)?)
}

fn parse(path: &Path, text: &str) -> Result<BTreeSet<OwnerId>, OwnersError> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let owners = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')).map(|(line, text)| {
        text.parse().map_err(|source| OwnersError::Malformed { path: path.to_owned(), line, source })
    });
    owners.collect()
}

/// Writes the list anew, if `edit` makes another of it; says whether it does. Whoever changes it meanwhile waits.
fn change(
    path: &Path,
    edit: impl FnOnce(&str) -> Result<Option<String>, OwnersError>,
) -> Result<bool, OwnersError> {
    let unwritable = |source| OwnersError::Unwritable { path: path.to_owned(), source };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The directory stays, where the file is replaced; the lock goes with this handle.
    let dir = File::open(dir).map_err(unwritable)?;
    dir.lock().map_err(unwritable)?;
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|source| OwnersError::Unreadable { path: path.to_owned(), source })?,
    };
    match edit(&text)? {
        None => Ok(false),
        Some(text) => replace(path, &text).and_then(|()| dir.sync_all()).map_err(unwritable).map(|()| true),
    }
}

/// Replaces the list whole: a relay that reads meanwhile sees the one or the other. Who may read it stays as it was.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished)?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_list_holds_whom_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owners");
        assert!(matches!(list(&path), Err(OwnersError::Unreadable { .. })));
        let [a, b]: [OwnerId; 2] = ["a", "b"].map(|letter| letter.repeat(32).parse().unwrap());
        assert!(add(&path, &b).unwrap() && add(&path, &a).unwrap() && !add(&path, &b).unwrap());
        assert_eq!(list(&path).unwrap(), [a.clone(), b.clone()]);
        assert!(remove(&path, &a).unwrap() && !remove(&path, &a).unwrap());
        assert_eq!(list(&path).unwrap(), [b]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_else_stands_in_a_list_stays_and_so_does_who_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owners");
        let [a, b]: [OwnerId; 2] = ["a", "b"].map(|letter| letter.repeat(32).parse().unwrap());
        fs::write(&path, format!("# Ann\n{a}\n\n# Bob")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(add(&path, &b).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("# Ann\n{a}\n\n# Bob\n{b}\n"));
        assert!(remove(&path, &a).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("# Ann\n\n# Bob\n{b}\n"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn of_those_who_change_a_list_at_once_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owners");
        std::thread::scope(|scope| {
            for letter in 'a'..='p' {
                let path = &path;
                scope.spawn(move || add(path, &letter.to_string().repeat(32).parse().unwrap()).unwrap());
            }
        });
        assert_eq!(list(&path).unwrap().len(), 16);
    }

    #[test]
    fn a_line_that_is_no_owner_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owners");
        fs::write(&path, format!("# ours\n\n{}\nnobody\n", "a".repeat(32))).unwrap();
        let error = list(&path).unwrap_err().to_string();
        assert!(error.starts_with("line 4 of "), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_goes_by_the_list_as_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("owners");
        let owner: OwnerId = "a".repeat(32).parse().unwrap();
        add(&path, &owner).unwrap();
        let owners = Owners::open(&path).unwrap();
        assert!(owners.serve(&owner));
        remove(&path, &owner).unwrap();
        tokio::time::advance(READ_FOR).await;
        assert!(!owners.serve(&owner));
        fs::remove_file(&path).unwrap();
        tokio::time::advance(READ_FOR).await;
        assert!(!owners.serve(&owner), "a list that is gone admits nobody");
    }
}
