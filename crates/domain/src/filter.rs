//! Which message an agent asks for, and which it may never get.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::text::as_text;
use crate::{CodeShape, Sender, Senders};

/// How a message reached the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// An e-mail.
    Email,
    /// A text message.
    Sms,
    /// The user's own hands: typed or pasted.
    Pasted,
}

/// The channels that a request allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// E-mail only.
    Email,
    /// SMS only.
    Sms,
    /// Either.
    Any,
}

impl Channels {
    /// Whether a message that came this way may answer the request.
    ///
    /// A request names the ways in which messages come by themselves. What the user pastes, the user has chosen, so
    /// every request admits it, and none can ask for it.
    #[must_use]
    pub fn admit(self, channel: Channel) -> bool {
        match channel {
            Channel::Email => matches!(self, Self::Email | Self::Any),
            Channel::Sms => matches!(self, Self::Sms | Self::Any),
            Channel::Pasted => true,
        }
    }
}

/// What is to be taken out of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// A code of 4 to 10 characters.
    #[default]
    Code,
    /// A sign-in link.
    Link,
}

/// What the service is to let the agent do with the code, as the agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Sign in to an existing account.
    Login,
    /// Make an account.
    SignUp,
    /// Set a new password.
    Reset,
    /// Confirm a payment.
    Payment,
    /// Change account data.
    Change,
    /// Tie a device or an application to the account.
    Pairing,
}

/// Makes `Display` and `FromStr` of a closed list of words.
macro_rules! words {
    ($name:ident, $kind:literal, [$(($word:literal, $value:path)),+ $(,)?]) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($value => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = FilterError;

            fn from_str(text: &str) -> Result<Self, FilterError> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err(FilterError::NoSuchWord {
                        kind: $kind,
                        text: text.chars().take(80).collect(),
                        known: [$($word),+].join(", "),
                    }),
                }
            }
        }
    };
}

words!(Channel, "channel", [("email", Self::Email), ("sms", Self::Sms), ("pasted", Self::Pasted)]);
words!(Channels, "channel", [("email", Self::Email), ("sms", Self::Sms), ("any", Self::Any)]);
words!(Wanted, "thing to ask for", [("code", Self::Code), ("link", Self::Link)]);
words!(
    Purpose,
    "purpose",
    [
        ("login", Self::Login),
        ("sign-up", Self::SignUp),
        ("reset", Self::Reset),
        ("payment", Self::Payment),
        ("change", Self::Change),
        ("pairing", Self::Pairing),
    ]
);

/// A pattern that subject or text must contain: a regular expression in linear time, case-insensitive, of bounded size.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentPattern(Regex);

impl ContentPattern {
    /// The longest pattern, in characters.
    pub const CHARS_MAX: usize = 200;
    /// The largest compiled pattern, in bytes.
    const COMPILED_MAX: usize = 256 * 1024;

    /// Whether the text contains the pattern.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl FromStr for ContentPattern {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let refused = |reason: &str| FilterError::Pattern { reason: reason.to_owned() };
        if text.is_empty() {
            return Err(refused("it is empty; leave it out to allow any content"));
        }
        if text.chars().count() > Self::CHARS_MAX {
            return Err(refused("it is longer than 200 characters"));
        }
        RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(Self::COMPILED_MAX)
            .dfa_size_limit(Self::COMPILED_MAX)
            .nest_limit(20)
            .build()
            .map(Self)
            .map_err(|error| refused(plain(&error.to_string())))
    }
}

/// The last line of a parser's report: what is wrong, without the drawing that shows where.
fn plain(report: &str) -> &str {
    let line = report.lines().last().unwrap_or("it cannot be read").trim();
    line.strip_prefix("error: ").unwrap_or(line)
}

as_text!(ContentPattern, FilterError);

impl PartialEq for ContentPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for ContentPattern {}

impl fmt::Display for ContentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str())
    }
}

impl fmt::Debug for ContentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0.as_str())
    }
}

/// Which message may answer a request. A message must satisfy all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The way that the message comes.
    pub channels: Channels,
    /// Who sends it: one, or any of several. A display name never counts.
    pub sender: Senders,
    /// What its subject or text must contain.
    pub content: Option<ContentPattern>,
    /// The shape of the code.
    pub shape: Option<CodeShape>,
    /// Code or link.
    pub wanted: Wanted,
    /// What the code is for: shown to the user. See [`Filter::allows`].
    pub purpose: Option<Purpose>,
}

