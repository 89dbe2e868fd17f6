//! Which signals a program hears, see `proc_pid_status(5)`.

use std::fs;

use rustix::process::Signal;

/// Those that ask a program to end. A hangup is none where it is ignored by whatever the tests start, as under `nohup`.
#[must_use]
pub fn ending_signals() -> Vec<Signal> {
    let heard = |signal: &Signal| *signal != Signal::HUP || !ignores(std::process::id(), *signal);
    [Signal::INT, Signal::TERM, Signal::HUP].into_iter().filter(heard).collect()
}

/// Whether a process has a handler for this signal.
#[must_use]
pub fn hears(pid: u32, signal: Signal) -> bool {
    is_in("SigCgt:", pid, signal)
}

/// Whether a process ignores this signal.
#[must_use]
pub fn ignores(pid: u32, signal: Signal) -> bool {
    is_in("SigIgn:", pid, signal)
}

fn is_in(set: &str, pid: u32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(set));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (signal.as_raw() - 1)) != 0
}
