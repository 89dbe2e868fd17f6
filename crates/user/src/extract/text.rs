//! A message as a person reads it.

use std::fmt;

use zeroize::Zeroizing;

use super::normalise::{normalise, part};

/// What a message says: its subject, its text in each way that it is given, and its links.
///
/// It is zeroized when dropped, and its `Debug` shows nothing of it.
#[derive(Default)]
pub struct Text {
    subject: Zeroizing<String>,
    readings: Vec<Zeroizing<String>>,
    links: Vec<Link>,
}

/// A link and what a person sees of it.
pub struct Link {
    /// Where it leads.
    pub href: Zeroizing<String>,
    /// What is shown.
    pub shown: Zeroizing<String>,
}

impl Text {
    /// A text message, or a text that the user pasted.
    #[must_use]
    pub fn plain(body: &str) -> Self {
        Self { readings: vec![Zeroizing::new(body.to_owned())], ..Self::default() }
    }

    /// A text message, or a text that the user pasted, under a subject.
    #[must_use]
    pub fn with_subject(subject: &str, body: &str) -> Self {
        Self { subject: Zeroizing::new(subject.to_owned()), ..Self::plain(body) }
    }

    /// An e-mail: each of `readings` is the whole of it, once as plain text, once as HTML shows it.
    #[must_use]
    pub fn mail(subject: Zeroizing<String>, readings: Vec<Zeroizing<String>>, links: Vec<Link>) -> Self {
        Self { subject, readings, links }
    }

    /// The same without its subject, where that is not to be relied on.
    #[must_use]
    pub fn without_subject(self) -> Self {
        Self { subject: Zeroizing::default(), ..self }
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        let links = self.links.iter().map(|link| link.href.len().saturating_add(link.shown.len()));
        let readings = self.readings.iter().map(|reading| reading.len());
        links.chain(readings).fold(self.subject.len(), usize::saturating_add)
    }

    /// The subject; empty for a text message.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The text, once for each way in which it is given.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().map(|reading| reading.as_str())
    }

    /// The links that have an element of their own; those in the text are not among them.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(redacted)")
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(redacted)")
    }
}

/// Subject and body as one normalised text, and how many bytes of it are the subject.
pub(super) fn join(subject: &str, body: &str) -> (Zeroizing<String>, usize) {
    let mut text = part(&normalise(subject));
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    let length = text.len();
    text.push_str(&part(&normalise(body)));
    (text, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_of_a_message_shows_nothing_of_it() {
        insta::assert_debug_snapshot!(Text::plain("Your code is 482913"), @"Text(redacted)");
        let link =
            Link { href: Zeroizing::new("https://acme.example".to_owned()), shown: Zeroizing::default() };
        insta::assert_debug_snapshot!(link, @"Link(redacted)");
    }
}
