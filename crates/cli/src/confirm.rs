//! Whether a person says yes: the owner to the six words, which a script has to give, and the user to a request.

use std::io;

use agent_otp_trust::enrolment::Words;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{self, QueueSelector};
use tokio_util::sync::CancellationToken;

use crate::hidden;
use crate::print;

/// How often it is looked whether the answer is still wanted.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// More than anybody answers, in bytes.
const LONGEST: usize = 1_024;

/// Asks until there is an answer; none if `stop` was cancelled before.
pub(crate) async fn ask(words: Words, stop: CancellationToken) -> anyhow::Result<Option<bool>> {
    tokio::task::spawn_blocking(move || {
        if hidden::is_terminal() { Ok(at_terminal(&stop)?) } else { Ok(from_pipe(&words, &stop)?) }
    })
    .await?
}

/// Asks a person at a terminal whether the request that is shown is approved. Only yes is yes.
pub(crate) async fn approves() -> anyhow::Result<bool> {
    tokio::task::spawn_blocking(|| {
        unread()?;
        print::prompt("Approve this? Type yes: ");
        Ok(matches!(line(&CancellationToken::new())?, Heard::Line(line) if is_yes(&line)))
    })
    .await?
}

fn at_terminal(stop: &CancellationToken) -> io::Result<Option<bool>> {
    unread()?;
    loop {
        print::say("Does the other machine show the same six words? Type yes or no:");
        match line(stop)? {
            Heard::Line(line) if is_yes(&line) => return Ok(Some(true)),
            Heard::Line(line) if line.trim().eq_ignore_ascii_case("no") => return Ok(Some(false)),
            Heard::Line(_) => {}
            Heard::End => return Ok(Some(false)),
            Heard::Stopped => return Ok(None),
        }
    }
}

/// Drops what was typed before the question stood there: it is no answer.
fn unread() -> io::Result<()> {
    Ok(termios::tcflush(io::stdin(), QueueSelector::IFlush)?)
}

fn is_yes(line: &str) -> bool {
    line.trim().eq_ignore_ascii_case("yes")
}

/// Nobody looks at a script's screen: it has to know what the other machine shows.
fn from_pipe(words: &Words, stop: &CancellationToken) -> io::Result<Option<bool>> {
    print::say("Waiting for one line on stdin: the six words that the other machine shows.");
    Ok(match line(stop)? {
        Heard::Line(line) => Some(words.are(&line)),
        Heard::End => Some(false),
        Heard::Stopped => None,
    })
}

/// What came of waiting for a line.
enum Heard {
    Line(String),
    /// The input ended before.
    End,
    /// Nobody wants to know any more.
    Stopped,
}

fn line(stop: &CancellationToken) -> io::Result<Heard> {
    let stdin = io::stdin();
    let mut typed = Vec::new();
    loop {
        if stop.is_cancelled() {
            return Ok(Heard::Stopped);
        }
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut polled, Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        // One at a time: what follows the line is not for here.
        let mut byte = [0];
        match rustix::io::read(&stdin, &mut byte) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(Heard::End),
            Ok(_) if byte == [b'\n'] || typed.len() >= LONGEST => {
                return Ok(Heard::Line(String::from_utf8_lossy(&typed).into_owned()));
            }
            Ok(_) => typed.extend(byte),
        }
    }
}
