//! A process as `/proc` shows it (proc(5)).

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::Process;

pub(super) fn observe(pid: u32) -> io::Result<Option<Process>> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let read = || -> io::Result<Option<Process>> {
        let stat = fs::read_to_string(proc.join("stat"))?;
        let Some(started) = started(&stat) else { return Ok(None) };
        let command = fs::read(proc.join("cmdline"))?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        // Of another user's process the program is not shown: then it is not ours either.
        let exe = fs::read_link(proc.join("exe")).unwrap_or_default();
        // A program that was replaced since is shown as `… (deleted)`.
        let exe = exe.to_string_lossy().trim_end_matches(" (deleted)").into();
        Ok(Some(Process { pid, started: started.to_owned(), exe, command }))
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        process => process,
    }
}

/// Field 22 of `stat`, in clock ticks since boot; `None` for a zombie. The name before it may hold any character.
fn started(stat: &str) -> Option<&str> {
    let (_name, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let fields = "1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 77123 1 2";
        assert_eq!(started(&format!("42 (sleep) S {fields}")), Some("77123"));
        assert_eq!(started(&format!("42 (a) Z (b) R {fields}")), Some("77123"));
        assert_eq!(started(&format!("42 (sleep) Z {fields}")), None);
        assert_eq!(started("42"), None);
    }
}
