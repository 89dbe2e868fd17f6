//! Messages with what may be taken out of them, as they lie in files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Deserializer};

/// One message, and what may leave.
pub(crate) struct Case {
    /// The row's `id`, the file of the mail, or the number of the line.
    pub(crate) name: String,
    pub(crate) body: Body,
    pub(crate) label: Label,
}

/// A message as it was given.
pub(crate) enum Body {
    /// A text message, or a mail's subject and text.
    Text { subject: String, text: String },
    /// A mail as it came over the wire.
    Mail(Vec<u8>),
}

/// What may leave.
#[derive(Deserialize)]
pub(crate) struct Label {
    /// The code, or `null`; the field has to be there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) expected: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) also_accept: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) lang: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) tag: String,
    #[serde(default)]
    pub(crate) link: Option<String>,
    #[serde(default)]
    pub(crate) filter_service: Option<String>,
    #[serde(default)]
    pub(crate) release_for_filter: Option<bool>,
    #[serde(default)]
    pub(crate) auth: Option<Auth>,
}

/// What is known of how a mail came, where its sender is labelled.
#[derive(Deserialize)]
pub(crate) struct Auth {
    #[serde(default)]
    pub(crate) ip: Option<IpAddr>,
    #[serde(default)]
    pub(crate) mail_from: Option<String>,
}

/// Why messages cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabelledError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is a folder without `expected.jsonl`: label its mails there, or name a JSON Lines file", path.display())]
    Unlabelled { path: PathBuf },
    #[error("{}, line {line}, column {column}: {reason}; see --help for the fields of a row", path.display())]
    Row { path: PathBuf, line: usize, column: usize, reason: String },
    #[error("{} has no rows", path.display())]
    Empty { path: PathBuf },
}

/// Reads the messages of a JSON Lines file or of a folder of mails.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>, LabelledError> {
    let folder = path.is_dir().then_some(path);
    let labels = folder.map_or(path.to_owned(), |folder| folder.join("expected.jsonl"));
    if folder.is_some() && !labels.exists() {
        return Err(LabelledError::Unlabelled { path: path.to_owned() });
    }
    let rows = fs::read_to_string(&labels)
        .map_err(|source| LabelledError::Unreadable { path: labels.clone(), source })?;
    let mut cases = Vec::new();
    for (index, row) in rows.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let line = index + 1;
        let malformed = |error: serde_json::Error| LabelledError::Row {
            path: labels.clone(),
            line,
            column: error.column(),
            // Each row is parsed by itself, so that the line that the parser names is always the first.
            reason: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
        };
        cases.push(match folder {
            Some(folder) => of_mail(folder, row, malformed)?,
            None => of_text(row, line).map_err(malformed)?,
        });
    }
    if cases.is_empty() { Err(LabelledError::Empty { path: labels }) } else { Ok(cases) }
}

#[derive(Deserialize)]
struct TextRow {
    #[serde(default)]
    id: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "or_default")]
    channel: String,
    #[serde(default, deserialize_with = "or_default")]
    subject: String,
    text: String,
}

fn of_text(row: &str, line: usize) -> Result<Case, serde_json::Error> {
    let TextRow { id, channel, subject, text } = serde_json::from_str(row)?;
    let name = match id {
        Some(serde_json::Value::String(id)) => id,
        Some(id) => id.to_string(),
        None => format!("line {line}"),
    };
    let body = if channel == "email_html" { of_html(&subject, &text) } else { Body::Text { subject, text } };
    Ok(Case { name, body, label: serde_json::from_str(row)? })
}

/// A mail around an HTML body.
fn of_html(subject: &str, html: &str) -> Body {
    let subject = subject.replace(['\r', '\n'], " ");
    Body::Mail(
        format!("From: sender@example.com\r\nSubject: {subject}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}")
            .into_bytes(),
    )
}

#[derive(Deserialize)]
struct MailRow {
    file: String,
}

fn of_mail(
    folder: &Path,
    row: &str,
    malformed: impl Fn(serde_json::Error) -> LabelledError,
) -> Result<Case, LabelledError> {
    let MailRow { file } = serde_json::from_str(row).map_err(&malformed)?;
    let label = serde_json::from_str(row).map_err(&malformed)?;
    let path = folder.join(&file);
    let raw = fs::read(&path).map_err(|source| LabelledError::Unreadable { path, source })?;
    Ok(Case { name: file, body: Body::Mail(raw), label })
}

/// A `null` is as good as an absent field.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}
