//! Ctrl-C, SIGTERM, and the end of the terminal: whatever runs is asked to end, and ends in order.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// All of them, from when this is made; they end the program by themselves no more.
#[derive(Debug)]
pub struct Interrupt {
    ctrl_c: Signal,
    terminate: Signal,
    /// None if the program outlives its terminal, as `nohup` wants it.
    hangup: Option<Signal>,
}

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// If signals cannot be listened to.
    pub fn new() -> io::Result<Self> {
        let hangup = if hangup_ends() { Some(signal(SignalKind::hangup())?) } else { None };
        let (ctrl_c, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { ctrl_c, terminate, hangup })
    }

    /// Waits until one of them came.
    pub async fn came(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether a hangup would end this program: whoever started it may have it ignored.
#[cfg(target_os = "linux")]
fn hangup_ends() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| !is_hangup_ignored(&status))
}

/// Elsewhere nobody says, and it stays as it is.
#[cfg(not(target_os = "linux"))]
fn hangup_ends() -> bool {
    false
}

/// `status` is that of a process, see `proc_pid_status(5)`: the first bit stands for the first signal, SIGHUP.
#[cfg(target_os = "linux")]
fn is_hangup_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_ignored_by_whoever_was_started_so() {
        for (mask, is_ignored) in
            [("0000000000000000", false), ("0000000000000001", true), ("0000000000001000", false)]
        {
            assert_eq!(is_hangup_ignored(&format!("Name:\tx\nSigIgn:\t{mask}\n")), is_ignored, "{mask}");
        }
        assert!(is_hangup_ignored("Name:\tx\n"), "what is not known stays as it is");
    }
}
