//! The two places that a program may print to: stdout for what was asked, stderr for the rest.

use std::io::Write as _;

/// Writes a line to stdout. A reader that has gone (`| head`) is no error.
pub(crate) fn out(line: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Writes a line to stderr.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// A value as JSON, on one line.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?)
}
