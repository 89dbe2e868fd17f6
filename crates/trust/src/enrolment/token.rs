//! The token of an enrolment: all that another machine needs to join, and one secret, in a line that can be pasted.
//!
//! `otp1` and base32 (RFC 4648, no padding) of the invitation, the secret and a checksum. Nothing in it outlives the
//! enrolment.

use std::fmt;
use std::str::FromStr;

use agent_otp_domain::{Digest, IdError, KeyId, MemberId, OwnerId, Role, Timestamp};
use data_encoding::BASE32_NOPAD;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::proof::{Prover, Transcript};

/// What a token begins with: the version of the rest.
const PREFIX: &str = "otp1";
const SECRET_BYTES: usize = 32;
const SUM_BYTES: usize = 4;
/// The fingerprint in a key id.
const KEY_BYTES: usize = 20;
/// The most bytes that a broker's URL has.
const URL_BYTES_MAX: usize = 200;
/// Which byte stands for which role.
const ROLES: [(u8, Role); 4] =
    [(1, Role::Agent), (2, Role::Approver), (3, Role::Capturer), (4, Role::Auditor)];

/// All of a token that is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Where the other machine reaches the broker.
    pub url: String,
    /// SHA-256 of the broker's TLS key (`SubjectPublicKeyInfo`), by which it is known; none where the connection is not
    /// encrypted.
    pub tls_key: Option<Digest>,
    /// The fingerprint of the owner's first key: what the new member pins.
    pub owner: KeyId,
    /// What the new member will be.
    pub role: Role,
    /// What it will be called.
    pub name: MemberId,
    /// Until when it may join.
    pub expires_at: Timestamp,
}

