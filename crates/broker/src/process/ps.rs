//! A process as `ps` shows it, where there is no `/proc`.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::Process;

pub(super) fn observe(pid: u32) -> io::Result<Option<Process>> {
    let state = column(pid, "stat=")?;
    if state.is_empty() || state.starts_with('Z') {
        return Ok(None);
    }
    let started = column(pid, "lstart=")?;
    let exe = PathBuf::from(column(pid, "comm=")?);
    let command = column(pid, "args=")?;
    Ok(Some(Process { pid, started, exe, command }))
}

/// One column of one process; empty if there is no such process.
fn column(pid: u32, name: &str) -> io::Result<String> {
    let pid = pid.to_string();
    let output = Command::new("ps").env("LC_ALL", "C").args(["-ww", "-o", name, "-p", &pid]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
