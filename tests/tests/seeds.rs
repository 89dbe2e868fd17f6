//! What reads bytes from outside, on the seeds that `cargo xtask fuzz` begins with and on what once broke a law.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::print_stdout, reason = "the last seed that is shown is the one that broke a law")]

#[path = "seeds/made.rs"]
mod made;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use agent_otp_tests::outside::READERS;
use agent_otp_tests::{files_below, root};

#[test]
fn every_law_holds_of_every_seed() {
    for (name, read) in READERS {
        let seeds = files_below(&seeds().join(name));
        assert!(seeds.len() >= 3, "{name} has too few seeds");
        for path in seeds {
            println!("{}", path.display());
            let bytes = fs::read(&path).unwrap();
            read(&bytes);
            // Half of it, and one byte of it changed: what a fuzzer tries first.
            read(bytes.get(..bytes.len() / 2).unwrap());
            let mut changed = bytes.clone();
            changed.iter_mut().skip(bytes.len() / 3).take(1).for_each(|byte| *byte ^= 0x20);
            read(&changed);
        }
    }
}

#[test]
fn every_reader_has_a_fuzz_target_and_every_fuzz_target_a_reader() {
    let targets = files_below(&root().join("fuzz/fuzz_targets"));
    let targets: BTreeSet<String> =
        targets.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(targets, READERS.map(|(name, _)| name.to_owned()).into());
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

/// `AGENT_OTP_SEEDS=write` writes them.
#[test]
fn the_seeds_are_what_the_encoders_write() {
    for (reader, name, bytes) in made::seeds() {
        let path = seeds().join(reader).join(&name);
        if std::env::var_os("AGENT_OTP_SEEDS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap_or_default(), bytes, "{}", path.display());
    }
}

fn seeds() -> PathBuf {
    root().join("fuzz/seeds")
}
