//! How the demo tells what it does: prose for people, one JSON object a step for programs.

use serde_json::json;

use crate::{print, typed};

/// Tells the steps, and counts those that did not come out as promised.
#[derive(Debug)]
pub(crate) struct Tale {
    json: bool,
    chapter: usize,
    failures: usize,
}

impl Tale {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, chapter: 0, failures: 0 }
    }

    /// A heading, and what is about to happen.
    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter = self.chapter.saturating_add(1);
        if !self.json {
            print::out(&format!("\n{}. {title}", self.chapter));
        }
    }

    /// What happens.
    pub(crate) fn tell(&self, line: &str) {
        if !self.json {
            line.lines().for_each(|line| print::out(&format!("   {line}")));
        }
    }

    /// A promise, and whether it holds.
    pub(crate) fn check(&mut self, step: &'static str, promise: &str, holds: bool) {
        if !holds {
            self.failures = self.failures.saturating_add(1);
        }
        if self.json {
            print::out(&json!({ "step": step, "ok": holds, "text": promise }).to_string());
        } else {
            print::out(&format!("   {} {promise}", if holds { "✓" } else { "✗ NOT SO:" }));
        }
    }

    /// The last word: whether every promise held.
    pub(crate) fn end(&self) -> bool {
        let holds = self.failures == 0;
        if self.json {
            print::out(&json!({ "step": "end", "ok": holds, "failures": self.failures }).to_string());
        } else if holds {
            print::out(&format!("\nEvery check held. Run it for yourself: {} up", typed::program()));
        } else {
            print::out(&format!("\n{} checks did not hold. Please report this.", self.failures));
        }
        holds
    }
}
