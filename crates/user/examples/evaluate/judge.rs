//! Holds what is taken out of a message against its label.

use std::fmt;

use agent_otp_user::extract::{self, Extraction, Text};
use agent_otp_user::mail;

use crate::labelled::{Auth, Body, Case, Label};
use crate::post::Post;

/// What came of one message.
pub(crate) struct Verdict {
    name: String,
    tag: String,
    lang: String,
    expected: Option<String>,
    found: Found,
    pub(crate) outcome: Outcome,
}

/// How what was found compares with what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The code that was expected, or nothing where nothing was.
    Right,
    /// Nothing, where a code was expected.
    Missed,
    /// Another code than the one expected.
    Wrong,
    /// A code, where none may leave.
    False,
    /// Sender authentication decides about this mail.
    Unjudged,
}

enum Found {
    Code(String),
    Nothing(&'static str),
}

/// The message of a case as it is read, and who sent it where that is known.
struct Read {
    text: Text,
    from: Option<String>,
}

/// Judges the code that leaves, and the link where the label speaks of one; who sent a mail, if there is a `post`.
pub(crate) fn judge(case: &Case, post: Option<&Post>) -> Vec<Verdict> {
    let Ok(read) = read(&case.body) else {
        return vec![verdict(case, case.label.expected.clone(), Found::Nothing("cannot be read"))];
    };
    let judged = match (&case.body, &case.label.auth, post) {
        (Body::Mail(raw), Some(auth), Some(post)) => of_authentic(case, raw, auth, post),
        _ => of_code(case, &read),
    };
    let mut verdicts = vec![judged];
    let asks_for_link = case.label.link.is_some() || case.label.tag == "link";
    if let (true, Some(domain)) = (asks_for_link, domain(&case.label, &read)) {
        verdicts.push(verdict(case, case.label.link.clone(), shown(extract::link(&read.text, &domain))));
    }
    verdicts
}

fn read(body: &Body) -> Result<Read, mail::MailError> {
    match body {
        Body::Text { subject, text } => Ok(Read { text: Text::with_subject(subject, text), from: None }),
        Body::Mail(raw) => mail::read(raw).map(|mail| Read { text: mail.text, from: Some(mail.from) }),
    }
}

/// What leaves of a mail that has to prove its sender.
fn of_authentic(case: &Case, raw: &[u8], auth: &Auth, post: &Post) -> Verdict {
    let label = &case.label;
    let expected = label.expected.clone().filter(|_| label.release_for_filter == Some(true));
    let found = match (post.verify(raw, auth), mail::read(raw)) {
        (Err(_), _) => Found::Nothing("not authentic"),
        (Ok(_), Err(_)) => Found::Nothing("cannot be read"),
        (Ok(authentic), Ok(mail)) => {
            let text = if authentic.covers_subject { mail.text } else { mail.text.without_subject() };
            let read = Read { text, from: Some(mail.from) };
            if label.filter_service.as_deref().is_none_or(|service| read.is_from(service)) {
                shown(extract::code(&read.text, None, label.filter_service.as_deref()))
            } else {
                Found::Nothing("another sender")
            }
        }
    };
    // A code that may be taken in doubt about the text may not leave in doubt about the sender.
    let leaks = expected.is_none() && matches!(found, Found::Code(_));
    let judged = verdict(case, expected, found);
    if leaks { Verdict { outcome: Outcome::False, ..judged } } else { judged }
}

fn of_code(case: &Case, read: &Read) -> Verdict {
    let found = shown(extract::code(&read.text, None, None));
    let label = &case.label;
    let is_from_service = label.filter_service.as_deref().is_none_or(|service| read.is_from(service));
    // Who sent the mail is judged by its `From` alone: where that is the service's, `auth` has the last word.
    match (&label.auth, label.release_for_filter) {
        (Some(_), _) if is_from_service => {
            Verdict { outcome: Outcome::Unjudged, ..verdict(case, None, found) }
        }
        (Some(_), _) => verdict(case, label.expected.clone(), Found::Nothing("another sender")),
        (None, Some(false)) if is_from_service && matches!(found, Found::Code(_)) => {
            Verdict { outcome: Outcome::False, ..verdict(case, None, found) }
        }
        (None, _) => verdict(case, label.expected.clone(), found),
    }
}

impl Read {
    fn is_from(&self, service: &str) -> bool {
        let domain = self.from.as_deref().and_then(|from| from.rsplit_once('@')).map(|(_, domain)| domain);
        domain.is_some_and(|domain| {
            domain.strip_suffix(service).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        })
    }
}

/// The domain that a link is asked for: the label's, else the sender's.
fn domain(label: &Label, read: &Read) -> Option<String> {
    let sender = || read.from.as_deref().and_then(|from| from.rsplit_once('@'));
    label.filter_service.clone().or_else(|| sender().map(|(_, domain)| domain.to_owned()))
}

fn verdict(case: &Case, expected: Option<String>, found: Found) -> Verdict {
    let accepts = |found: &String| expected.as_ref() == Some(found) || case.label.also_accept.contains(found);
    let outcome = match (&expected, &found) {
        (_, Found::Code(code)) if accepts(code) => Outcome::Right,
        (None, Found::Nothing(_)) => Outcome::Right,
        (Some(_), Found::Nothing(_)) => Outcome::Missed,
        (Some(_), Found::Code(_)) => Outcome::Wrong,
        (None, Found::Code(_)) => Outcome::False,
    };
    let Label { tag, lang, .. } = &case.label;
    Verdict { name: case.name.clone(), tag: tag.clone(), lang: lang.clone(), expected, found, outcome }
}

fn shown(extraction: Extraction) -> Found {
    match extraction {
        Extraction::Code(code, _) => Found::Code(code.expose().to_owned()),
        Extraction::Ambiguous => Found::Nothing("ambiguous"),
        Extraction::Conflicting => Found::Nothing("conflicting"),
        Extraction::None => Found::Nothing("nothing"),
    }
}

impl Verdict {
    /// Whether a code or a link was expected.
    pub(crate) fn is_positive(&self) -> bool {
        self.expected.is_some()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Right => "right",
            Outcome::Missed => "missed",
            Outcome::Wrong => "wrong code",
            Outcome::False => "false positive",
            Outcome::Unjudged => "not judged: sender authentication decides",
        };
        let found = match &self.found {
            Found::Code(code) => code,
            Found::Nothing(why) => *why,
        };
        let expected = self.expected.as_deref().unwrap_or("nothing");
        write!(f, "{outcome}: {} ({} {}) expected {expected}, found {found}", self.name, self.lang, self.tag)
    }
}
