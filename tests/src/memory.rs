//! What stands in the memory of a running program, as another process reads it (proc(5)).

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::process::Signal;

use crate::process::kill;
use crate::search::Needle;

/// How much of what is around a secret is told.
const AROUND: usize = 48;

/// A secret in the memory of a process.
#[derive(PartialEq, Eq)]
pub struct Copy {
    /// Which secret.
    pub name: String,
    /// How it is written down.
    pub how: &'static str,
    /// `[heap]`, `[stack]`, or the file that is mapped; empty for what a thread or an arena of the heap is made of.
    pub region: String,
    /// What is around it.
    around: String,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) in {:?}: {}", self.name, self.how, self.region, self.around)
    }
}

/// Every copy of the secrets in what a process can write to. It stands still meanwhile.
///
/// # Errors
///
/// If its memory cannot be read: that of a process which hides it, only root may read.
pub fn copies(pid: u32, secrets: &[Needle]) -> io::Result<Vec<Copy>> {
    kill(pid, Signal::STOP);
    let copies = read(pid, secrets);
    kill(pid, Signal::CONT);
    copies
}

fn read(pid: u32, secrets: &[Needle]) -> io::Result<Vec<Copy>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut copies = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        // `7f1c2a000000-7f1c2a021000 rw-p 00000000 00:00 0   [heap]`
        let mut fields = line.split_ascii_whitespace();
        let (range, modes, region) = (fields.next(), fields.next(), fields.nth(3).unwrap_or_default());
        let bounds =
            range.and_then(|range| range.split_once('-')).expect("a line of maps begins with a range");
        let [start, end] = [bounds.0, bounds.1].map(|bound| u64::from_str_radix(bound, 16).unwrap());
        if !modes.is_some_and(|modes| modes.starts_with("rw")) {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        memory.read_exact_at(&mut bytes, start)?;
        for secret in secrets {
            copies.extend(secret.all_in_bytes(&bytes).into_iter().map(|(how, at)| Copy {
                name: secret.name().to_owned(),
                how,
                region: region.to_owned(),
                around: around(&bytes, at),
            }));
        }
    }
    Ok(copies)
}

fn around(bytes: &[u8], at: usize) -> String {
    let (start, end) = (at.saturating_sub(AROUND), (at + AROUND).min(bytes.len()));
    bytes.get(start..end).unwrap_or_default().escape_ascii().to_string()
}
