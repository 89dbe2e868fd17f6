//! The two places that a program may print to: stdout for what was asked, stderr for the rest.

use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};

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
///
/// # Errors
///
/// If not all of it is written.
pub(crate) fn secret(line: &[u8]) -> std::io::Result<()> {
    let mut whole = Zeroizing::new(Vec::with_capacity(line.len() + 1));
    whole.extend_from_slice(line);
    whole.push(b'\n');
    write(std::io::stdout().lock().as_fd(), &whole)
}

fn write(to: BorrowedFd<'_>, mut rest: &[u8]) -> std::io::Result<()> {
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Whoever shares this pipe wants nobody to wait in it, and it is full.
            Err(Errno::AGAIN) => wait_until_writable(to)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait_until_writable(to: BorrowedFd<'_>) -> std::io::Result<()> {
    match poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes a line to stderr.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Writes a question to stderr: what is typed follows on the same line.
pub(crate) fn prompt(question: &str) {
    drop(write!(std::io::stderr().lock(), "{question}"));
}

/// A value as JSON, on one line.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::thread;

    use rustix::fs::{OFlags, fcntl_setfl};

    use super::*;

    #[test]
    fn a_pipe_in_which_nobody_waits_takes_the_whole_line_once_it_is_read() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let mut before = 0;
        while let Ok(written) = rustix::io::write(&writer, &[b'.'; 4_096]) {
            before += written;
        }
        let read = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        write(writer.as_fd(), b"482913\n").unwrap();
        drop(writer);
        assert_eq!(read.join().unwrap().unwrap().get(before..), Some(b"482913\n".as_slice()));
    }

    #[test]
    fn what_is_not_written_is_an_error() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        assert!(write(full.as_fd(), b"482913\n").is_err());
    }
}
