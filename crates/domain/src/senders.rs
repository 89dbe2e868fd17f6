//! Whom a filter names: one sender, or the several that one service writes from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::sender::refused;
use crate::{Address, Channel, FilterError, Number, RegistrableDomain, Sender, SenderId, SenderPattern};

/// One to [`Senders::MAX`] senders, in their order, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Senders(Vec<SenderPattern>);

/// How senders are written down: one as itself, several as a list.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
enum Written {
    Domain(RegistrableDomain),
    Address(Address),
    Number(Number),
    SenderId(SenderId),
    AnyOf(Vec<SenderPattern>),
}

impl Senders {
    /// The most that a filter may name: a person has to read them.
    pub const MAX: usize = 16;

    /// These senders; how they are ordered and how often one is there does not matter.
    ///
    /// # Errors
    ///
    /// [`FilterError::Senders`] if there are none, or too many.
    pub fn new(senders: impl IntoIterator<Item = SenderPattern>) -> Result<Self, FilterError> {
        let mut senders: Vec<SenderPattern> = senders.into_iter().collect();
        senders.sort_by_key(order);
        senders.dedup();
        if (1..=Self::MAX).contains(&senders.len()) {
            Ok(Self(senders))
        } else {
            Err(FilterError::Senders { count: senders.len() })
        }
    }

    /// The senders.
    pub fn iter(&self) -> impl Iterator<Item = &SenderPattern> {
        self.0.iter()
    }

    /// Whether one of them is the sender.
    #[must_use]
    pub fn admits(&self, sender: &Sender) -> bool {
        self.iter().any(|pattern| pattern.admits(sender))
    }

    /// Whether no sender is named by both.
    #[must_use]
    pub fn excludes(&self, other: &Self) -> bool {
        self.iter().all(|one| other.iter().all(|other| one.excludes(other)))
    }

    /// The registrable domains that those of e-mail belong to. A code that is bound to a site is bound to one of them.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(SenderPattern::domain)
    }

    /// Whether one of them sends over this channel.
    #[must_use]
    pub fn send(&self, channel: Channel) -> bool {
        self.iter().any(|pattern| pattern.channel() == channel)
    }
}

/// By kind, and by what is compared of it.
fn order(pattern: &SenderPattern) -> (u8, String) {
    let kind = match pattern {
        SenderPattern::Domain(_) => 0,
        SenderPattern::Address(_) => 1,
        SenderPattern::Number(_) => 2,
        SenderPattern::SenderId(_) => 3,
    };
    (kind, pattern.to_string().to_ascii_lowercase())
}

impl From<SenderPattern> for Senders {
    fn from(pattern: SenderPattern) -> Self {
        Self(vec![pattern])
    }
}

impl TryFrom<Written> for Senders {
    type Error = FilterError;

    fn try_from(written: Written) -> Result<Self, FilterError> {
        Ok(match written {
            Written::Domain(domain) => SenderPattern::Domain(domain).into(),
            Written::Address(address) => SenderPattern::Address(address).into(),
            Written::Number(number) => SenderPattern::Number(number).into(),
            Written::SenderId(id) => SenderPattern::SenderId(id).into(),
            Written::AnyOf(several) => Self::new(several)?,
        })
    }
}

impl From<Senders> for Written {
    fn from(Senders(mut senders): Senders) -> Self {
        match (senders.pop(), senders.is_empty()) {
            (Some(SenderPattern::Domain(domain)), true) => Self::Domain(domain),
            (Some(SenderPattern::Address(address)), true) => Self::Address(address),
            (Some(SenderPattern::Number(number)), true) => Self::Number(number),
            (Some(SenderPattern::SenderId(id)), true) => Self::SenderId(id),
            (last, _) => {
                senders.extend(last);
                Self::AnyOf(senders)
            }
        }
    }
}

impl fmt::Display for Senders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let senders: Vec<String> = self.iter().map(ToString::to_string).collect();
        f.pad(&senders.join(", "))
    }
}

impl FromStr for Senders {
    type Err = FilterError;

