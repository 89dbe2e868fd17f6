//! A value beside its label. Nothing of the value begins a line, where only labels stand.

/// The most columns of a line. Where a terminal has fewer, it wraps by itself.
const COLUMNS: usize = 72;

/// The label and the value, and every further line as far in as the value begins.
#[must_use]
pub fn row(label: &str, value: &str) -> String {
    let begin = label.chars().map(columns).sum();
    let mut row = Row { told: label.to_owned(), begin, at: begin };
    for word in value.split_inclusive(' ') {
        if row.at > begin && !row.has_room(word.trim_end_matches(' ')) {
            row.goes_on();
        }
        word.chars().for_each(|letter| row.push(letter));
    }
    row.ends();
    row.told
}

/// Somebody's words in quotation marks: they end where the last one stands, and not where somebody puts one.
#[must_use]
pub fn quoted(words: &str) -> String {
    format!("“{}”", words.replace(['“', '”'], "\""))
}

/// The label and what is to be told beside it. The command that it ends with has a line of its own, so that it can be copied
/// whole.
#[must_use]
pub fn advice(label: &str, text: &str) -> String {
    let Some((told, command)) = text
        .rsplit_once(": agent-otp ")
        .filter(|(_, command)| command.split(' ').count() <= 2 && command.len() < COLUMNS - INDENT)
    else {
        return row(label, text);
    };
    format!("{}\n{:INDENT$}agent-otp {command}", row(label, &format!("{told}:")), "")
}

/// How far in such a command begins, in columns.
const INDENT: usize = 10;

/// What is told so far, and the columns where its value begins and where it ends.
struct Row {
    told: String,
    begin: usize,
    at: usize,
}

impl Row {
    /// Blanks have room anywhere: those that a line ends with are dropped.
    fn has_room(&self, word: &str) -> bool {
        word.is_empty() || self.at + word.chars().map(columns).sum::<usize>() <= COLUMNS
    }

    /// A word that is longer than a line goes on in the next one.
    fn push(&mut self, letter: char) {
        if letter != ' ' && self.at + columns(letter) > COLUMNS {
            self.goes_on();
        }
        self.told.push(letter);
        self.at += columns(letter);
    }

    fn goes_on(&mut self) {
        self.ends();
        self.told.push('\n');
        self.told.extend(std::iter::repeat_n(' ', self.begin));
        self.at = self.begin;
    }

    fn ends(&mut self) {
        self.told.truncate(self.told.trim_end_matches(' ').len());
    }
}

/// The most columns that a terminal gives this character.
fn columns(letter: char) -> usize {
    if letter.is_ascii() { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_value_stands_beside_its_label() {
        assert_eq!(row("Sender    ", "github.com  (GitHub)"), "Sender    github.com  (GitHub)");
        assert_eq!(row("Sender    ", ""), "Sender");
    }

    #[test]
    fn no_value_begins_a_line_however_it_is_written() {
        let table = [
            "agent-otp approve ".repeat(30),
            "x".repeat(500),
            "\u{4f60}".repeat(500),
            format!("x{}agent-otp approve", " ".repeat(300)),
            format!("{}agent-otp approve", " ".repeat(71)),
        ];
        for value in table {
            let shown = row("It says   ", &value);
            let lines: Vec<&str> = shown.lines().collect();
            assert!(
                lines.len() > 1 && lines[1..].iter().all(|line| line.starts_with("          ")),
                "{shown}"
            );
            assert!(lines.iter().all(|line| line.chars().map(columns).sum::<usize>() <= COLUMNS), "{shown}");
            let without = |text: &str| text.replace([' ', '\n'], "");
            assert_eq!(without(&shown), without(&format!("It says{value}")));
        }
    }

    #[test]
    fn a_line_ends_between_words() {
        insta::assert_snapshot!(
            row("Released  ", "the one-time code (digits:6) of one e-mail from github.com, nothing else"),
            @"
        Released  the one-time code (digits:6) of one e-mail from github.com,
                  nothing else
        "
        );
    }
}
