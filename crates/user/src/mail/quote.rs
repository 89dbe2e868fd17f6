//! Drops what a text quotes from an earlier mail.

use std::sync::LazyLock;

use regex::Regex;
use zeroize::Zeroizing;

/// What the mail is that stands below the text of this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// An earlier one, which was answered.
    Answered,
    /// The one that is forwarded: all that there is to read.
    Forwarded,
}

impl Below {
    /// What a subject says of it: `Fwd: …`, `WG: …`.
    pub(super) fn of(subject: &str) -> Self {
        const FORWARD: [&str; 16] = [
            "fwd", "fw", "wg", "tr", "rv", "enc", "i", "vs", "vb", "vl", "pd", "doorst", "转发", "轉寄",
            "転送", "전달",
        ];
        let mark = subject.split_once([':', '：']).map(|(mark, _)| mark.trim().to_lowercase());
        match mark {
            Some(mark) if FORWARD.contains(&mark.as_str()) => Self::Forwarded,
            Some(_) | None => Self::Answered,
        }
    }

    /// A text without the earlier mail below it: all that follows `On … wrote:`, `Original Message`, or its header.
    ///
    /// A text that begins with such a line is a forwarded mail, and the mail is all that it says: it stays.
    pub(super) fn own(self, text: &str) -> &str {
        let is_answered = self == Self::Answered;
        let begins = |below: &str| REPLY.is_match(below) || (is_answered && HEADER.is_match(below));
        // What is before this says nothing of its own.
        let mut end = said_until(text);
        while let Some(below) = text.get(end..).filter(|below| !below.is_empty()) {
            let line = below.split_inclusive('\n').next().unwrap_or_default();
            if may_begin(line) && begins(below) {
                return text.get(..end).unwrap_or(text);
            }
            end += line.len();
        }
        text
    }
}

/// A plain text without the lines that it quotes.
pub(super) fn without_quotes(own: &str) -> Zeroizing<String> {
    let mut kept = Zeroizing::new(String::with_capacity(own.len()));
    for line in own.lines().filter(|line| !is_quoted(line)) {
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Where the first line ends that says something and is no quote.
fn said_until(text: &str) -> usize {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        end += line.len();
        if !is_quoted(line) && line.contains(char::is_alphanumeric) {
            break;
        }
    }
    end
}

/// Whether a line may be the first of an earlier mail: the patterns cost too much to be tried at each.
fn may_begin(line: &str) -> bool {
    /// How those begin that do not end in a colon: `On Monday`, and the other ways to say so.
    const DAYS: [&str; 13] =
        ["on", "am", "le", "el", "il", "em", "op", "den", "dnia", "dne", "w", "pe", "la"];
    let line = line.trim();
    let first = line.split(char::is_whitespace).next().unwrap_or_default();
    line.starts_with(['-', '_'])
        || line.contains([':', '：'])
        || DAYS.iter().any(|day| day.eq_ignore_ascii_case(first))
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
        \A[\ \t]*(?:
            (?:on|am|le|el|il|em|op|den|dnia|dne|w\ dniu|pe|la)\b[^\n]{4,200}(?:\n[^\n]{0,200})?
            \b(?:wrote|schrieb|a\ [ée]crit|escribi[óo]|ha\ scritto|escreveu|schreef|skrev|kirjoitti|napisa[łl]\(?a?\)?|napsal\(?a?\)?|a\ scris)\b[^\n]{0,120}(?:\n[^\n]{0,120})?:[\ \t]*\r?$
            | [^\n]{0,200}(?:пишет|написал\(?а?\)?|のメッセージ|写道|寫道|님이\ 작성)[^\n]{0,40}[:：][\ \t]*\r?$
            | -{2,}[\ \t]*(?:original\ message|urspr[üu]ngliche\ nachricht|message\ d.origine|mensaje\ original|messaggio\ originale|mensagem\ original|oorspronkelijk\ bericht|ursprungligt\ meddelande|oprindelig\ meddelelse|opprinnelig\ melding|alkuper[äa]inen\ viesti|(?:oryginalna\ )?wiadomo[śs][ćc](?:\ oryginalna)?|p[ůu]vodn[íi]\ (?:zpr[áa]va|e-mail)|p[ôo]vodn[áa]\ spr[áa]va|eredeti\ [üu]zenet|mesaj\ original|(?:orijinal|[öo]zg[üu]n)\ (?:mesaj|ileti)|αρχικ[όο]\ μ[ήη]νυμα|元のメッセージ|原始邮件|原始郵件|원본\ 메시지|원본\ 메일|оригінальне\ повідомлення|исходное\ сообщение)[\ \t]*-{2,}
            | _{10,}[\ \t]*\r?\n[\ \t]*(?:from|von|de|da|van|от|fr[åa]n|fra)\b[^\n]*:
        )",
    )
    .expect("a regular expression")
});

/// The header of an earlier mail, as Outlook puts it above what is answered; a forwarded mail has one too.
#[expect(clippy::expect_used, reason = "a constant expression, which every test compiles")]
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?imx)
        \A[\ \t]*(?:from|von|de|da|van|fr[åa]n|fra|l[äa]hett[äa]j[äa]|od|feladó|kimden|από|от|від|差出人|发件人|寄件者|보낸\ 사람)[^\S\n]?[:：](?:
            [^\n]{0,300}\n[\ \t]*(?:sent|gesendet|envoy[ée](?:\ le)?|enviad[oa](?:\ el|\ em)?|inviato|verzonden|skickat|l[äa]hetetty|wys[łl]ano|odesl[áa]no|odoslan[ée]|elküldve|trimis|g[öo]nderildi|g[öo]nderme\ tarihi|στάλθηκε|отправлено|надіслано|送信日時|发送时间|寄件日期|보낸\ 날짜)
            | [^\n]{0,200}@[^\n]{0,100}\n[\ \t]*(?:date|datum|data|fecha|dato|sendt|to|an|[àa]|para|til|till)
        )[^\S\n]?[:：]
        ",
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
            "New code 482913.\n\nDe : Acme <a@acme.example>\nEnvoyé : lundi 23 novembre 2026 09:52\nÀ : user@home.example\nObjet : code\n\nYour code is 111222.\n",
            "New code 482913.\n\n________________________________\nFrom: Acme\nYour code is 111222.\n",
        ] {
            let own = without_quotes(Below::Answered.own(text));
            assert!(own.contains("482913") && !own.contains("111222"), "{text}");
        }
    }

    #[test]
    fn what_a_mail_forwards_or_tells_of_a_parcel_is_its_text() {
        for (subject, text) in [
            ("Your parcel", "It is waiting.\nFrom: Acme\nTo: Anna\n\nYour pickup code is 482913.\n"),
            ("Your code", "-----Original Message-----\nFrom: Acme\n\nYour code is 482913.\n"),
            ("Fwd: Your code", "For you.\n\nFrom: Acme\nSent: Monday\n\nYour code is 482913.\n"),
        ] {
            assert!(Below::of(subject).own(text).contains("482913"), "{text}");
        }
    }
}
