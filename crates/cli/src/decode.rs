//! `decode`: NATS messages as JSON, from their bodies alone.

use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use agent_otp_jetstream::decode::Decoder;
use anyhow::bail;
use serde_json::Value;

use crate::print;

/// How much is read at once, in bytes.
const READ: usize = 8 * 1024;

pub(crate) fn run(pretty: bool) -> anyhow::Result<ExitCode> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        bail!("messages are read from stdin: nats sub --raw SUBJECT | agent-otp decode");
    }
    let is_pretty = pretty || io::stdout().is_terminal();
    let mut decoder = Decoder::default();
    let mut undecodable = 0_u64;
    let mut part = [0; READ];
    loop {
        let length = match stdin.read(&mut part) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        match part.get(..length) {
            Some(read) if length > 0 => decoder.feed(read),
            Some(_) | None => decoder.end(),
        }
        while let Some(decoded) = decoder.message() {
            match decoded {
                Ok(message) => match write(&message, is_pretty) {
                    // Whoever reads has read enough: `| head`.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                    written => written?,
                },
                Err(error) => {
                    undecodable = undecodable.saturating_add(1);
                    print::say(&error.to_string());
                }
            }
        }
        if length == 0 {
            break;
        }
    }
    match undecodable {
        0 => Ok(ExitCode::SUCCESS),
        1 => bail!("a part of the input is no message of Agent OTP"),
        parts => bail!("{parts} parts of the input are no messages of Agent OTP"),
    }
}

fn write(message: &Value, is_pretty: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if is_pretty {
        writeln!(stdout, "{message:#}")?;
    } else {
        writeln!(stdout, "{message}")?;
    }
    stdout.flush()
}
