//! Names of things: owners, members, keys, requests, events. Each is its own type, and fit to stand in a subject.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::as_text;
use crate::{Digest, Timestamp};

/// Why a text is no id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is no {kind}: it must be {rule}")]
pub struct IdError {
    kind: &'static str,
    rule: &'static str,
    text: String,
}

/// Makes a newtype over a checked text, with the conversions that every id has.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { kind: $kind, rule: $rule, text: text.chars().take(80).collect() })
                }
            }
        }

        as_text!($name, IdError);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Makes a newtype over a UUID, written with hyphens and in lower case.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $version:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text)
                    .ok()
                    .filter(|uuid| uuid.get_version_num() == $version)
                    // One text for one id: a subject must not be spelt in two ways.
                    .filter(|uuid| uuid.hyphenated().to_string() == text)
                    .map(Self)
                    .ok_or_else(|| IdError {
                        kind: $kind,
                        rule: concat!("a version ", $version, " UUID in lower case with hyphens"),
                        text: text.chars().take(80).collect(),
                    })
            }
        }

        as_text!($name, IdError);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

fn is_fingerprint(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

fn is_user(text: &str) -> bool {
    text.len() == 56
        && text.starts_with('U')
        && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

text_id! {
    /// Whose log this is: the fingerprint of the owner's first key.
    OwnerId, "owner id", "32 characters of a-z and 2-7", is_fingerprint
}

text_id! {
    /// A public identity key's fingerprint: the first 160 bits of its SHA-256, in base32 (RFC 4648, lower case).
    KeyId, "key id", "32 characters of a-z and 2-7", is_fingerprint
}

text_id! {
    /// The public half of a NATS user's nkey. It logs in at the broker, and is nobody's identity.
    UserId, "NATS user", "U and 55 characters of A-Z and 2-7", is_user
}

text_id! {
    /// What an owner calls a member; unique within its role.
    MemberId, "member name", "1 to 32 characters of a-z, 0-9 and hyphens, without a hyphen at either end", is_name
}

uuid_id! {
    /// One request for one code, named by the agent that asks (a UUID of version 7, RFC 9562).
    RequestId, "request id", 7
}

uuid_id! {
    /// One decision of a relay: random (a UUID of version 4), so that two relays never share one.
    EventId, "event id", 4
}

impl KeyId {
    /// The fingerprint of a public key's bytes.
    #[must_use]
    pub fn of(public_key: &[u8; 32]) -> Self {
        let [head @ .., _, _, _, _, _, _, _, _, _, _, _, _] =
            *Digest::of(&[b"agent-otp/v1/key\0", public_key]).as_bytes();
        Self::from_bytes(&head)
    }

    /// The fingerprint of these 160 bits.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 20]) -> Self {
        Self(BASE32_NOPAD.encode(bytes).to_ascii_lowercase())
    }

    /// Its 160 bits.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 20] {
        let bytes = BASE32_NOPAD.decode(self.0.to_ascii_uppercase().as_bytes()).unwrap_or_default();
        bytes.try_into().unwrap_or_default()
    }
}

impl MemberId {
    /// A name for something that nobody names: base32 of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 20]) -> Self {
        Self(BASE32_NOPAD.encode(bytes).to_ascii_lowercase())
    }
}

impl OwnerId {
    /// The owner whose first key has this fingerprint.
    #[must_use]
    pub fn of(key: &KeyId) -> Self {
        Self(key.0.clone())
    }
}

impl RequestId {
    /// Names a request made at `now`; `random` must be fresh from the system's generator.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now.as_unix_ms().unsigned_abs(), &random).into_uuid())
    }
}

impl EventId {
    /// Names a decision; `random` must be fresh from the system's generator.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid())
    }
}

/// What a request is known by everywhere: its owner, the agent that asks, and the agent's name for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKey {
    /// Whose code is asked for.
    pub owner: OwnerId,
    /// Who asks.
    pub agent: MemberId,
    /// The agent's name for the request.
    pub request: RequestId,
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.owner, self.agent, self.request)
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds the key that signs the roster.
    Owner,
    /// Asks for codes.
    Agent,
    /// Approves and denies.
    Approver,
    /// Captures what was approved.
    Capturer,
    /// Replays the log.
    Auditor,
    /// Carries, orders and forgets. Not in the roster: nobody trusts it.
    Relay,
}

impl Role {
    const NAMES: [(&'static str, Self); 6] = [
        ("owner", Self::Owner),
        ("agent", Self::Agent),
        ("approver", Self::Approver),
        ("capturer", Self::Capturer),
        ("auditor", Self::Auditor),
        ("relay", Self::Relay),
    ];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::NAMES.iter().find(|(_, role)| role == self).map_or("", |(name, _)| name))
    }
}

impl FromStr for Role {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, role)| *role).ok_or_else(|| IdError {
            kind: "role",
            rule: "owner, agent, approver, capturer, auditor or relay",
            text: text.chars().take(80).collect(),
        })
    }
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// In which role.
    pub role: Role,
    /// Under which name.
    pub member: MemberId,
}

impl Actor {
    /// The relay's clock, which causes `expired`.
    #[must_use]
    pub fn relay() -> Self {
        Self { role: Role::Relay, member: MemberId("relay".to_owned()) }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.role, self.member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_widen_a_subject_is_refused() {
        for text in ["", "*", ">", "a.b", "a b", "Shopper", "-a", "a-", "ä", &"a".repeat(33)] {
            assert!(text.parse::<MemberId>().is_err(), "{text}");
        }
        assert!("shopper-2".parse::<MemberId>().is_ok());
        assert!("A7XQ".parse::<KeyId>().is_err());
    }

    #[test]
    fn a_request_id_has_one_spelling_and_one_version() {
        let id = RequestId::new(Timestamp::from_unix_ms(1_700_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<RequestId>().is_err());
        assert!(id.to_string().replace('-', "").parse::<RequestId>().is_err());
        assert!(EventId::new([7; 16]).to_string().parse::<RequestId>().is_err());
    }

    #[test]
    fn a_role_reads_back_what_it_shows() {
        for (name, role) in Role::NAMES {
            assert_eq!(name.parse(), Ok(role));
            assert_eq!(role.to_string(), name);
        }
    }

    #[test]
    fn a_key_id_is_160_bits_in_one_spelling() {
        let id = KeyId::of(&[1; 32]);
        assert_eq!(KeyId::from_bytes(&id.to_bytes()), id);
        assert_eq!("a".repeat(32).parse::<KeyId>().unwrap().to_bytes(), [0; 20]);
        assert_eq!("7".repeat(32).parse::<KeyId>().unwrap().to_bytes(), [0xff; 20]);
    }

    #[test]
    fn a_nats_user_is_no_seed_and_no_other_kind_of_key() {
        let user = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF";
        assert_eq!(user.parse::<UserId>().unwrap().as_str(), user);
        for text in ["", &user[1..], &user.to_lowercase(), &user.replacen('U', "A", 1), &format!("{user}A")] {
            assert!(text.parse::<UserId>().is_err(), "{text}");
        }
        assert!(user.replace('V', "\"").parse::<UserId>().is_err());
    }

    #[test]
    fn a_key_id_is_a_stable_fingerprint() {
        insta::assert_snapshot!(KeyId::of(&[1; 32]), @"m26nslxyvswu72tamtgdnbgxidmkrsxi");
    }
}
