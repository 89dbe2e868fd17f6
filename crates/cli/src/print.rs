//! The two places that a program may print to: stdout for what was asked, stderr for the rest.

use std::io::Write as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// Writes a line to stdout. A reader that has gone (`| head`) is no error.
pub(crate) fn out(line: &str) {
    drop(self::line(line));
}

/// Writes a line to stdout; an error says that the reader has gone, for whoever would go on for long.
pub(crate) fn line(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush())
}

/// Whether somebody may still read stdout, as far as can be seen without writing.
pub(crate) fn is_heard() -> bool {
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP;
    poll(&mut polled, Some(&Timespec::default())).is_err()
        || polled.iter().all(|stdout| !stdout.revents().intersects(gone))
}

/// Writes a line to stdout that nobody else may read: past the buffer of the standard library, which keeps it.
pub(crate) fn secret(line: &[u8]) {
    let stdout = std::io::stdout().lock();
    let mut whole = Zeroizing::new(Vec::with_capacity(line.len() + 1));
    whole.extend_from_slice(line);
    whole.push(b'\n');
    let mut rest = whole.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(&stdout, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(_gone) => return,
        }
    }
}

/// Writes a line to stderr.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// A value as JSON, on one line.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?)
}
