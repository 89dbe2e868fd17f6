//! Which parts of a mail are its text.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, PatternID};
use mail_parser::decoders::base64::base64_decode;
use mail_parser::{ContentType, Message, MessagePart, MimeHeaders, PartType};
use zeroize::Zeroizing;

use super::quote::Below;
use super::{MailError, html, quote};
use crate::extract::Link;

/// The most parts of a mail. It also bounds how deeply forwarded mails are nested, which costs stack.
const PARTS_MAX: usize = 200;
/// The most lines that begin with two hyphens; each may be a boundary.
const BOUNDARIES_MAX: usize = 2_000;
/// The header that makes a part anything but plain text, and what may begin the next part.
const MARKS: [&str; 2] = ["content-type", "\n--"];
/// How deeply parts lie in parts.
const DEPTH_MAX: usize = 16;
/// The most text of all parts together, decoded, in bytes.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Which of two ways of saying the same is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Html,
}

/// A text with the links that have an element of their own.
#[derive(Default)]
struct Reading {
    text: Zeroizing<String>,
    links: Vec<Link>,
}

/// Whether a mail could have more parts than are read: whether it names the header of a part, or has lines that
/// could be boundaries, more often than that.
pub(super) fn are_too_many(raw: &[u8]) -> bool {
    let (mut types, mut boundaries) = (0, 0);
    for found in FIND_MARKS.find_iter(raw) {
        let count = if found.pattern() == PatternID::ZERO { &mut types } else { &mut boundaries };
        *count += 1;
        if types > PARTS_MAX || boundaries > BOUNDARIES_MAX {
            return true;
        }
    }
    false
}

#[expect(clippy::expect_used, reason = "two constant patterns, which every test compiles")]
static FIND_MARKS: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(MARKS).expect("an automaton"));

/// The whole text, once with the plain alternatives and once with the HTML ones; one reading if they are the same parts.
pub(super) fn readings(message: &Message<'_>) -> Result<(Vec<Zeroizing<String>>, Vec<Link>), MailError> {
    let text_bytes: usize =
        message.parts.iter().filter(|part| kind(part).is_some()).map(MessagePart::len).sum();
    if text_bytes > TEXT_BYTES_MAX {
        return Err(MailError::TooLarge);
    }
    let plain = leaves(message, Kind::Plain)?;
    let html = leaves(message, Kind::Html)?;
    let below = Below::of(message.subject().unwrap_or_default());
    let mut reading = read(&html, below)?;
    let links = std::mem::take(&mut reading.links);
    let mut readings = vec![reading.text];
    let same =
        plain.len() == html.len() && plain.iter().zip(&html).all(|(one, other)| std::ptr::eq(*one, *other));
    if !same {
        readings.push(read(&plain, below)?.text);
    }
    Ok((readings, links))
}

