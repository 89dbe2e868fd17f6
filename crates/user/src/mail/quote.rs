//! Drops what a plain text quotes from an earlier mail.

use std::sync::LazyLock;

use regex::Regex;
use zeroize::Zeroizing;

/// A plain text without its quotes: lines with `>`, and all that follows `On … wrote:` or `Original Message`.
///
/// A text that begins with such a line is a forwarded mail, and the mail is all that it says: it stays.
pub(super) fn without_quotes(text: &str) -> Zeroizing<String> {
    let own =
        REPLY.find_iter(text).find(|found| says_something(text.get(..found.start()).unwrap_or_default()));
    let own = own.map_or(text, |found| text.get(..found.start()).unwrap_or_default());
    let mut kept = Zeroizing::new(String::with_capacity(own.len()));
    for line in own.lines().filter(|line| !is_quoted(line)) {
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

fn says_something(text: &str) -> bool {
    text.lines().any(|line| !is_quoted(line) && line.contains(char::is_alphanumeric))
}

/// Whether a line is of another mail; in `>>> 482913 <<<` it is only set off.
fn is_quoted(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('>') && !line.ends_with('<')
}

/// The line, or two, that mail programs put before what they quote.
#[expect(clippy::expect_used, reason = "a constant expression, which every test compiles")]
static REPLY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?imx)
        ^[\ \t]*(?:
            (?:on|am|le|el|il|em|op|den|dnia|dne|w\ dniu|pe|la)\b[^\n]{4,200}(?:\n[^\n]{0,200})?
            \b(?:wrote|schrieb|a\ [ée]crit|escribi[óo]|ha\ scritto|escreveu|schreef|skrev|kirjoitti|napisa[łl]\(?a?\)?|napsal\(?a?\)?|a\ scris)\b[^\n]{0,120}(?:\n[^\n]{0,120})?:[\ \t]*\r?$
            | [^\n]{0,200}(?:пишет|написал\(?а?\)?|のメッセージ|写道|寫道|님이\ 작성)[^\n]{0,40}[:：][\ \t]*\r?$
            | -{2,}[\ \t]*(?:original\ message|urspr[üu]ngliche\ nachricht|message\ d.origine|mensaje\ original|messaggio\ originale|mensagem\ original|oorspronkelijk\ bericht|ursprungligt\ meddelande|oprindelig\ meddelelse|opprinnelig\ melding|alkuper[äa]inen\ viesti|(?:oryginalna\ )?wiadomo[śs][ćc](?:\ oryginalna)?|p[ůu]vodn[íi]\ (?:zpr[áa]va|e-mail)|p[ôo]vodn[áa]\ spr[áa]va|eredeti\ [üu]zenet|mesaj\ original|(?:orijinal|[öo]zg[üu]n)\ (?:mesaj|ileti)|αρχικ[όο]\ μ[ήη]νυμα|元のメッセージ|原始邮件|原始郵件|원본\ 메시지|원본\ 메일|оригінальне\ повідомлення|исходное\ сообщение)[\ \t]*-{2,}
            | _{10,}[\ \t]*\r?\n[\ \t]*(?:from|von|de|da|van|от|fr[åa]n|fra)\b[^\n]*:
        )",
    )
    .expect("a regular expression")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_dropped() {
        for text in [
            "New code 482913.\n> Your code is 111222.\n",
            "New code:\n\n>>> 482913 <<<\n> Your code is 111222.\n",
            "New code 482913.\n\nOn Mon, 23 Nov 2026 at 09:01, Acme wrote:\nYour code is 111222.\n",
            "New code 482913.\n\nAm 23.11.2026 um 09:01 schrieb Acme\n<a@acme.example>:\nYour code is 111222.\n",
            "New code 482913.\n\n-----Original Message-----\nFrom: Acme\nYour code is 111222.\n",
            "New code 482913.\n\n________________________________\nFrom: Acme\nYour code is 111222.\n",
        ] {
            let own = without_quotes(text);
            assert!(own.contains("482913") && !own.contains("111222"), "{text}");
        }
    }

    #[test]
    fn a_mail_that_only_forwards_is_its_text() {
        assert!(
            without_quotes("-----Original Message-----\nFrom: Acme\n\nYour code is 482913.\n")
                .contains("482913")
        );
    }
}
