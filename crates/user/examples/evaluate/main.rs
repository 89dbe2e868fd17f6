//! Judges the extraction by labelled messages: recall, wrong codes, false positives and every miss.
#![expect(clippy::print_stderr, reason = "an example has no log")]

#[path = "../../tests/dns/mod.rs"]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "it answers this program's own questions")]
mod dns;
mod figures;
mod judge;
mod labelled;
mod post;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use figures::Figures;
use judge::{Outcome, Verdict};
use post::Post;

const HELP: &str = "\
Judges the extraction of codes and links by labelled messages.

Usage: cargo run -p agent-otp-user --example evaluate -- [--json] FILE...

FILE is either a JSON Lines file of messages, one object a line:

  id           a name for the row, shown with a miss
  channel      `sms`, `email_text`, or `email_html` for an HTML body (`sms` if absent)
  sender       who sent it; not judged here
  subject      the subject of an e-mail
  text         the message
  expected     the code, written as it leaves (without spaces), or null where nothing may leave
  also_accept  other answers that are right too
  lang, tag    shown with a miss
  link, filter_service
               the link that a request for `filter_service` gets; with the tag `link`, null where it gets none

or a folder of `.eml` files with an `expected.jsonl`, whose rows have `file` for `id` and `text`, and besides

  release_for_filter
               false if nothing may leave for `filter_service`, whatever the mail says
  auth         that the sender decides about the mail, with the SMTP envelope where it matters: `mail_from`, `ip`

With a `zone.json` in that folder ({\"txt\": {NAME: TEXT}}), senders are verified by DKIM, SPF and DMARC as of the moment
that the latest mail was written; without, such a mail counts only if its `From` is another one's.

With --json, prints one object: {\"positives\",\"found\",\"wrong\",\"negatives\",\"false_positives\"}.
";

fn main() -> ExitCode {
    let (options, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let is_json = match options.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--json"] => true,
        ["--help" | "-h"] => {
            return say(HELP.trim_end());
        }
        options => return refuse(&format!("cannot use {}; see --help", options.join(" "))),
    };
    if files.is_empty() {
        return refuse("name a JSON Lines file, or a folder of mails with its `expected.jsonl`; see --help");
    }
    let (mut sum, mut report) = (Figures::default(), Vec::new());
    for file in files.iter().map(PathBuf::from) {
        let cases = match labelled::read(&file) {
            Ok(cases) => cases,
            Err(error) => return refuse(&error.to_string()),
        };
        let post = match Post::of(&file, &cases) {
            Ok(post) => post,
            Err(error) => return refuse(&format!("cannot verify the mails of {}: {error}", file.display())),
        };
        let verdicts: Vec<Verdict> =
            cases.iter().flat_map(|case| judge::judge(case, post.as_ref())).collect();
        let figures: Figures = verdicts.iter().collect();
        if !is_json {
            report.push(format!("{}: {figures}", file.display()));
            let others = verdicts.iter().filter(|verdict| verdict.outcome != Outcome::Right);
            report.extend(others.map(|verdict| format!("  {verdict}")));
        }
        sum = sum.plus(figures);
    }
    match is_json {
        true => report.push(sum.json()),
        false if files.len() > 1 => report.push(format!("all: {sum}")),
        false => {}
    }
    say(&report.join("\n"))
}

/// Prints a text; whoever reads it may stop before its end.
fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => refuse(&format!("cannot print: {error}")),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn refuse(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}
