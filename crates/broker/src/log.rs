//! What the server said in its log: its last words, and whether it took a new configuration.

use std::fs;
use std::path::PathBuf;

/// The log of one broker.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
}

/// What the server answered to SIGHUP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    Taken,
    Refused { said: String },
}

impl Log {
    /// Its length in bytes.
    pub(crate) fn mark(&self) -> usize {
        self.text().len()
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(5)).copied().collect::<Vec<_>>().join("\n")
    }

    /// What the server answered to a SIGHUP that was sent after `mark`; `None` if it has not yet.
    pub(crate) fn reload_since(&self, mark: usize) -> Option<Reload> {
        let text = self.text();
        // A log that is shorter than it was has been rotated.
        let news = text.get(mark..).unwrap_or(&text);
        news.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| {
            if line.contains("Reloaded server configuration") {
                Some(Reload::Taken)
            } else {
                let (_, said) = line.split_once("Failed to reload server configuration: ")?;
                Some(Reload::Refused { said: said.trim_end().to_owned() })
            }
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_after_the_mark_counts() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log { path: dir.path().join("log") };
        assert_eq!((log.mark(), log.tail()), (0, String::new()));
        fs::write(&log.path, "[7] [INF] Reloaded server configuration (sha256:00)\n").unwrap();
        assert_eq!(log.reload_since(0), Some(Reload::Taken));
        let mark = log.mark();
        assert_eq!(log.reload_since(mark), None);
        let said = "[7] [ERR] Failed to reload server configuration: a.conf:3:1: no such thing\n";
        fs::write(&log.path, log.text() + said).unwrap();
        let refused = Reload::Refused { said: "a.conf:3:1: no such thing".to_owned() };
        assert_eq!(log.reload_since(mark), Some(refused));
    }
}