/// An invitation, and the secret that proves it. Whoever has it can try once.
pub struct Token {
    invitation: Invitation,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

/// Why a text is no token, or none can be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// It is something else.
    #[error("this is no enrolment token: one begins with `{PREFIX}`; copy it as `agent-otp enroll` shows it")]
    Other,
    /// Characters are wrong, missing or too many.
    #[error(
        "the token is mistyped: its checksum does not fit; copy all of it as `agent-otp enroll` shows it"
    )]
    Mistyped,
    /// It is whole, and says what none may say.
    #[error("the token names {0}; have another made by `agent-otp enroll` of the same version")]
    Malformed(&'static str),
    /// A name or role in it.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl Token {
    /// A token for an invitation; `secret` must be fresh from the system's generator.
    ///
    /// # Errors
    ///
    /// [`TokenError::Malformed`] if the role is none of a member's, or the URL none of a broker.
    pub fn new(invitation: Invitation, secret: Zeroizing<[u8; 32]>) -> Result<Self, TokenError> {
        if code(invitation.role).is_none() {
            return Err(TokenError::Malformed("a role that no member has"));
        }
        let is_url = ["nats://", "tls://"].iter().any(|scheme| invitation.url.starts_with(scheme))
            && invitation.url.len() <= URL_BYTES_MAX
            && invitation.url.bytes().all(|byte| byte.is_ascii_graphic());
        if is_url {
            Ok(Self { invitation, secret })
        } else {
            Err(TokenError::Malformed("no URL of a broker"))
        }
    }

    /// What it invites to.
    #[must_use]
    pub fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    /// How the enrolment is called at the broker. It tells nothing of the secret.
    #[must_use]
    pub fn id(&self) -> MemberId {
        let [head @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *self.derived(b"agent-otp/v1/enrol/id\0");
        MemberId::from_bytes(&head)
    }

    /// The seed of the NATS user that may do nothing but enrol: 32 bytes, of which the broker is told the public half.
    #[must_use]
    pub fn user_seed(&self) -> Zeroizing<[u8; 32]> {
        self.derived(b"agent-otp/v1/enrol/nats\0")
    }

    /// The key that proves the token.
    pub(super) fn prover(&self) -> Prover {
        Prover::new(self.derived(b"agent-otp/v1/enrol/mac\0"))
    }

    /// Where a transcript begins: both sides mean the same token.
    pub(super) fn transcript(&self) -> Transcript {
        Transcript::of(self.digest())
    }

    /// The digest of the invitation.
    fn digest(&self) -> Digest {
        Digest::of(&[b"agent-otp/v1/enrol/invitation\0", &self.invitation.encode()])
    }

    #[expect(clippy::expect_used, reason = "HKDF gives up to 8,160 bytes")]
    fn derived(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        // A token whose invitation was changed derives nothing that anybody knows.
        Hkdf::<Sha256>::new(Some(self.digest().as_bytes()), self.secret.as_slice())
            .expand(label, key.as_mut_slice())
            .expect("32 bytes are no more than HKDF gives");
        key
    }

    /// Writes the token down. All upper case, it is the same, and fits into a smaller QR code.
    #[must_use]
    pub fn written(&self) -> Zeroizing<String> {
        let head = self.invitation.encode();
        // All of the room is taken at once: what grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(head.len() + SECRET_BYTES + SUM_BYTES));
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(self.secret.as_slice());
        let sum = sum(&bytes);
        bytes.extend_from_slice(&sum);
        let length = PREFIX.len() + BASE32_NOPAD.encode_len(bytes.len());
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(PREFIX);
        BASE32_NOPAD.encode_append(&bytes, &mut text);
        text.make_ascii_lowercase();
        text
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// Reads a token in any case, and with white space where a terminal has broken it.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut letters = Zeroizing::new(Vec::with_capacity(text.len()));
        letters.extend(
            text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| byte.to_ascii_uppercase()),
        );
        let (prefix, letters) = letters.split_at_checked(PREFIX.len()).ok_or(TokenError::Other)?;
        if !prefix.eq_ignore_ascii_case(PREFIX.as_bytes()) {
            return Err(TokenError::Other);
        }
        let length = BASE32_NOPAD.decode_len(letters.len()).map_err(|_| TokenError::Mistyped)?;
        let mut bytes = Zeroizing::new(vec![0; length]);
        BASE32_NOPAD.decode_mut(letters, &mut bytes).map_err(|_| TokenError::Mistyped)?;
        let (body, found) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(TokenError::Mistyped)?;
        if sum(body) != *found {
            return Err(TokenError::Mistyped);
        }
        let (head, secret) =
            body.split_last_chunk::<SECRET_BYTES>().ok_or(TokenError::Malformed("too little"))?;
        Self::new(Invitation::decode(head)?, Zeroizing::new(*secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Invitation { role, name, owner, expires_at, .. } = &self.invitation;
        write!(f, "Token({role}:{name} of {owner} until {expires_at}, secret redacted)")
    }
}

impl Invitation {
    /// What the owner is called in subjects and rosters.
    #[must_use]
    pub fn owner_id(&self) -> OwnerId {
        OwnerId::of(&self.owner)
    }

    /// Role, end, owner, TLS key, name, URL; what has no fixed length behind its length.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![code(self.role).unwrap_or_default()];
        bytes.extend(self.expires_at.as_unix_ms().to_be_bytes());
        bytes.extend(self.owner.to_bytes());
        let tls_key = self.tls_key.as_ref().map_or(&[][..], |digest| digest.as_bytes());
        for part in [tls_key, self.name.as_str().as_bytes(), self.url.as_bytes()] {
            bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            bytes.extend(part);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, TokenError> {
        let mut rest = bytes;
        let [role] = *fixed(&mut rest)?;
        let role = ROLES.iter().find(|(code, _)| *code == role).map(|(_, role)| *role);
        let role = role.ok_or(TokenError::Malformed("a role that is not known"))?;
        let expires_at = Timestamp::from_unix_ms(i64::from_be_bytes(*fixed(&mut rest)?));
        let owner = KeyId::from_bytes(fixed::<KEY_BYTES>(&mut rest)?);
        let tls_key = match measured(&mut rest)? {
            [] => None,
            bytes => Some(digest(bytes)?),
        };
        let name = text(measured(&mut rest)?)?.parse()?;
        let url = text(measured(&mut rest)?)?.to_owned();
        if rest.is_empty() {
            Ok(Self { url, tls_key, owner, role, name, expires_at })
        } else {
            Err(TokenError::Malformed("more than it should"))
        }
    }
}

fn code(role: Role) -> Option<u8> {
    ROLES.iter().find(|(_, known)| *known == role).map(|(code, _)| *code)
}

fn fixed<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], TokenError> {
    let (part, behind) = rest.split_first_chunk().ok_or(TokenError::Malformed("too little"))?;
    *rest = behind;
    Ok(part)
}

fn measured<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TokenError> {
    let [length] = *fixed(rest)?;
    let (part, behind) = rest.split_at_checked(length.into()).ok_or(TokenError::Malformed("too little"))?;
    *rest = behind;
    Ok(part)
}

fn digest(bytes: &[u8]) -> Result<Digest, TokenError> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| TokenError::Malformed("no fingerprint of a TLS key"))?;
    Ok(Digest::from(bytes))
}

fn text(bytes: &[u8]) -> Result<&str, TokenError> {
    std::str::from_utf8(bytes).map_err(|_| TokenError::Malformed("what is no text"))
}

fn sum(body: &[u8]) -> [u8; SUM_BYTES] {
    let [one, two, three, four, ..] = *Digest::of(&[b"agent-otp/v1/enrol/token\0", body]).as_bytes();
    [one, two, three, four]
}
