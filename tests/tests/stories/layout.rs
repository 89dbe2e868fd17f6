//! The layout itself: what no crate may lean on, and what every crate says of itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use agent_otp_tests::{cargo, files_below, root};
use agent_otp_user::source::KINDS;

#[test]
fn the_relay_is_built_without_anything_that_could_open_a_code() {
    let closure = closure("agent-otp-relay");
    assert!(closure.contains("agent-otp-trust") && closure.contains("async-nats"), "{closure:?}");
    for absent in ["agent-otp-seal", "agent-otp-keyring", "hpke", "x25519-dalek", "chacha20poly1305"] {
        assert!(!closure.contains(absent), "{absent}");
    }
    assert!(!self::closure("agent-otp-audit").contains("agent-otp-seal"));
}

#[test]
fn domain_and_trust_lean_on_no_runtime_no_network_and_no_database() {
    for package in ["agent-otp-domain", "agent-otp-trust"] {
        let closure = closure(package);
        for absent in ["getrandom", "tokio", "async-nats", "sqlx", "sqlx-core", "agent-otp-jetstream"] {
            assert!(!closure.contains(absent), "{package}: {absent}");
        }
    }
}

#[test]
fn only_the_jetstream_crate_names_a_subject() {
    let naming: BTreeSet<String> = crates()
        .into_iter()
        .filter(|(_, dir)| {
            let sources = files_below(&dir.join("src"));
            sources.iter().any(|path| without_tests(path).contains("otp.v1."))
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(naming, BTreeSet::from(["jetstream".to_owned()]));
}

#[test]
fn the_program_names_no_source_of_messages() {
    let naming: Vec<String> =
        KINDS.iter().flat_map(|kind| [kind.name.to_owned(), kind.name.replace('-', "_")]).collect();
    for path in files_below(&root().join("crates/cli/src")) {
        // The demonstration and the measurements send mails, as a service would.
        if path.ends_with("demo.rs") || path.components().any(|part| part.as_os_str() == "bench") {
            continue;
        }
        let source = without_tests(&path).to_lowercase();
        for name in &naming {
            assert!(!source.contains(name), "{}: {name}", path.display());
        }
    }
    assert!(naming.len() >= 4, "{naming:?}");
}

#[test]
fn every_library_begins_with_what_it_is() {
    let mut count = 0;
    for (name, dir) in crates() {
        let Ok(source) = fs::read_to_string(dir.join("src/lib.rs")) else { continue };
        assert!(source.starts_with("//! "), "{name}");
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn the_architecture_states_the_invariant_of_every_crate() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (name, _) in crates() {
        let at = lines.iter().position(|line| line.starts_with(&format!("- **{name}**: ")));
        let at = at.unwrap_or_else(|| panic!("no line begins with **{name}**"));
        let below = lines.iter().skip(at + 1).take_while(|line| !line.starts_with("- "));
        assert!(
            below.clone().any(|line| line.trim_start().starts_with("**Invariant:**")),
            "{name}: no invariant"
        );
    }
}

/// The names of all packages that end up in `package`.
fn closure(package: &str) -> BTreeSet<String> {
    let output = cargo()
        .args([
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Every crate, by the name of its folder.
fn crates() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(root().join("crates")).unwrap().map(Result::unwrap);
    let mut crates: Vec<_> = entries
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    crates.sort();
    crates
}

fn without_tests(path: &Path) -> String {
    let source = fs::read_to_string(path).unwrap_or_default();
    source.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}
