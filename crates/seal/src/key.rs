//! The two halves of the key pair that an agent makes for one request.

use std::fmt;

use hpke::{Deserializable, Kem as _, OpModeS, Serializable};

use crate::Suite;
use crate::stack::cleared;
use crate::suite::{Aead, Kdf, Kem};

/// The secret half: opens what was sealed for one request. It stays in memory, in one place, and is zeroized when dropped.
pub struct AgentSecret(Box<<Kem as hpke::Kem>::PrivateKey>);

impl AgentSecret {
    /// Makes a fresh one.
    ///
    /// # Panics
    ///
    /// If the system has no randomness to give; no key could be made then.
    #[must_use]
    pub fn generate() -> Self {
        cleared(|| {
            let (secret, _) = Kem::gen_keypair();
            Self(Box::new(secret))
        })
    }

    /// The suite that this key is made for: what the request names beside the public key.
    #[must_use]
    pub fn suite(&self) -> Suite {
        Suite::X25519
    }

    /// The public half, as it stands in the request.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        cleared(|| Kem::sk_to_pk(&self.0).to_bytes().into())
    }

    pub(crate) fn as_hpke(&self) -> &<Kem as hpke::Kem>::PrivateKey {
        &self.0
    }
}

impl fmt::Debug for AgentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentSecret(redacted)")
    }
}

/// The public half, after it was found fit to seal to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientKey(<Kem as hpke::Kem>::PublicKey);

/// Why nothing can be sealed to the key that a request names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// The suite is not one of ours.
    #[error("suite {0} is unknown; this version knows suite 1")]
    Suite(u16),
    /// The key has the wrong length.
    #[error("a public key of this suite has 32 bytes, this one {0}")]
    Length(usize),
    /// Anyone could open what is sealed to this key.
    #[error("the public key is a point of low order, and keeps nothing secret")]
    LowOrder,
}

impl RecipientKey {
    /// Takes the suite's number and the public key as the request states them.
    ///
    /// # Errors
    ///
    /// [`RecipientError`] if nothing can be sealed to them.
    ///
    /// # Panics
    ///
    /// If the system has no randomness to give.
    pub fn new(suite: u16, public_key: &[u8]) -> Result<Self, RecipientError> {
        match Suite::try_from(suite)? {
            Suite::X25519 => Self::x25519(public_key),
        }
    }

    /// X25519 takes any 32 bytes for a key, and a point of low order yields the same shared secret with every other
    /// key: zero. HPKE notices this in its key exchange (RFC 9180 §7.1.4), so one is made and thrown away.
    fn x25519(bytes: &[u8]) -> Result<Self, RecipientError> {
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(bytes)
            .map_err(|_| RecipientError::Length(bytes.len()))?;
        hpke::setup_sender::<Aead, Kdf, Kem>(&OpModeS::Base, &key, b"")
            .map_err(|_| RecipientError::LowOrder)?;
        Ok(Self(key))
    }

    pub(crate) fn as_hpke(&self) -> &<Kem as hpke::Kem>::PublicKey {
        &self.0
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn the_debug_of_a_secret_shows_nothing() {
        insta::assert_debug_snapshot!(derived(&[1; 32]), @"AgentSecret(redacted)");
    }

    #[test]
    fn each_request_has_a_key_of_its_own() {
        let [one, other] = [AgentSecret::generate(), AgentSecret::generate()];
        assert_ne!(one.public_key(), other.public_key());
        assert_eq!(RecipientKey::new(one.suite().into(), &one.public_key()).map(|_| ()), Ok(()));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for length in (0..=64).filter(|length| *length != 32) {
            assert_eq!(RecipientKey::new(1, &vec![9; length]), Err(RecipientError::Length(length)));
        }
    }

    #[test]
    fn a_key_of_another_suite_is_refused() {
        assert_eq!(RecipientKey::new(2, &[9; 32]), Err(RecipientError::Suite(2)));
    }

    /// The points whose order divides 8, with every way to write them in 32 bytes without the highest bit, which
    /// X25519 ignores (RFC 7748 §5; the list is that of cr.yp.to/ecdh.html, "validate").
    const LOW_ORDER: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    #[test]
    fn a_key_of_low_order_is_refused_however_it_is_written() {
        for text in LOW_ORDER {
            let mut key = HEXLOWER.decode(text.as_bytes()).unwrap();
            assert_eq!(RecipientKey::new(1, &key), Err(RecipientError::LowOrder), "{text}");
            key[31] |= 0x80;
            assert_eq!(RecipientKey::new(1, &key), Err(RecipientError::LowOrder), "{text}, highest bit set");
        }
    }

    /// The secret that RFC 9180 §7.1.3 derives from these bytes.
    pub(crate) fn derived(ikm: &[u8; 32]) -> AgentSecret {
        let (secret, _) = Kem::derive_keypair(ikm);
        AgentSecret(Box::new(secret))
    }
}
