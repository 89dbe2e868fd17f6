//! Regular expressions that are written in the program.

use regex::Regex;

#[expect(clippy::expect_used, reason = "constant expressions, which every test compiles")]
pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a regular expression")
}
