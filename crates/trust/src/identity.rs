//! Identity keys (Ed25519, RFC 8032). They are never NATS nkeys: a NATS client signs whatever nonce its server sends.

use std::fmt;

use agent_otp_domain::{KeyId, SignedStatement, codec, pre_authentication_encoding};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Statement;

/// A member's or an owner's long-lived private key. It is zeroized when dropped.
pub struct IdentityKey(SigningKey);

impl IdentityKey {
    /// The key of a seed: 32 bytes fresh from the system's generator, or as they were kept.
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, to be kept at rest.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The public half's fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public().id()
    }

    /// Writes a statement down and signs it.
    #[must_use]
    pub fn sign<S: Statement>(&self, statement: &S) -> SignedStatement {
        self.sign_payload(S::TYPE, codec::encode(statement))
    }

    pub(crate) fn sign_payload(&self, payload_type: &str, payload: Vec<u8>) -> SignedStatement {
        let signature = self.0.sign(&pre_authentication_encoding(payload_type, &payload)).to_bytes();
        SignedStatement { payload_type: payload_type.to_owned(), payload, key: self.id(), signature }
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityKey({}, secret redacted)", self.id())
    }
}

/// A public identity key that is not weak (of small order).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub struct PublicKey(VerifyingKey);

/// Why bytes are no public key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not 32 bytes.
    #[error("a public key has 32 bytes, this one {0}")]
    Length(usize),
    /// No point of the curve.
    #[error("these bytes are no Ed25519 public key")]
    Point,
    /// Of small order: anyone can sign for it.
    #[error("this is a weak key, for which anyone can sign; make another")]
    Weak,
}

impl PublicKey {
    /// The fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(self.as_bytes())
    }

    /// The bytes, as RFC 8032 writes them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether this key signed the statement's exact bytes. Strict: see RFC 8032 §5.1.7 and Chalkias et al., 2020.
    #[must_use]
    pub fn has_signed(&self, signed: &SignedStatement) -> bool {
        self.0.verify_strict(&signed.signed_bytes(), &Signature::from_bytes(&signed.signature)).is_ok()
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Length(bytes.len()))?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }
}

impl TryFrom<serde_bytes::ByteBuf> for PublicKey {
    type Error = KeyError;

    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<Self, KeyError> {
        bytes.as_slice().try_into()
    }
}

impl From<PublicKey> for serde_bytes::ByteBuf {
    fn from(key: PublicKey) -> Self {
        Self::from(key.0.to_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_or_malformed_key_is_refused() {
        let mut identity_point = [0_u8; 32];
        identity_point[0] = 1;
        assert_eq!(PublicKey::try_from(&identity_point[..]), Err(KeyError::Weak));
        assert_eq!(PublicKey::try_from(&[0_u8; 32][..]), Err(KeyError::Weak));
        assert_eq!(PublicKey::try_from(&[2_u8; 31][..]), Err(KeyError::Length(31)));
        assert_eq!(PublicKey::try_from(&[2_u8; 32][..]), Err(KeyError::Point));
    }

    #[test]
    fn the_debug_of_a_key_shows_its_fingerprint_alone() {
        let key = IdentityKey::from_seed(&Zeroizing::new([7; 32]));
        insta::assert_debug_snapshot!(key, @"IdentityKey(cfv6tvl7kvdb3kjx3s37vsnwuk7temev, secret redacted)");
    }
}
