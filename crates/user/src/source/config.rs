//! What the user has configured: `sources.toml`, in which each table `[[KIND]]` is one source.
//!
//! The file names secrets and never holds one, but it names programs to run too: only its user may read or write it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use agent_otp_keyring::{KeyringError, private};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::judge::Judge;
use crate::source::finding::Check;
use crate::source::{Binding, KINDS};

/// What the user has configured.
pub type Sources = Vec<Box<dyn Configured>>;

/// How the tables of one kind are read.
#[derive(Debug)]
pub struct Table {
    /// A whole table with a comment on each field, for people.
    pub example: &'static str,
    /// Reads the tables of this kind in the text of a configuration, and passes over the others.
    pub read: fn(&str) -> Result<Sources, toml::de::Error>,
}

/// What there is to know of the tables `[[$name]]`, each of which reads as a `$table`; an example lies in a directory of
/// that name beside the source.
macro_rules! table {
    ($name:ident: $table:ty) => {
        $crate::source::config::Table {
            example: include_str!(concat!(stringify!($name), "/example.toml")),
            read: |text| {
                #[derive(serde::Deserialize)]
                struct Tables {
                    #[serde(default)]
                    $name: Vec<$table>,
                }
                let Tables { $name } = toml::from_str(text)?;
                let boxed = |table| Box::new(table) as Box<dyn $crate::source::config::Configured>;
                Ok($name.into_iter().map(boxed).collect())
            },
        }
    };
}
pub(super) use table;

/// One source that the user has configured.
pub trait Configured: fmt::Debug + Send + Sync {
    /// The name of its kind.
    fn kind(&self) -> &'static str;

    /// What the user calls it.
    fn label(&self) -> &Label;

    /// Where it takes messages from, in a few words for people.
    fn place(&self) -> String;

    /// Opens it. What can be wrong with files of this machine fails; another machine need not be there yet.
    fn open(&self) -> Binding;

    /// Tries what it is for, without taking a message.
    fn check(&self) -> Check;

    /// Shows how a mail would be judged: the newest that lies there, or one that is delivered for it.
    fn test(&self, judge: Judge) -> Check;
}

/// What the user calls a source: 1 to 32 characters of `a-z0-9-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(String);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let label = String::deserialize(deserializer)?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=32).contains(&label.len()) && label.bytes().all(is_plain) {
            Ok(Self(label))
        } else {
            Err(D::Error::custom("a name has 1 to 32 characters of a-z, 0-9 and -"))
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is open to others, or cannot be read.
    #[error(transparent)]
    File(#[from] KeyringError),
    /// It says something that cannot be.
    #[error("line {line} of {}: {reason}; `agent-otp sources kinds` shows what may stand there", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong; of the text it repeats nothing but names of fields.
        reason: String,
    },
}

/// What the user has configured, in the order of [`KINDS`]; nothing if there is no such file.
///
/// # Errors
///
/// [`ConfigError`] says what to mend, and where.
pub fn read(path: &Path) -> Result<Sources, ConfigError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    parse(path, &private::read(path)?)
}

/// Reads the content of a file with this name.
///
/// # Errors
///
/// [`ConfigError::Malformed`].
pub fn parse(path: &Path, content: &[u8]) -> Result<Sources, ConfigError> {
    let text = str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        malformed(path, &String::from_utf8_lossy(before), "this is no UTF-8")
    })?;
    let wrong = |error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        malformed(path, text.get(..at).unwrap_or_default(), &without_values(error.message()))
    };
    let tables: BTreeMap<Spanned<String>, toml::Value> = toml::from_str(text).map_err(wrong)?;
    let kinds: BTreeSet<&str> =
        KINDS.iter().filter(|kind| kind.table.is_some()).map(|kind| kind.name).collect();
    if let Some(unknown) = tables.keys().find(|name| !kinds.contains(name.get_ref().as_str())) {
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let reason = format!("this is no kind of source; there are {}", kinds.join(", "));
        return Err(malformed(path, text.get(..unknown.span().start).unwrap_or_default(), &reason));
    }
    let mut configured = Vec::new();
    for table in KINDS.iter().filter_map(|kind| kind.table.as_ref()) {
        configured.extend((table.read)(text).map_err(wrong)?);
    }
    let mut labels = BTreeSet::new();
    for source in &configured {
        if !labels.insert(source.label().clone()) {
            return Err(malformed(path, text, &format!("two sources are called {}", source.label())));
        }
    }
    Ok(configured)
}

fn malformed(path: &Path, before: &str, reason: &str) -> ConfigError {
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    ConfigError::Malformed { path: path.to_owned(), line, reason: reason.to_owned() }
}

/// A parser's message without the values that it quotes: one may be a password that stands where none belongs.
fn without_values(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let mut parts = first.split('"');
    let mut said = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        said.push_str(if index % 2 == 0 { "…" } else { part });
    }
    said
}

/// Whether a path in a configuration means the same file wherever the program is started.
pub(super) fn absolute(path: &Path) -> Result<(), &'static str> {
    if path.is_absolute() { Ok(()) } else { Err("a path begins with /") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_configuration() {
        for kind in KINDS {
            let Some(table) = &kind.table else { continue };
            let read = parse(Path::new("sources.toml"), table.example.as_bytes()).unwrap();
            assert_eq!(read.iter().map(|source| source.kind()).collect::<Vec<_>>(), [kind.name]);
        }
    }

    #[test]
    fn an_empty_file_and_a_missing_one_configure_nothing() {
        assert!(parse(Path::new("sources.toml"), b"# nothing\n").unwrap().is_empty());
        assert!(read(Path::new("/nowhere/sources.toml")).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_what_stands_there() {
        let imap = "[[imap]]\nname = \"a\"\nhost = \"h.example\"\nuser = \"u\"\n";
        for (text, told) in [
            (
                "\n[[pop3]]\n",
                "line 2 of /c/sources.toml: this is no kind of source; there are imap, lmtp, maildir, smtp;",
            ),
            ("[[imap]\n", "line 1 of /c/sources.toml: "),
            (
                &format!("{imap}password = \"hunter2\"\n"),
                "line 5 of /c/sources.toml: unknown field `password`, expected one of",
            ),
            (
                &format!("{imap}password_file = \"/a\"\nport = \"hunter2\"\n"),
                "line 6 of /c/sources.toml: invalid type: string …, expected u16;",
            ),
            (
                imap,
                "line 1 of /c/sources.toml: one of password_file, token_file and token_command is needed;",
            ),
            (&format!("{imap}password_file = \"a\"\n"), "line 1 of /c/sources.toml: a path begins with /"),
            (
                &format!("{imap}password_file = \"/a\"\ntls = \"none\"\n"),
                "line 1 of /c/sources.toml: without TLS, ",
            ),
            (
                "[[maildir]]\nname = \"A b\"\npath = \"/a\"\n",
                "line 2 of /c/sources.toml: a name has 1 to 32 characters",
            ),
            ("[[maildir]]\npath = \"/a\"\n", "line 1 of /c/sources.toml: missing field `name`;"),
            ("[[lmtp]]\nname = \"a\"\n", "line 1 of /c/sources.toml: one of listen and socket is needed;"),
            (
                "[[maildir]]\nname = \"a\"\npath = \"/a\"\n[[maildir]]\nname = \"a\"\npath = \"/b\"\n",
                "two sources are called a;",
            ),
        ] {
            let error = parse(Path::new("/c/sources.toml"), text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("hunter2"), "{error}");
            assert!(error.ends_with("`agent-otp sources kinds` shows what may stand there"), "{error}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sources.toml");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("type chmod 600"), "{error}");
    }
}
