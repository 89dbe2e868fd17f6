//! Machines whose clocks are off: our programs below libfaketime, which leaves their timers alone.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::place::Place;
use crate::process::Process;
use crate::programs;
use crate::wait::eventually;

/// A clock that is right.
pub const RIGHT: &str = "+0s";

impl Place {
    /// Types `agent-otp --data DIR …` where the clock is off by so much: `+90s`.
    pub fn start_off(&self, off: &str, arguments: &[&str]) -> Process {
        self.start_with(arguments, Self::clock(off))
    }

    /// What makes a program's clock be off.
    pub(crate) fn clock(off: &str) -> [(&'static str, &str); 3] {
        let library = libfaketime().to_str().unwrap();
        [("LD_PRELOAD", library), ("FAKETIME", off), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
    }

    /// Starts `serve broker`, and returns when it is ready.
    pub async fn serve_broker(&self) -> Process {
        self.serve(RIGHT, &["broker", "--nats-server", programs::nats_server().to_str().unwrap()]).await
    }

    /// Starts one party alone where the clock is off by so much, and returns when it is ready.
    pub async fn serve(&self, off: &str, words: &[&str]) -> Process {
        let mut process = self.start_off(off, &[&["serve"], words].concat());
        eventually(format!("{words:?} to be ready"), async || {
            assert!(!process.has_ended(), "`serve` has ended:\n{}", process.said());
            process.said().contains(" is ready at ").then_some(())
        })
        .await;
        process
    }
}

/// libfaketime, installed, or unpacked by `cargo xtask test`; without it, the test says what to type.
fn libfaketime() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let test = env::current_exe().expect("a running test has a path");
        // A test lies in `<target>/<profile>/deps/`.
        let unpacked = test.ancestors().nth(3).expect("a test lies in target/PROFILE/deps").join("debian");
        let roots = [Path::new("/"), &unpacked];
        let found = roots.into_iter().find_map(|root| {
            let directories = fs::read_dir(root.join("usr/lib")).ok()?;
            let files = directories
                .filter_map(|directory| Some(directory.ok()?.path().join("faketime/libfaketimeMT.so.1")));
            files.into_iter().find(|file| file.exists())
        });
        found.unwrap_or_else(|| panic!("libfaketime is not there\n\n    cargo xtask test\n"))
    })
}
