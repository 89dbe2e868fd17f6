//! What all this is built from: under which licences, from where, and which cryptography is in it once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use agent_otp_tests::{cargo, root};
use serde_json::Value;

/// Licences that ask for nothing but to be named, and MPL-2.0, which asks for the changes to its own files.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];
/// Of these there is one version, so that what was reviewed is what runs.
const CRYPTOGRAPHY: [&str; 22] = [
    "aead",
    "chacha20",
    "chacha20poly1305",
    "crypto-common",
    "curve25519-dalek",
    "digest",
    "ed25519",
    "ed25519-dalek",
    "hkdf",
    "hmac",
    "hpke",
    "poly1305",
    "ring",
    "rustls",
    "rustls-webpki",
    "sha1",
    "sha2",
    "signature",
    "subtle",
    "universal-hash",
    "x25519-dalek",
    "zeroize",
];
/// Those that bring older ones: NATS's login keys, which sign nothing of ours, and the digests of database migrations.
const WITH_OLDER: [&str; 2] = ["nkeys", "sqlx"];
/// Written in C, or another for what there is.
const BANNED: [&str; 5] = ["aws-lc-sys", "native-tls", "openssl", "openssl-sys", "rs_merkle"];

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let metadata = metadata();
    for package in packages(&metadata) {
        let licence = text(package, "license");
        assert!(is_allowed(licence), "{} is under `{licence}`", text(package, "name"));
    }
}

#[test]
fn a_licence_is_allowed_if_one_can_keep_to_it() {
    for licence in ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR (MIT AND Zlib)", "Apache-2.0 WITH LLVM-exception OR X"]
    {
        assert!(is_allowed(licence), "{licence}");
    }
    for licence in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND X", "MIT WITH X", "MIT)", "(MIT", "MIT MIT"]
    {
        assert!(!is_allowed(licence), "{licence}");
    }
}

#[test]
fn every_crate_is_of_this_workspace_or_from_the_one_registry() {
    let metadata = metadata();
    let sources: BTreeSet<&str> = packages(&metadata).iter().filter_map(|it| it["source"].as_str()).collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    for source in sources {
        assert!(source.starts_with("registry+"), "{source}");
        let fuzz = fs::read_to_string(root().join("fuzz/Cargo.lock")).unwrap();
        let is_elsewhere =
            |line: &&str| line.starts_with("source") && *line != format!("source = \"{source}\"");
        assert_eq!(fuzz.lines().find(is_elsewhere), None);
    }
    for package in packages(&metadata).iter().filter(|package| package["source"].is_null()) {
        assert!(text(package, "manifest_path").starts_with(root().to_str().unwrap()));
    }
}

#[test]
fn all_cryptography_is_there_once_save_below_the_two_that_bring_older_ones() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in reached(&metadata, &WITH_OLDER) {
        versions.entry(text(package, "name")).or_default().insert(text(package, "version"));
    }
    for name in CRYPTOGRAPHY {
        let found = versions.get(name).unwrap_or_else(|| panic!("{name} is not there: take it off the list"));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
    let everything: BTreeSet<&str> =
        packages(&metadata).iter().map(|package| text(package, "name")).collect();
    for name in BANNED {
        assert!(!everything.contains(name), "{name}");
    }
}

#[test]
fn no_crate_of_ours_may_hold_unsafe_code() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let metadata = metadata();
    for package in packages(&metadata).iter().filter(|package| package["source"].is_null()) {
        let manifest = fs::read_to_string(text(package, "manifest_path")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{}", text(package, "name"));
    }
    assert!(fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap().contains("unsafe_code = \"forbid\""));
}

/// Whether a licence expression (SPDX 2.3, annex D, and the older `A/B`) can be kept with what is allowed.
fn is_allowed(expression: &str) -> bool {
    let spaced =
        expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "_WITH_");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    let is_allowed = either(&mut words);
    is_allowed && words.is_empty()
}

fn either(words: &mut &[&str]) -> bool {
    let mut is_allowed = both(words);
    while let ["OR", rest @ ..] = words {
        *words = rest;
        is_allowed |= both(words);
    }
    is_allowed
}

fn both(words: &mut &[&str]) -> bool {
    let mut is_allowed = one(words);
    while let ["AND", rest @ ..] = words {
        *words = rest;
        is_allowed &= one(words);
    }
    is_allowed
}

fn one(words: &mut &[&str]) -> bool {
    let [first, rest @ ..] = *words else { return false };
    *words = rest;
    if *first != "(" {
        return LICENCES.contains(&first.replace('_', " ").as_str());
    }
    let is_allowed = either(words);
    let [")", rest @ ..] = *words else { return false };
    *words = rest;
    is_allowed
}

/// The packages that ours lean on, without looking below `closed`.
fn reached<'a>(metadata: &'a Value, closed: &[&str]) -> Vec<&'a Value> {
    let packages: BTreeMap<&str, &Value> =
        packages(metadata).iter().map(|package| (text(package, "id"), package)).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (text(node, "id"), node)).collect();
    let mut open: Vec<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !closed.contains(&text(packages[id], "name")) && reached.insert(id) {
            open.extend(nodes[id]["dependencies"].as_array().unwrap().iter().filter_map(Value::as_str));
        }
    }
    reached.into_iter().map(|id| packages[id]).collect()
}

fn metadata() -> Value {
    let output = cargo().args(["metadata", "--locked", "--format-version", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn packages(metadata: &Value) -> &[Value] {
    metadata["packages"].as_array().unwrap()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}
