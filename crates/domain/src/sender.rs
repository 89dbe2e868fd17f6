//! Who sent a message, and whom a filter names. Display names never count.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::as_text;
use crate::{Channel, FilterError, lookalike};

/// Who sent a message, as its source says.
#[derive(Clone, PartialEq, Eq)]
pub enum Sender {
    /// The one mailbox of an e-mail's From header (RFC 5322 §3.6.2).
    Address(Address),
    /// A telephone number.
    Number(Number),
    /// An alphanumeric sender id of an SMS.
    SenderId(SenderId),
}

impl fmt::Debug for Sender {
    /// Says of which kind it is; who writes to a user is the user's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address(_) => "Sender(address)",
            Self::Number(_) => "Sender(number)",
            Self::SenderId(_) => "Sender(sender id)",
        })
    }
}

/// What senders and patterns are found by: a pattern admits no sender that does not bear its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SenderKey {
    /// A registrable domain.
    Domain(String),
    /// An address.
    Address(String),
    /// A telephone number.
    Number(String),
    /// A sender id, in lower case.
    SenderId(String),
}

impl Sender {
    /// The keys of the patterns that may admit this sender.
    pub fn keys(&self) -> impl Iterator<Item = SenderKey> {
        let (own, domain) = match self {
            Self::Address(address) => {
                let domain = registrable(&address.domain);
                (
                    SenderKey::Address(address.to_string()),
                    domain.map(|domain| SenderKey::Domain(domain.to_owned())),
                )
            }
            Self::Number(number) => (SenderKey::Number(number.0.clone()), None),
            Self::SenderId(id) => (SenderKey::SenderId(id.0.to_ascii_lowercase()), None),
        };
        std::iter::once(own).chain(domain)
    }
}

/// Whom a filter names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum SenderPattern {
    /// Every address below a registrable domain.
    Domain(RegistrableDomain),
    /// One address.
    Address(Address),
    /// One telephone number.
    Number(Number),
    /// One alphanumeric sender id.
    SenderId(SenderId),
}

impl SenderPattern {
    /// Whether the sender is whom this names.
    #[must_use]
    pub fn admits(&self, sender: &Sender) -> bool {
        match (self, sender) {
            (Self::Domain(domain), Sender::Address(address)) => domain.holds(address),
            (Self::Address(pattern), Sender::Address(address)) => pattern == address,
            (Self::Number(pattern), Sender::Number(number)) => pattern == number,
            (Self::SenderId(pattern), Sender::SenderId(id)) => pattern == id,
            (Self::Domain(_) | Self::Address(_), Sender::Number(_) | Sender::SenderId(_)) => false,
            (Self::Number(_), Sender::Address(_) | Sender::SenderId(_)) => false,
            (Self::SenderId(_), Sender::Address(_) | Sender::Number(_)) => false,
        }
    }

    /// The key that every sender bears whom this names.
    #[must_use]
    pub fn key(&self) -> SenderKey {
        match self {
            Self::Domain(domain) => SenderKey::Domain(domain.0.clone()),
            Self::Address(address) => SenderKey::Address(address.to_string()),
            Self::Number(number) => SenderKey::Number(number.0.clone()),
            Self::SenderId(id) => SenderKey::SenderId(id.0.to_ascii_lowercase()),
        }
    }

    /// Whether no sender is named by both.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Domain(domain), Self::Address(address))
            | (Self::Address(address), Self::Domain(domain)) => !domain.holds(address),
            (_, _) => self != other,
        }
    }

    /// How what it sends comes.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match self {
            Self::Domain(_) | Self::Address(_) => Channel::Email,
            Self::Number(_) | Self::SenderId(_) => Channel::Sms,
        }
    }

    /// The registrable domain that the sender belongs to, if it is one of e-mail.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        match self {
            Self::Domain(domain) => Some(&domain.0),
            Self::Address(address) => registrable(&address.domain),
            Self::Number(_) | Self::SenderId(_) => None,
        }
    }
}

impl fmt::Display for SenderPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => f.pad(&domain.0),
            Self::Address(address) => f.pad(&address.to_string()),
            Self::Number(number) => f.pad(&number.0),
            Self::SenderId(id) => f.pad(&id.0),
        }
    }
}

