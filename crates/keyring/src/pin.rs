//! What a member pinned: the owner's key, and the highest roster ever seen, so that none goes backwards.

use agent_otp_domain::{DigestError, KeyId};
use agent_otp_trust::Seen;
use serde::{Deserialize, Serialize};

/// What a member believes before it has heard anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Pin {
    /// The fingerprint of the owner's first key, by which the owner is known for ever.
    pub owner_key: KeyId,
    /// The highest roster ever seen.
    pub roster: Option<Seen>,
}

/// A pin as its file holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    owner_key: KeyId,
    roster: Option<WrittenRoster>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRoster {
    number: u64,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succession: Option<String>,
}

impl TryFrom<Written> for Pin {
    type Error = DigestError;

    fn try_from(written: Written) -> Result<Self, DigestError> {
        let seen = |WrittenRoster { number, digest, succession }| {
            let succession = succession.map(|digest| digest.parse()).transpose()?;
            Ok(Seen { number, digest: digest.parse()?, succession })
        };
        Ok(Self { owner_key: written.owner_key, roster: written.roster.map(seen).transpose()? })
    }
}

impl From<Pin> for Written {
    fn from(pin: Pin) -> Self {
        let roster = |Seen { number, digest, succession }| WrittenRoster {
            number,
            digest: digest.to_string(),
            succession: succession.map(|digest| digest.to_string()),
        };
        Self { owner_key: pin.owner_key, roster: pin.roster.map(roster) }
    }
}