/// Why a filter, or a part of one, is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    /// Not a word of the list.
    #[error("`{text}` is no {kind}; choose one of: {known}")]
    NoSuchWord {
        /// What it should have been.
        kind: &'static str,
        /// What it was.
        text: String,
        /// What it may be.
        known: String,
    },
    /// The pattern cannot be used.
    #[error("this pattern cannot be used: {reason}")]
    Pattern {
        /// What is wrong with it.
        reason: String,
    },
    /// The sender is none.
    #[error("`{text}` names no sender: {reason}")]
    Sender {
        /// What was given.
        text: String,
        /// What is wrong with it, and what to write.
        reason: String,
    },
    /// There are no senders, or too many.
    #[error("{count} senders: a request names 1 to {}, so that a person can read them", Senders::MAX)]
    Senders {
        /// How many.
        count: usize,
    },
    /// The sender cannot send over that channel.
    #[error("`{sender}` sends no {channels}; {next}")]
    SenderChannel {
        /// Who was named.
        sender: String,
        /// What was asked for.
        channels: Channels,
        /// What to write.
        next: &'static str,
    },
    /// The shape's bounds make no sense.
    #[error("the shape {shape} cannot be met: lengths are from 4 to 10, the smaller first")]
    Shape {
        /// The shape.
        shape: CodeShape,
    },
    /// A shape belongs to a code.
    #[error("a link has no shape; leave the shape out, or ask for a code")]
    ShapeOfLink,
}

impl Filter {
    /// Whether the parts fit together; what is decoded from outside is checked as well.
    ///
    /// # Errors
    ///
    /// [`FilterError`] names the first parts that do not.
    pub fn check(&self) -> Result<(), FilterError> {
        let refused =
            |sender: String, next| Err(FilterError::SenderChannel { sender, channels: self.channels, next });
        match self.channels {
            Channels::Email => {
                if let Some(sender) = self.sender.iter().find(|sender| sender.channel() != Channel::Email) {
                    return refused(
                        sender.to_string(),
                        "name the sender of an e-mail by domain or address, such as github.com",
                    );
                }
            }
            // Beside it, domains say which site a code may be bound to.
            Channels::Sms if !self.sender.send(Channel::Sms) => {
                return refused(
                    self.sender.to_string(),
                    "name the sender of an SMS by number or sender id, such as +15551234567 or GitHub",
                );
            }
            Channels::Sms | Channels::Any => {}
        }
        match (self.wanted, self.shape) {
            (Wanted::Link, Some(_)) => Err(FilterError::ShapeOfLink),
            (Wanted::Code, Some(shape)) if !shape.is_valid() => Err(FilterError::Shape { shape }),
            (Wanted::Code, Some(_)) => Ok(()),
            (Wanted::Code | Wanted::Link, None) => Ok(()),
        }
    }

    /// Whether a message with this channel and sender may answer, its content aside.
    #[must_use]
    pub fn admits(&self, channel: Channel, sender: &Sender) -> bool {
        self.channels.admit(channel) && self.sender.admits(sender)
    }

    /// Whether a code may be for this; `None` is a message that does not say what its code is for.
    ///
    /// A filter that names a purpose allows that one. A filter that names none allows to sign in or up: what sets a
    /// password, pays, changes an account or ties a device to it has to be asked for, so that the user sees it.
    #[must_use]
    pub fn allows(&self, said: Option<Purpose>) -> bool {
        let Some(said) = said else { return true };
        match self.purpose {
            Some(purpose) => purpose == said,
            None => matches!(said, Purpose::Login | Purpose::SignUp),
        }
    }

