//! Which version a nats-server says it is, and whether that is new enough.

use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::child;

/// The oldest nats-server whose timers, batch reads and republishing the relay can build on.
pub const OLDEST: Version = Version { major: 2, minor: 12, patch: 0 };

/// A released version; what follows the patch number (`-preview.1`) is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `2` of `2.15.1`.
    pub major: u16,
    /// `15` of `2.15.1`.
    pub minor: u16,
    /// `1` of `2.15.1`.
    pub patch: u16,
}

/// Why a file is not used as nats-server.
#[derive(Debug, thiserror::Error)]
pub enum Unsuitable {
    /// No such file.
    #[error("{} does not exist", path.display())]
    Absent {
        /// What was looked for.
        path: PathBuf,
    },
    /// A nats-server that lacks what is built upon.
    #[error("{} is nats-server {found}, and {OLDEST} or newer is wanted", path.display())]
    TooOld {
        /// Where it is.
        path: PathBuf,
        /// What it says it is.
        found: Version,
    },
    /// The system refused to run it.
    #[error("{} cannot be run", path.display())]
    Unrunnable {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It ran, and is something else.
    #[error("{} --version did not answer `nats-server: v…`", path.display())]
    Unrecognised {
        /// Where it is.
        path: PathBuf,
    },
}

impl Version {
    /// Runs `path --version`, and accepts [`OLDEST`] and newer.
    pub(crate) fn accepted(path: &Path) -> Result<Version, Unsuitable> {
        let path = path.to_owned();
        if !path.is_file() {
            return Err(Unsuitable::Absent { path });
        }
        let output = match child::command(&path).arg("--version").stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(source) => return Err(Unsuitable::Unrunnable { path, source }),
        };
        match Version::answered(&String::from_utf8_lossy(&output.stdout)) {
            None => Err(Unsuitable::Unrecognised { path }),
            Some(found) if found < OLDEST => Err(Unsuitable::TooOld { path, found }),
            Some(found) => Ok(found),
        }
    }

    fn answered(answer: &str) -> Option<Version> {
        let version = answer.trim().strip_prefix("nats-server: v")?;
        let released = version.split(['-', '+']).next()?;
        let mut numbers = released.split('.').map(str::parse);
        let version = Version {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
            patch: numbers.next()?.ok()?,
        };
        numbers.next().is_none().then_some(version)
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_version_is_read_or_refused() {
        let table = [
            ("nats-server: v2.15.1\n", Some((2, 15, 1))),
            ("nats-server: v2.12.0-preview.1\n", Some((2, 12, 0))),
            ("nats-server: v2.9.0", Some((2, 9, 0))),
            ("nats-server: v2.15", None),
            ("nats-server: v2.15.1.4", None),
            ("nats-server: vdev", None),
            ("nats: v0.1.6", None),
            ("", None),
        ];
        for (answer, expected) in table {
            let expected = expected.map(|(major, minor, patch)| Version { major, minor, patch });
            assert_eq!(Version::answered(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        let older = Version { major: 2, minor: 9, patch: 25 };
        assert!(older < OLDEST);
        assert!(OLDEST < Version { major: 2, minor: 12, patch: 1 });
    }
}
