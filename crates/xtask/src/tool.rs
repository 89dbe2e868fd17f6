//! Programs of the registry that a developer needs: in one version, and in the target directory alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A program, as the registry has it.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Builds and runs fuzz targets.
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    /// Where the program lies below the target directory; it is built first, which takes a minute, if it is missing.
    pub(crate) fn ensure(&self, target: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let Self { name, version } = self;
        let root = target.join("tools");
        let program = root.join("bin").join(name);
        if self.is_at(&program) {
            return Ok(program);
        }
        say(&format!("installing {name} {version} into {}", root.display()));
        let status = Command::new("cargo")
            .args(["install", "--quiet", "--locked", "--force", "--root"])
            .arg(&root)
            .arg(format!("{name}@{version}"))
            .status()
            .context("cannot run cargo")?;
        if !status.success() {
            bail!("{name} {version} cannot be installed; type: cargo install --locked {name}@{version}");
        }
        Ok(program)
    }

    /// Whether the program is there in this version.
    fn is_at(&self, program: &Path) -> bool {
        let Ok(output) = Command::new(program).arg("--version").output() else { return false };
        String::from_utf8_lossy(&output.stdout).split_whitespace().any(|word| word == self.version)
    }
}