    /// Several are separated by commas, which no sender holds.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.trim().is_empty() {
            return Err(refused(
                text,
                "write a domain such as github.com, an address, a number or a sender id",
            ));
        }
        let senders: Vec<SenderPattern> =
            text.split(',').map(|sender| sender.trim().parse()).collect::<Result<_, _>>()?;
        Self::new(senders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    fn senders(text: &str) -> Senders {
        text.parse().unwrap()
    }

    #[test]
    fn one_sender_is_written_as_itself_and_several_as_a_list_in_their_order() {
        let json = |text: &str| serde_json::to_string(&senders(text)).unwrap();
        assert_eq!(json("github.com"), r#"{"type":"domain","value":"github.com"}"#);
        assert_eq!(json("GitHub"), r#"{"type":"sender_id","value":"GitHub"}"#);
        let several = r#"{"type":"any_of","value":[{"type":"domain","value":"chatgpt.com"},{"type":"domain","value":"openai.com"},{"type":"sender_id","value":"OpenAI"}]}"#;
        assert_eq!(json("OpenAI, openai.com,chatgpt.com, OPENAI.com"), several);
        assert_eq!(
            serde_json::from_str::<Senders>(several).unwrap(),
            senders("chatgpt.com, openai.com, OpenAI")
        );
        assert_eq!(senders("OpenAI,openai.com").to_string(), "openai.com, OpenAI");
    }

    #[test]
    fn another_order_or_a_list_of_one_reads_as_the_same_and_is_written_otherwise() {
        let all =
            ["openai.com", "chatgpt.com", "openai.com"].map(|text| text.parse::<SenderPattern>().unwrap());
        let read = |some: &[SenderPattern]| {
            let bytes = codec::encode(&serde_json::json!({ "type": "any_of", "value": some }));
            let senders: Senders = codec::decode(&bytes).unwrap();
            (codec::encode(&senders) == bytes, senders.to_string())
        };
        assert_eq!(read(&all[..2]), (false, "chatgpt.com, openai.com".to_owned()));
        assert_eq!(read(&all[1..]), (true, "chatgpt.com, openai.com".to_owned()));
        assert_eq!(read(&all), (false, "chatgpt.com, openai.com".to_owned()));
        assert_eq!(read(&all[..1]), (false, "openai.com".to_owned()));
    }

    #[test]
    fn there_are_neither_none_nor_more_than_a_person_reads_nor_lists_in_lists() {
        let many = |count: usize| {
            (0..count)
                .map(|number| format!("a{number}.example"))
                .collect::<Vec<_>>()
                .join(",")
                .parse::<Senders>()
        };
        assert!(many(16).is_ok());
        insta::assert_snapshot!(many(17).unwrap_err(), @"17 senders: a request names 1 to 16, so that a person can read them");
        for text in ["", " ", ",", "github.com,", "github.com,,openai.com", "github.com openai.com"] {
            assert!(text.parse::<Senders>().is_err(), "{text}");
        }
        let nested = r#"{"type":"any_of","value":[{"type":"any_of","value":[{"type":"domain","value":"a.example"}]}]}"#;
        for json in [nested, r#"{"type":"any_of","value":[]}"#, r#"{"type":"any_of","value":"github.com"}"#] {
            assert!(serde_json::from_str::<Senders>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn several_admit_what_one_of_them_admits_and_exclude_what_all_exclude() {
        let openai = senders("openai.com, chatgpt.com, OpenAI");
        let from = |address: &str| Sender::Address(address.parse().unwrap());
        assert!(openai.admits(&from("a@mail.openai.com")) && openai.admits(&from("a@chatgpt.com")));
        assert!(openai.admits(&Sender::SenderId("OPENAI".parse().unwrap())));
        assert!(
            !openai.admits(&from("a@evil.example")) && !openai.admits(&from("a@openai.com.evil.example"))
        );
        assert_eq!(openai.domains().collect::<Vec<_>>(), ["chatgpt.com", "openai.com"]);
        for (other, excludes) in [
            ("openai.com", false),
            ("noreply@tm.openai.com", false),
            ("a.example, openai", false),
            ("a.example, b@c.example", true),
        ] {
            assert_eq!(openai.excludes(&senders(other)), excludes, "{other}");
            assert_eq!(senders(other).excludes(&openai), excludes, "{other}");
        }
    }
}
