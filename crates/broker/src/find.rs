//! Where a nats-server comes from: the option, the environment, the `PATH`, or the cache.

use std::env;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::package;
use crate::version::{OLDEST, Unsuitable, Version};

/// The environment variable that names a nats-server to use.
pub const ENVIRONMENT: &str = "AGENT_OTP_NATS_SERVER";

/// A nats-server that is new enough.
#[derive(Debug)]
pub struct Found {
    /// The program, as an absolute path.
    pub path: PathBuf,
    /// What it says it is.
    pub version: Version,
    /// What stood on the `PATH` before it and cannot be used.
    pub passed_over: Vec<Unsuitable>,
}

/// Why no nats-server was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The one that was asked for cannot be used.
    #[error("--nats-server cannot be used: give another path, or leave the option out")]
    Explicit(#[source] Unsuitable),
    /// The one that the environment names cannot be used.
    #[error("${ENVIRONMENT} cannot be used: set it to another path, or unset it")]
    Environment(#[source] Unsuitable),
    /// There is none.
    #[error(
        "no nats-server {OLDEST} or newer was found{}: `cargo xtask test` installs it for tests, \
         `agent-otp up` installs it itself",
        listed(passed_over)
    )]
    Missing {
        /// What stood on the `PATH` and cannot be used.
        passed_over: Vec<Unsuitable>,
    },
}

/// Looks for a nats-server: `explicit` (the option `--nats-server`), `$AGENT_OTP_NATS_SERVER`, `PATH`, cache.
///
/// What was named must be usable; what merely stands on the `PATH` is passed over if it is not. A copy
/// in the cache that was altered counts as absent.
///
/// # Errors
///
/// [`FindError::Explicit`] and [`FindError::Environment`] for a named file that is not there or too old,
/// [`FindError::Missing`] if there is none at all.
pub fn find(explicit: Option<&Path>) -> Result<Found, FindError> {
    let search = Search {
        explicit: explicit.map(Path::to_owned),
        environment: env::var_os(ENVIRONMENT).filter(|path| !path.is_empty()).map(PathBuf::from),
        path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
        cache: Cache::of_this_user(),
    };
    search.run()
}

/// The places to look at, in this order.
struct Search {
    explicit: Option<PathBuf>,
    environment: Option<PathBuf>,
    path: Vec<PathBuf>,
    cache: Option<Cache>,
}

impl Search {
    fn run(self) -> Result<Found, FindError> {
        if let Some(path) = self.explicit {
            return named(path).map_err(FindError::Explicit);
        }
        if let Some(path) = self.environment {
            return named(path).map_err(FindError::Environment);
        }
        let mut passed_over = Vec::new();
        for path in self.path.iter().map(|dir| dir.join("nats-server")).filter(|path| path.is_file()) {
            match Version::accepted(&path) {
                Ok(version) => return Ok(Found { path, version, passed_over }),
                Err(unsuitable) => passed_over.push(unsuitable),
            }
        }
        match self.cache.filter(Cache::is_intact) {
            Some(cache) => Ok(Found { path: cache.program(), version: package::VERSION, passed_over }),
            None => Err(FindError::Missing { passed_over }),
        }
    }
}

fn named(path: PathBuf) -> Result<Found, Unsuitable> {
    let path = std::path::absolute(&path).unwrap_or(path);
    let version = Version::accepted(&path)?;
    Ok(Found { path, version, passed_over: Vec::new() })
}

fn listed(passed_over: &[Unsuitable]) -> String {
    if passed_over.is_empty() {
        return String::new();
    }
    let reasons: Vec<String> = passed_over.iter().map(ToString::to_string).collect();
    format!(" ({})", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_nats_server_that_is_too_old_is_refused_with_both_versions() {
        let old = fixture("old").join("nats-server");
        let error = Search { explicit: Some(old.clone()), ..nowhere() }.run().unwrap_err();
        assert!(matches!(error, FindError::Explicit(Unsuitable::TooOld { .. })), "{error:?}");
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            format!("{} is nats-server 2.9.0, and 2.12.0 or newer is wanted", old.display()),
        );
        let error = Search { environment: Some(old), ..nowhere() }.run().unwrap_err();
        assert!(matches!(error, FindError::Environment(Unsuitable::TooOld { .. })), "{error:?}");
    }

    #[test]
    fn a_named_nats_server_that_is_not_there_is_not_replaced_by_another() {
        let real = find(None).expect("cargo xtask test installs nats-server");
        let search = Search {
            explicit: Some(PathBuf::from("/nowhere/nats-server")),
            path: vec![real.path.parent().unwrap().to_owned()],
            ..nowhere()
        };
        let error = search.run().unwrap_err();
        assert!(matches!(error, FindError::Explicit(Unsuitable::Absent { .. })), "{error:?}");
    }

    #[test]
    fn an_old_nats_server_on_the_path_is_passed_over_and_reported() {
        let real = find(None).expect("cargo xtask test installs nats-server");
        let newer = real.path.parent().unwrap().to_owned();
        let found = Search { path: vec![fixture("old"), newer], ..nowhere() }.run().unwrap();
        assert_eq!(found.version, real.version);
        assert!(matches!(found.passed_over.as_slice(), [Unsuitable::TooOld { .. }]), "{found:?}");
    }

    #[test]
    fn nothing_found_names_the_command_that_installs_it() {
        let error = Search { path: vec![fixture("absent")], ..nowhere() }.run().unwrap_err();
        insta::assert_snapshot!(
            error,
            @"no nats-server 2.12.0 or newer was found: `cargo xtask test` installs it for tests, `agent-otp up` installs it itself"
        );
    }

    fn nowhere() -> Search {
        Search { explicit: None, environment: None, path: Vec::new(), cache: None }
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
    }
}
