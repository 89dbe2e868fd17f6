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

/// Adds an owner to the list, which is made if it is not there; says whether it was new.
///
/// # Errors
///
/// [`OwnersError`] if the list cannot be read or written; it is as it was then.
pub fn add(path: &Path, owner: &OwnerId) -> Result<bool, OwnersError> {
    let mut owners = match read(path) {
        Err(OwnersError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            BTreeSet::new()
        }
        owners => owners?,
    };
    let is_new = owners.insert(owner.clone());
    write(path, &owners).map(|()| is_new)
}

/// Takes an owner off the list; says whether it was there.
///
/// # Errors
///
/// [`OwnersError`] if the list cannot be read or written; it is as it was then.
pub fn remove(path: &Path, owner: &OwnerId) -> Result<bool, OwnersError> {
    let mut owners = read(path)?;
    let was_there = owners.remove(owner);
    write(path, &owners).map(|()| was_there)
}

fn read(path: &Path) -> Result<BTreeSet<OwnerId>, OwnersError> {
    let unreadable = |source| OwnersError::Unreadable { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let owners = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')).map(|(line, text)| {
        text.parse().map_err(|source| OwnersError::Malformed { path: path.to_owned(), line, source })
    });
    owners.collect()
}

/// Replaces the list whole: a relay that reads meanwhile sees the one or the other.
fn write(path: &Path, owners: &BTreeSet<OwnerId>) -> Result<(), OwnersError> {
    let unfinished = path.with_extension("unfinished");
    let text = owners.iter().fold(String::new(), |text, owner| text + owner.to_string().as_str() + "\n");
    let written = File::create(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path));
    written.map_err(|source| OwnersError::Unwritable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
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
