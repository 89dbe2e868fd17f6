//! Runs the fuzz targets, one after the other, from the committed seeds and from what earlier runs have found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::target;
use crate::tool::CARGO_FUZZ;

/// How long one input may take, in seconds; nothing that is read takes longer than a few thousandths.
const INPUT_SECONDS_MAX: u64 = 20;
/// How much memory a target may take, in MiB.
const MEMORY_MIB_MAX: u64 = 2_048;

/// Runs one target, or all, for so many seconds each.
pub(crate) fn run(name: Option<&str>, seconds: u64, say: &mut dyn FnMut(&str)) -> Result<()> {
    let fuzz = root().join("fuzz");
    let targets = targets(&fuzz)?;
    let chosen: Vec<&String> =
        targets.iter().filter(|target| name.is_none_or(|name| name == *target)).collect();
    if chosen.is_empty() {
        bail!("there is no such target; there are {}", targets.join(", "));
    }
    let program = CARGO_FUZZ.ensure(&target()?, say)?;
    say("building what is fuzzed");
    let built = cargo_fuzz(&program, "build").args(name).status();
    if !built.with_context(|| format!("cannot run {}", program.display()))?.success() {
        bail!("the fuzz targets do not build");
    }
    for target in chosen {
        say(&format!("fuzzing {target} for {seconds} s"));
        fuzz_one(&program, &fuzz, target, seconds)?;
    }
    Ok(())
}

fn fuzz_one(program: &Path, fuzz: &Path, target: &str, seconds: u64) -> Result<()> {
    let (corpus, artifacts) = (fuzz.join("corpus").join(target), fuzz.join("artifacts").join(target));
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let known = inputs(&artifacts);
    let status = cargo_fuzz(program, "run")
        .arg(target)
        .args([&corpus, &fuzz.join("seeds").join(target)])
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg("-print_final_stats=1")
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if status.success() {
        return Ok(());
    }
    // How it ended says nothing: cargo-fuzz fails in the same way when the fuzzer is interrupted.
    match inputs(&artifacts).difference(&known).next() {
        Some((input, _)) => bail!(
            "{target} broke a law: the input is fuzz/artifacts/{target}/{}; move it to fuzz/seeds/{target} under a name that says what it shows, and fix the reader",
            input.file_name().unwrap_or_default().display()
        ),
        None => bail!("{target} ended before its time, and broke no law until then"),
    }
}

/// The manifest says what is asserted. Without a sanitizer: there is no unsafe code of ours, and sanitizers need a nightly
/// toolchain.
fn cargo_fuzz(program: &Path, verb: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).args(["fuzz", verb, "--release", "--sanitizer", "none"]);
    command
}

/// The inputs that broke a law, with the time at which each did so last.
fn inputs(artifacts: &Path) -> BTreeSet<(PathBuf, SystemTime)> {
    let Ok(entries) = fs::read_dir(artifacts) else { return BTreeSet::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.path(), entry.metadata().ok()?.modified().ok()?))
        })
        .collect()
}

/// The names of all targets.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(fuzz.join("fuzz_targets")).context("cannot list fuzz/fuzz_targets")?;
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut targets: Vec<String> = entries.filter_map(|entry| stem(entry.ok()?.path())).collect();
    targets.sort();
    Ok(targets)
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