impl FromStr for SenderPattern {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.contains('@') {
            text.parse().map(Self::Address)
        } else if text.starts_with('+')
            || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        {
            text.parse().map(Self::Number)
        } else if text.contains('.') {
            text.parse().map(Self::Domain)
        } else {
            text.parse().map(Self::SenderId)
        }
    }
}

pub(crate) fn refused(text: &str, reason: impl Into<String>) -> FilterError {
    FilterError::Sender { text: text.chars().take(80).collect(), reason: reason.into() }
}

/// The part of a host's name that one party registers: the public suffix and one label, by the Public Suffix List.
///
/// In lower case, and without the dot of the root. `None` where nobody has registered it, or anybody can.
#[must_use]
pub fn registrable_domain(host: &str) -> Option<String> {
    registrable(&host.trim_end_matches('.').to_lowercase()).map(ToOwned::to_owned)
}

/// The same of a name that is in lower case already.
fn registrable(domain: &str) -> Option<&str> {
    psl::domain_str(domain)
}

/// What is said of a domain that is not written in ASCII: how to write it, or why not to.
fn ascii_form(text: &str) -> String {
    match idna::domain_to_ascii(text) {
        Ok(ascii) => lookalike::of_domain(&ascii)
            .unwrap_or_else(|| format!("write an international domain in its ASCII form: {ascii}")),
        Err(_) => "this is no domain name; write one such as github.com".to_owned(),
    }
}

/// Whether the text is a domain name of at least two labels in lower-case ASCII (RFC 1035 §2.3.1; IDNs as `xn--`).
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

/// A domain that one party registers, such as `github.com`: neither a public suffix nor below another registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistrableDomain(String);

impl RegistrableDomain {
    fn holds(&self, address: &Address) -> bool {
        registrable(&address.domain) == Some(&self.0)
    }
}

impl FromStr for RegistrableDomain {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let domain = text.to_ascii_lowercase();
        if !domain.is_ascii() {
            return Err(refused(text, ascii_form(text)));
        }
        if !is_domain(&domain) {
            return Err(refused(text, "this is no domain name; write one such as github.com"));
        }
        if let Some(deceit) = lookalike::of_domain(&domain) {
            return Err(refused(text, deceit));
        }
        match registrable(&domain) {
            Some(registered) if registered == domain => Ok(Self(domain)),
            Some(registered) => Err(refused(text, format!("it belongs to {registered}; ask for that"))),
            None => Err(refused(text, "anyone can register below it; name the domain of one service")),
        }
    }
}

impl fmt::Display for RegistrableDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

as_text!(RegistrableDomain, FilterError);

/// An e-mail address, compared without regard to the case of ASCII letters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local: String,
    domain: String,
}