    /// Whether no message could satisfy both filters, as far as the filters themselves tell.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let channels = [Channel::Email, Channel::Sms]
            .into_iter()
            .all(|channel| !(self.channels.admit(channel) && other.channels.admit(channel)));
        let shapes = match (self.shape, other.shape) {
            (Some(shape), Some(other)) => shape.excludes(&other),
            (Some(_), None) | (None, Some(_) | None) => false,
        };
        let purposes = match (self.purpose, other.purpose) {
            (Some(purpose), _) => !other.allows(Some(purpose)),
            (None, other) => !self.allows(other),
        };
        channels || shapes || purposes || self.wanted != other.wanted || self.sender.excludes(&other.sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(sender: &str) -> Filter {
        Filter {
            channels: Channels::Email,
            sender: sender.parse().unwrap(),
            content: None,
            shape: None,
            wanted: Wanted::Code,
            purpose: None,
        }
    }

    #[test]
    fn a_pattern_that_could_be_slow_or_large_is_refused() {
        for text in ["", "(", "(a{1000}){1000}", "\\p{L}{500}", &"a".repeat(201), &"(".repeat(30)] {
            assert!(text.parse::<ContentPattern>().is_err(), "{text}");
        }
        assert!("acme (login|sign-in)".parse::<ContentPattern>().unwrap().is_in("Your ACME Login code"));
    }

    #[test]
    fn a_sender_must_fit_its_channel() {
        assert_eq!(filter("github.com").check(), Ok(()));
        assert!(filter("GitHub").check().is_err());
        assert!(Filter { channels: Channels::Sms, ..filter("github.com") }.check().is_err());
        assert!(filter("github.com, GitHub").check().is_err());
        assert_eq!(Filter { channels: Channels::Sms, ..filter("github.com, GitHub") }.check(), Ok(()));
        assert_eq!(Filter { channels: Channels::Any, ..filter("GitHub") }.check(), Ok(()));
    }

    #[test]
    fn what_the_user_pastes_answers_every_request_and_none_can_ask_for_it() {
        for channels in [Channels::Email, Channels::Sms, Channels::Any] {
            assert!(channels.admit(Channel::Pasted), "{channels}");
        }
        assert!(!Channels::Email.admit(Channel::Sms) && !Channels::Sms.admit(Channel::Email));
        assert_eq!(serde_json::to_string(&Channel::Pasted).unwrap(), "\"pasted\"");
        assert!("pasted".parse::<Channels>().is_err());
        assert!(serde_json::from_str::<Channels>("\"pasted\"").is_err());
    }

    #[test]
    fn a_link_has_no_shape() {
        let shape = "digits:6".parse().ok();
        assert_eq!(
            Filter { wanted: Wanted::Link, shape, ..filter("acme.example") }.check(),
            Err(FilterError::ShapeOfLink)
        );
    }

    #[test]
    fn what_is_graver_than_to_sign_in_or_up_must_be_asked_for() {
        let grave = [Purpose::Reset, Purpose::Payment, Purpose::Change, Purpose::Pairing];
        let unstated = filter("github.com");
        for light in [None, Some(Purpose::Login), Some(Purpose::SignUp)] {
            assert!(unstated.allows(light), "{light:?}");
        }
        for purpose in grave {
            let asked = Filter { purpose: Some(purpose), ..filter("github.com") };
            assert!(!unstated.allows(Some(purpose)) && asked.allows(Some(purpose)), "{purpose}");
            assert!(asked.allows(None) && !asked.allows(Some(Purpose::Login)), "{purpose}");
            assert!(asked.contradicts(&unstated) && unstated.contradicts(&asked), "{purpose}");
        }
    }

    #[test]
    fn filters_contradict_where_no_message_satisfies_both() {
        let asked =
            Filter { shape: "digits:6".parse().ok(), purpose: Some(Purpose::Login), ..filter("github.com") };
        assert!(!asked.contradicts(&asked));
        assert!(!asked.contradicts(&filter("noreply@mail.github.com")));
        assert!(!asked.contradicts(&filter("gitlab.com, github.com")));
        let contradictory = [
            filter("gitlab.com"),
            filter("noreply@gitlab.com"),
            Filter { channels: Channels::Sms, ..filter("github.com") },
            Filter { shape: "digits:8".parse().ok(), ..filter("github.com") },
            Filter { shape: "letters:6".parse().ok(), ..filter("github.com") },
            Filter { wanted: Wanted::Link, ..filter("github.com") },
            Filter { purpose: Some(Purpose::Reset), ..filter("github.com") },
            filter("gitlab.com, b@githubusercontent.com"),
        ];
        for narrowing in contradictory {
            assert!(asked.contradicts(&narrowing), "{narrowing:?}");
            assert!(narrowing.contradicts(&asked), "{narrowing:?}");
        }
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        insta::assert_snapshot!("fax".parse::<Channels>().unwrap_err(), @"`fax` is no channel; choose one of: email, sms, any");
    }
}
