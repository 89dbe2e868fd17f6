//! Debian's swaks: delivers one mail as a mail server would.

use std::io::Write as _;
use std::process::Stdio;

use tokio::process::Command;

use crate::running::within;

/// What came of a delivery.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) is_taken: bool,
    /// The whole conversation.
    pub(crate) text: String,
}

/// Delivers a mail; `to` says where: `--server`, `--protocol` and so on.
pub(crate) async fn deliver(to: &[&str], recipients: &[&str], mail: &str) -> Said {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(mail.as_bytes()).unwrap();
    let output = Command::new("swaks")
        .args(to)
        .args(["--from", "bounce@acme.example", "--to", &recipients.join(","), "--helo", "mx.acme.example"])
        .arg("--data")
        .arg(format!("@{}", file.path().display()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = within("the end of swaks", output).await;
    let output = output.expect("swaks is there: type cargo xtask test, or sudo apt-get install swaks");
    let text = [output.stdout, output.stderr].concat();
    Said { is_taken: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
}

/// A mail with a code, which a person would read in three lines, the second a dot.
pub(crate) fn mail(code: &str) -> String {
    format!(
        "From: Acme <no-reply@acme.example>\r\nTo: me@home.example\r\nSubject: Sign in\r\n\
         Message-ID: <{code}@acme.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\nIhr Code für Bücher: {code}\r\n.\r\n..Ende\r\n"
    )
}
