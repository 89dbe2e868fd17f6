//! What a person types to run this program again, for hints that can be copied.

/// What the program is called where it is installed.
pub(crate) const NAME: &str = "agent-otp";

/// This program, as it was typed.
pub(crate) fn program() -> String {
    std::env::args_os().next().map_or_else(|| NAME.to_owned(), |typed| quoted(&typed.to_string_lossy()))
}

/// A word as a shell takes it for one.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_otherwise() {
        let table = [
            ("target/release/agent-otp", "target/release/agent-otp"),
            ("/home/jürgen/.local/share", "/home/jürgen/.local/share"),
            ("/tmp/a b", "'/tmp/a b'"),
            ("~/$HOME", "'~/$HOME'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ];
        for (word, typed) in table {
            assert_eq!(quoted(word), typed);
        }
    }
}
