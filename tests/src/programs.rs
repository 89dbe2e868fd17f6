//! The programs that the stories drive: built once, with the profile and into the directory of the running test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// The cargo that runs this test, at the root of the workspace.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // What the outer cargo says of the package that it runs: a build script that reads such variables (ring's) would be
    // taken for out of date, here and again in the next build, and half of the dependencies with it.
    for (name, _) in env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|said| name.to_string_lossy().starts_with(said)) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Where a program of ours lies, built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).join(name)
}

/// The nats-server that the stories run; without one, the test says what to type.
#[must_use]
pub fn nats_server() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match agent_otp_broker::find(None) {
        Ok(found) => found.path,
        Err(error) => panic!("{error}\n\n    cargo xtask test\n"),
    })
}

/// Builds the programs; a test lies in `<target>/<profile>/deps/`.
fn build() -> PathBuf {
    let test = env::current_exe().expect("a running test has a path");
    let built = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").to_owned();
    let profile = match built.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "debug" => "dev",
        other => other,
    };
    let status = cargo()
        .args(["build", "--quiet", "--package", "agent-otp-cli", "--package", "agent-otp-relay", "--bins"])
        .args(["--package", "agent-otp-agent", "--example", "sign_in"])
        .args(["--profile", profile, "--target-dir"])
        .arg(built.parent().expect("a profile's directory lies in the target directory"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the programs do not build");
    built
}