fn read(leaves: &[&MessagePart<'_>], below: Below) -> Result<Reading, MailError> {
    let mut reading = Reading::default();
    for part in leaves {
        let recovered = recovered(part);
        let text = recovered.as_ref().map_or(part.text_contents().unwrap_or_default(), |text| text.as_str());
        if kind(part) == Some(Kind::Html) {
            let visible = html::visible(text).ok_or(MailError::TooLarge)?;
            let own = below.own(&visible.text);
            // A link of what is dropped is as old as that.
            let lines = if own.len() < visible.text.len() { own.lines().count() } else { usize::MAX };
            reading
                .links
                .extend(visible.links.into_iter().filter(|(line, _)| *line < lines).map(|(_, link)| link));
            reading.text.push_str(own);
        } else {
            reading.text.push_str(&quote::without_quotes(below.own(&unflowed(part, text))));
        }
        reading.text.push('\n');
    }
    Ok(reading)
}

/// The parts that are shown by a program that prefers `kind`, in order.
fn leaves<'a, 'x>(message: &'a Message<'x>, prefer: Kind) -> Result<Vec<&'a MessagePart<'x>>, MailError> {
    let mut leaves = Vec::new();
    let mut open = vec![(0_u32, 0_usize)];
    while let Some((id, depth)) = open.pop() {
        let Some(part) = usize::try_from(id).ok().and_then(|id| message.parts.get(id)) else { continue };
        if depth > DEPTH_MAX {
            return Err(MailError::TooLarge);
        }
        match &part.body {
            PartType::Multipart(children) if is_alternative(part) => {
                open.extend(alternative(message, children, prefer).map(|id| (id, depth + 1)));
            }
            PartType::Multipart(children) => open.extend(children.iter().rev().map(|id| (*id, depth + 1))),
            PartType::Text(_)
            | PartType::Html(_)
            | PartType::Binary(_)
            | PartType::InlineBinary(_)
            | PartType::Message(_) => leaves.extend(kind(part).map(|_| part)),
        }
    }
    Ok(leaves)
}

/// The child that says it in the preferred way: `text/…` itself, or the multipart that holds it.
fn alternative(message: &Message<'_>, children: &[u32], prefer: Kind) -> Option<u32> {
    let part = |id: &u32| usize::try_from(*id).ok().and_then(|id| message.parts.get(id));
    let preferred = children.iter().find(|id| part(id).and_then(kind) == Some(prefer));
    let multipart =
        children.iter().rfind(|id| part(id).is_some_and(|part| matches!(part.body, PartType::Multipart(_))));
    let any = children.iter().find(|id| part(id).and_then(kind).is_some());
    match prefer {
        Kind::Html => preferred.or(multipart).or(any),
        Kind::Plain => preferred.or(any).or(multipart),
    }
    .copied()
}

/// Whether a part is text that is shown: `text/plain` or `text/html`, and no attachment.
fn kind(part: &MessagePart<'_>) -> Option<Kind> {
    let attached = part.content_disposition().is_some_and(ContentType::is_attachment)
        || part.attachment_name().is_some();
    let (of_type, subtype) =
        part.content_type().map_or(("text", "plain"), |of| (of.ctype(), of.subtype().unwrap_or_default()));
    let is = |name: &str| of_type.eq_ignore_ascii_case("text") && subtype.eq_ignore_ascii_case(name);
    // A multipart whose boundary is missing is read as the text that it is, and so is what has no type at all.
    let untyped = of_type.is_empty() || of_type.eq_ignore_ascii_case("multipart") || is("");
    match &part.body {
        _ if attached => None,
        PartType::Html(_) => Some(Kind::Html),
        PartType::Text(_) if is("html") => Some(Kind::Html),
        PartType::Text(_) if is("plain") => Some(Kind::Plain),
        PartType::Text(_) | PartType::Binary(_) if untyped => Some(Kind::Plain),
        PartType::Text(_)
        | PartType::Binary(_)
        | PartType::InlineBinary(_)
        | PartType::Message(_)
        | PartType::Multipart(_) => None,
    }
}

fn is_alternative(part: &MessagePart<'_>) -> bool {
    part.content_type()
        .and_then(|of| of.subtype())
        .is_some_and(|subtype| subtype.eq_ignore_ascii_case("alternative"))
}

/// The text of a part whose base64 is damaged: what its lines say before the first one that is no base64.
fn recovered(part: &MessagePart<'_>) -> Option<Zeroizing<String>> {
    let base64 =
        part.content_transfer_encoding().is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
    if !(part.is_encoding_problem && base64) {
        return None;
    }
    let is_base64 = |line: &&str| {
        line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
    };
    let encoded: Zeroizing<String> =
        Zeroizing::new(part.text_contents()?.lines().map(str::trim).take_while(is_base64).collect());
    let whole = encoded.get(..encoded.len() / 4 * 4)?;
    let decoded = Zeroizing::new(base64_decode(whole.as_bytes())?);
    Some(Zeroizing::new(String::from_utf8_lossy(&decoded).into_owned()))
}

/// The text of a `format=flowed` part (RFC 3676) with its soft line breaks taken out.
///
/// The space before a soft break stays even with `DelSp=yes`: many who set it do not write two spaces, and a
/// code must not be glued to the word before it.
fn unflowed(part: &MessagePart<'_>, text: &str) -> Zeroizing<String> {
    let format = part.content_type().and_then(|of| of.attribute("format"));
    if !format.is_some_and(|format| format.eq_ignore_ascii_case("flowed")) {
        return Zeroizing::new(text.to_owned());
    }
    let mut unflowed = Zeroizing::new(String::with_capacity(text.len()));
    for line in text.lines() {
        // A space before a line that begins with one, or with `>` or `From `, is there to be taken away.
        unflowed.push_str(line.strip_prefix(' ').unwrap_or(line));
        if !line.ends_with(' ') || line == "-- " {
            unflowed.push('\n');
        }
    }
    unflowed
}