impl FromStr for Address {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let bad = || refused(text, "this is no e-mail address; write one such as noreply@github.com");
        let address = text.to_ascii_lowercase();
        let (local, domain) = address.rsplit_once('@').ok_or_else(bad)?;
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()[]\\,;:@\"".contains(c);
        if local.is_empty() || local.len() > 64 || !local.chars().all(plain) || !is_domain(domain) {
            return Err(bad());
        }
        if let Some(deceit) = lookalike::of_domain(domain) {
            return Err(refused(text, deceit));
        }
        Ok(Self { local: local.to_owned(), domain: domain.to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

as_text!(Address, FilterError);

/// A telephone number as the network gives it: `+` and 7 to 15 digits (E.164), or a short code of 3 to 8 digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Number(String);

impl FromStr for Number {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (digits, lengths) = match text.strip_prefix('+') {
            Some(digits) => (digits, 7..=15),
            None => (text, 3..=8),
        };
        if lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(refused(text, "write a number such as +15551234567, or a short code of 3 to 8 digits"))
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

as_text!(Number, FilterError);

/// The alphanumeric sender of an SMS: at most 11 characters with a letter among them (3GPP TS 23.040 §9.1.2.5).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SenderId(String);

impl PartialEq for SenderId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for SenderId {}

impl FromStr for SenderId {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let fits = (1..=11).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -_&+.".contains(&byte))
            && text.bytes().any(|byte| byte.is_ascii_alphabetic())
            && text.trim() == text;
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(refused(
                text,
                "write a domain such as github.com, an address, a number such as +15551234567, or a sender id of at most 11 letters and digits",
            ))
        }
    }
}

impl fmt::Display for SenderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

as_text!(SenderId, FilterError);

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Sender {
        Sender::Address(address.parse().unwrap())
    }

    #[test]
    fn a_domain_admits_its_own_addresses_alone() {
        let github: SenderPattern = "github.com".parse().unwrap();
        for address in ["noreply@github.com", "NoReply@GitHub.com", "a@mail.github.com"] {
            assert!(github.admits(&from(address)), "{address}");
        }
        let others = [
            "a@github.com.evil.example",
            "a@notgithub.com",
            "a@github.co",
            "github.com@evil.example",
            "a@gıthub.com",
        ];
        for address in others {
            assert!(
                !address.parse().is_ok_and(|address| github.admits(&Sender::Address(address))),
                "{address}"
            );
        }
        assert!(!github.admits(&Sender::SenderId("GitHub".parse().unwrap())));
    }

    #[test]
    fn a_pattern_and_a_sender_that_it_admits_have_a_key_in_common() {
        let patterns =
            ["github.com", "noreply@github.com", "a@mail.github.com", "+15551234567", "22395", "GitHub"];
        let senders = [
            from("NoReply@GitHub.com"),
            from("a@mail.github.com"),
            from("a@github.com.evil.example"),
            Sender::Number("+15551234567".parse().unwrap()),
            Sender::Number("22395".parse().unwrap()),
            Sender::SenderId("GITHUB".parse().unwrap()),
        ];
        for pattern in patterns.map(|pattern| pattern.parse::<SenderPattern>().unwrap()) {
            for sender in &senders {
                assert_eq!(
                    sender.keys().any(|key| key == pattern.key()),
                    pattern.admits(sender),
                    "{pattern}"
                );
            }
        }
    }

    #[test]
    fn a_domain_is_refused_unless_one_party_registers_it() {
        for text in [
            "com",
            "co.uk",
            "github.io",
            "mail.github.com",
            "a.b.co.uk",
            "github..com",
            ".com",
            "gıthub.com",
            "-a.com",
        ] {
            assert!(text.parse::<RegistrableDomain>().is_err(), "{text}");
        }
        for text in ["github.com", "bbc.co.uk", "someone.github.io", "acme.example", "xn--mnchen-3ya.de"] {
            assert!(text.parse::<RegistrableDomain>().is_ok(), "{text}");
        }
        insta::assert_snapshot!("mail.github.com".parse::<RegistrableDomain>().unwrap_err(), @"`mail.github.com` names no sender: it belongs to github.com; ask for that");
        insta::assert_snapshot!("münchen.de".parse::<RegistrableDomain>().unwrap_err(), @"`münchen.de` names no sender: write an international domain in its ASCII form: xn--mnchen-3ya.de");
        insta::assert_snapshot!("gіthub.com".parse::<RegistrableDomain>().unwrap_err(), @"`gіthub.com` names no sender: it mixes letters of several scripts");
        insta::assert_snapshot!("xn--80ak6aa92e.com".parse::<SenderPattern>().unwrap_err(), @"`xn--80ak6aa92e.com` names no sender: it is made to look like `apple`");
        insta::assert_snapshot!("a@xn--gthub-jye.com".parse::<SenderPattern>().unwrap_err(), @"`a@xn--gthub-jye.com` names no sender: it mixes letters of several scripts");
        insta::assert_snapshot!("co.uk".parse::<RegistrableDomain>().unwrap_err(), @"`co.uk` names no sender: anyone can register below it; name the domain of one service");
    }

    #[test]
    fn a_pattern_is_read_as_what_it_looks_like() {
        let kinds = [
            ("github.com", "domain"),
            ("noreply@github.com", "address"),
            ("+15551234567", "number"),
            ("22395", "number"),
            ("GitHub", "sender_id"),
        ];
        for (text, kind) in kinds {
            let pattern: SenderPattern = text.parse().unwrap();
            assert_eq!(serde_json::to_value(&pattern).unwrap()["type"], kind, "{text}");
            assert_eq!(pattern.to_string(), text);
        }
        for text in [
            "",
            "+1",
            "a@b",
            "@github.com",
            "a b@github.com",
            "a sender with a long name",
            "12",
            "+1555123456789012",
        ] {
            assert!(text.parse::<SenderPattern>().is_err(), "{text}");
        }
    }
}
