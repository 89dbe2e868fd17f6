//! One line that nobody sees: from the terminal without echo, or from a pipe.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::termios::{self, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use zeroize::Zeroizing;

/// The longest line, in bytes: a message of a few pages.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// What a terminal sends for Ctrl-C.
const CTRL_C: u8 = 3;

/// What came.
pub(crate) enum Line {
    /// A line, without its end.
    Typed(Zeroizing<String>),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of a pipe.
    End,
}

/// Whether a person is asked.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Reads a line from stdin; at a terminal it is asked for, and nothing of it is shown.
pub(crate) fn line(prompt: &str) -> io::Result<Line> {
    let stdin = io::stdin();
    if !is_terminal() {
        return read(stdin.as_fd());
    }
    let quiet = Quiet::new(stdin.as_fd())?;
    let mut stderr = io::stderr();
    write!(stderr, "{prompt}")?;
    let line = read(stdin.as_fd());
    drop(quiet);
    // Of all that is typed, the end of a line alone is shown.
    if !matches!(line, Ok(Line::Typed(_))) {
        writeln!(stderr)?;
    }
    line
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Quiet<'a> {
    /// Ctrl-C comes as a character that ends the line: a signal would end the program, and leave the terminal mute.
    fn new(terminal: BorrowedFd<'a>) -> io::Result<Self> {
        let before = termios::tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.input_modes.insert(InputModes::ICRNL);
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        quiet.local_modes.insert(LocalModes::ICANON | LocalModes::ECHONL);
        quiet.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        termios::tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    /// The rest of a pasted message goes with it: the shell must not take it for commands.
    fn drop(&mut self) {
        if let Err(error) = termios::tcsetattr(self.terminal, OptionalActions::Flush, &self.before) {
            tracing::warn!(%error, "the terminal stays mute; type stty sane");
        }
    }
}

/// Reads to the end of the line. No buffer of the standard library keeps a copy.
fn read(input: BorrowedFd<'_>) -> io::Result<Line> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    let mut part = Zeroizing::new([0; 4_096]);
    loop {
        let length = match rustix::io::read(input, part.as_mut_slice()) {
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(length) => length,
        };
        let read = part.get(..length).unwrap_or_default();
        let end = read.iter().position(|byte| [b'\n', CTRL_C].contains(byte));
        line.extend_from_slice(read.get(..end.unwrap_or(length)).unwrap_or_default());
        match end.and_then(|end| read.get(end)) {
            Some(&CTRL_C) => return Ok(Line::Interrupted),
            None if length == 0 && line.is_empty() => return Ok(Line::End),
            None if length > 0 && line.len() <= LINE_BYTES_MAX - part.len() => {}
            Some(_) | None => return Ok(Line::Typed(text(&line))),
        }
    }
}

/// What is not UTF-8 is no part of a code.
fn text(line: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(std::str::from_utf8(line).map(str::to_owned).unwrap_or_default())
}
