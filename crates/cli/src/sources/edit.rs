//! `sources kinds`, `list`, `add` and `remove`: what the user has configured, and how it is changed.

use std::path::Path;
use std::process::ExitCode;

use agent_otp_keyring::private;
use agent_otp_user::source::KINDS;
use agent_otp_user::source::config::{self, Configured, Sources};
use anyhow::{Context as _, bail};
use serde_json::json;
use zeroize::Zeroizing;

use crate::hidden::{self, Line};
use crate::place::Place;
use crate::print;

/// Prints an example of each kind, which says what may stand in the file.
pub(crate) fn kinds() -> ExitCode {
    let examples: Vec<&str> =
        KINDS.iter().filter_map(|kind| Some(kind.table.as_ref()?.example.trim_end())).collect();
    print::out(&examples.join("\n\n"));
    ExitCode::SUCCESS
}

/// Lists what is configured.
pub(crate) fn list(place: &Place, as_json: bool) -> anyhow::Result<ExitCode> {
    let path = place.source_config();
    let configured = config::read(&path)?;
    if as_json {
        let row = |source: &dyn Configured| json!({ "name": source.label().to_string(), "kind": source.kind(), "place": source.place() });
        let rows: Vec<_> = configured.iter().map(|source| row(&**source)).collect();
        print::out(&print::json(&rows)?);
    } else if configured.is_empty() {
        print::out("Nothing is configured: messages are taken where `agent-otp up` says.");
        print::say(&format!("`agent-otp sources kinds` shows what may stand in {}", path.display()));
    } else {
        for source in &configured {
            let name = source.label().to_string();
            print::out(&format!("{name:<16} {:<8} {}", source.kind(), source.place()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds a table to the file, if the whole can be used then; a secret is asked for last.
pub(crate) fn add(
    place: &Place,
    kind: &str,
    fields: &[String],
    ask: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let path = place.source_config();
    let mut fields: Vec<(&str, String)> =
        fields.iter().map(|field| split(field)).collect::<Result<_, _>>()?;
    let name = fields.iter().find(|(field, _)| *field == "name");
    let name = name
        .map(|(_, name)| name.trim_matches('"').to_owned())
        .context("a source needs a name, such as name=private")?;
    let secret = ask.map(|field| (field, place.sources().join(format!("{name}.login"))));
    if let Some((field, file)) = &secret {
        fields.push((field, file.display().to_string()));
    }
    let line = |(field, value): &(&str, String)| format!("{field} = {}", written(value));
    let table = fields.iter().map(line).collect::<Vec<_>>().join("\n");
    let before = content(&path)?;
    let gap = if before.is_empty() || before.ends_with("\n\n") { "" } else { "\n" };
    let text = format!("{}{gap}[[{kind}]]\n{table}\n", *before);
    config::parse(&path, text.as_bytes()).context("nothing was added")?;
    private::make_dir(place.dir())?;
    if let Some((_, file)) = &secret {
        private::make_dir(&place.sources())?;
        // No source has this name: what lies there was left by an `add` that was broken off.
        private::replace(file, asked_for(&name)?.as_bytes())?;
    }
    private::replace(&path, text.as_bytes())?;
    print::out(&format!("added {name}"));
    print::say(&format!("Next: {} sources check {name}, and start `agent-otp up` again.", place.typed()));
    Ok(ExitCode::SUCCESS)
}

/// Takes a table out of the file.
pub(crate) fn remove(place: &Place, name: &str) -> anyhow::Result<ExitCode> {
    let path = place.source_config();
    let mut others = summary(&config::read(&path)?);
    let known = others.len();
    others.retain(|(called, ..)| called != name);
    if others.len() == known {
        bail!("there is no source {name}; `agent-otp sources list` names them");
    }
    let text = without(&content(&path)?, name);
    if config::parse(&path, text.as_bytes()).map(|kept| summary(&kept)).ok() != Some(others) {
        bail!(
            "nothing was removed: it is not clear where the table of {name} begins and ends in {}; take it out by hand",
            path.display()
        );
    }
    private::replace(&path, text.as_bytes())?;
    private::remove(&place.sources().join(format!("{name}.login")))?;
    print::out(&format!("removed {name}"));
    print::say("Next: start `agent-otp up` again.");
    Ok(ExitCode::SUCCESS)
}

fn content(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    if !path.exists() {
        return Ok(Zeroizing::default());
    }
    let content = private::read(path)?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&content).into_owned()))
}

fn split(field: &str) -> anyhow::Result<(&str, String)> {
    let (name, value) = field.split_once('=').with_context(|| format!("`{field}` is no FIELD=VALUE"))?;
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !is_plain || value.contains(['\n', '\r']) {
        bail!("`{name}` is no field; `agent-otp sources kinds` names them");
    }
    Ok((name, value.to_owned()))
}

/// A value as TOML has it: as it was typed where it is one that is no text, and in quotes otherwise.
fn written(value: &str) -> String {
    let typed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    if typed.is_ok_and(|table| table.len() == 1) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What is known of sources without opening them: name, kind and place of each.
fn summary(sources: &Sources) -> Vec<(String, &'static str, String)> {
    sources.iter().map(|source| (source.label().to_string(), source.kind(), source.place())).collect()
}

/// The text without the table of this source.
fn without(text: &str, name: &str) -> Zeroizing<String> {
    let kept: Vec<&str> = blocks(text).into_iter().filter(|block| !is_called(block, name)).collect();
    Zeroizing::new(kept.concat())
}

/// The parts of a file, each with the head of its table and the comment directly above it; what stands before the first is
/// one of its own.
fn blocks(text: &str) -> Vec<&str> {
    let (mut blocks, mut from, mut at, mut comment) = (Vec::new(), 0, 0, None);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("[[") {
            let begins = comment.unwrap_or(at);
            blocks.extend(text.get(from..begins));
            from = begins;
        }
        let is_comment = line.trim_start().starts_with('#');
        comment = comment.or(Some(at)).filter(|_| is_comment);
        at += line.len();
    }
    blocks.extend(text.get(from..));
    blocks
}

/// Whether a part is the table of this source.
fn is_called(block: &str, name: &str) -> bool {
    let Ok(table) = toml::from_str::<toml::Table>(block) else { return false };
    let tables = table.values().filter_map(toml::Value::as_array).flatten();
    tables.filter_map(|table| table.get("name")?.as_str()).any(|called| called == name)
}

fn asked_for(name: &str) -> anyhow::Result<Zeroizing<String>> {
    match hidden::line(&format!("Secret of {name} (it is not shown): "))? {
        Line::Typed(secret) if !secret.trim().is_empty() => Ok(secret),
        Line::Typed(_) | Line::End => bail!("nothing was typed, and nothing was added"),
        Line::Interrupted => bail!("interrupted, and nothing was added"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_it_was_typed_or_as_a_text() {
        for (typed, expected) in [
            ("993", "993"),
            ("true", "true"),
            ("[\"INBOX\", \"Spam\"]", "[\"INBOX\", \"Spam\"]"),
            ("\"993\"", "\"993\""),
            ("mail.example", "\"mail.example\""),
            ("127.0.0.1", "\"127.0.0.1\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("", "\"\""),
        ] {
            assert_eq!(written(typed), expected, "{typed}");
        }
    }

    #[test]
    fn a_file_is_the_sum_of_its_blocks() {
        let text = "# mine\n\n[[a]]\nname = \"x\"\n# of x\n\n# note\n# more\n  [[b]]\n  name = \"y\"\n";
        let blocks = blocks(text);
        assert_eq!(blocks.concat(), text);
        let is_y: Vec<bool> = blocks.iter().map(|block| is_called(block, "y")).collect();
        assert_eq!(is_y, [false, false, true]);
        assert_eq!(*without(text, "x"), "# mine\n\n# note\n# more\n  [[b]]\n  name = \"y\"\n");
        assert_eq!(*without(text, "y"), "# mine\n\n[[a]]\nname = \"x\"\n# of x\n\n");
        assert_eq!(super::blocks(""), [""]);
        assert!(is_called("[[a]]\nname = \"x\"\n", "x"));
    }
}
