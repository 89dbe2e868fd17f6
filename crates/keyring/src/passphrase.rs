//! A passphrase, and the key that argon2id (RFC 9106) derives from it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

/// The fewest characters (NIST SP 800-63B-4 §3.1.1.2, for what an attacker can try offline too).
const CHARS_MIN: usize = 8;
/// The longest, in bytes.
const BYTES_MAX: usize = 1_024;

/// What a user protects keys with. It keeps the key that it has last opened or sealed with, so that many files that
/// share a salt cost one derivation.
#[derive(Clone)]
pub struct Passphrase(Arc<Inner>);

struct Inner {
    text: Zeroizing<String>,
    proven: Mutex<Option<(Derivation, SealingKey)>>,
}

/// 32 bytes for XChaCha20-Poly1305.
pub(crate) type SealingKey = Zeroizing<[u8; 32]>;

/// Why a text is no passphrase.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PassphraseError {
    /// It would be found by trying.
    #[error("a passphrase has at least {CHARS_MIN} characters")]
    Short,
    /// It is a file rather than a passphrase.
    #[error("a passphrase has at most {BYTES_MAX} bytes")]
    Long,
}

/// How a sealing key is derived: what it costs, and the salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Derivation {
    pub(crate) cost: Cost,
    pub(crate) salt: [u8; 16],
}

/// What a derivation costs whoever tries a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Cost {
    /// What is written: the second recommended option of RFC 9106 §4. Nothing below it is read.
    pub(crate) const USUAL: Self = Self { memory_kib: 64 * 1_024, passes: 3, lanes: 4 };
    /// The most that is read: a planted file must not exhaust the machine.
    const MAX: Self = Self { memory_kib: 1_024 * 1_024, passes: 8, lanes: 16 };

    /// Whether a file that asks for it is obeyed.
    pub(crate) fn is_bearable(self) -> bool {
        (Self::USUAL.memory_kib..=Self::MAX.memory_kib).contains(&self.memory_kib)
            && (Self::USUAL.passes..=Self::MAX.passes).contains(&self.passes)
            && (1..=Self::MAX.lanes).contains(&self.lanes)
    }
}

/// No key could be derived: there is not enough memory.
#[derive(Debug)]
pub(crate) struct Underivable;

impl Passphrase {
    /// A passphrase of exactly these bytes.
    ///
    /// # Errors
    ///
    /// [`PassphraseError`] if it is too short or too long.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        if text.chars().count() < CHARS_MIN {
            return Err(PassphraseError::Short);
        }
        if text.len() > BYTES_MAX {
            return Err(PassphraseError::Long);
        }
        Ok(Self(Arc::new(Inner { text, proven: Mutex::new(None) })))
    }

    /// Whether two are the same passphrase.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        *self.0.text == *other.0.text
    }

    /// How the next file is sealed: as the last one was, unless that was at another cost.
    pub(crate) fn derivation(&self) -> Option<Derivation> {
        let proven = self.0.proven.lock().unwrap_or_else(PoisonError::into_inner);
        proven.as_ref().map(|(derivation, _)| *derivation).filter(|known| known.cost == Cost::USUAL)
    }

    /// The sealing key.
    pub(crate) fn derive(&self, derivation: Derivation) -> Result<SealingKey, Underivable> {
        let proven = self.0.proven.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, key)) = proven.filter(|(known, _)| *known == derivation) {
            return Ok(key);
        }
        let Derivation { cost: Cost { memory_kib, passes, lanes }, salt } = derivation;
        let params = Params::new(memory_kib, passes, lanes, None).map_err(|_| Underivable)?;
        let mut memory = Zeroizing::new(Vec::new());
        memory.try_reserve_exact(params.block_count()).map_err(|_| Underivable)?;
        memory.resize(params.block_count(), Block::new());
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                self.0.text.as_bytes(),
                &salt,
                key.as_mut_slice(),
                memory.as_mut_slice(),
            )
            .map_err(|_| Underivable)?;
        Ok(key)
    }

    /// Keeps a key that has opened or sealed something. One that has not may come of a planted salt.
    pub(crate) fn prove(&self, derivation: Derivation, key: SealingKey) {
        *self.0.proven.lock().unwrap_or_else(PoisonError::into_inner) = Some((derivation, key));
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn the_debug_of_a_passphrase_shows_nothing_of_it() {
        insta::assert_debug_snapshot!(passphrase("correct horse"), @"Passphrase(redacted)");
    }

    #[test]
    fn a_passphrase_is_neither_short_nor_a_file() {
        let new = |text: String| Passphrase::new(text.into()).map(|_| ());
        assert_eq!(new("seven77".to_owned()), Err(PassphraseError::Short));
        assert_eq!(new("ééééééé".to_owned()), Err(PassphraseError::Short));
        assert_eq!(new("eight888".to_owned()), Ok(()));
        assert_eq!(new("x".repeat(1_024)), Ok(()));
        assert_eq!(new("x".repeat(1_025)), Err(PassphraseError::Long));
    }

    #[test]
    fn a_key_is_derived_as_another_implementation_of_argon2id_does() {
        let derivation = Derivation { cost: Cost::USUAL, salt: *b"sixteen bytes of" };
        let key = passphrase("correct horse").derive(derivation).unwrap();
        // cryptography 48.0.0 (OpenSSL): Argon2id(salt=…, length=32, iterations=3, lanes=4, memory_cost=65536)
        assert_eq!(
            HEXLOWER.encode(key.as_slice()),
            "b8a4ebed7a55fb0a7ab3128796dcd4c7009d98617e70c1045f2641699d31f0c3"
        );
    }

    #[test]
    fn what_a_file_may_ask_for_has_bounds_on_both_sides() {
        let Cost { memory_kib, passes, lanes } = Cost::USUAL;
        let table = [
            (memory_kib, passes, lanes, true),
            (memory_kib, passes, 1, true),
            (1_048_576, 8, 16, true),
            (memory_kib - 1, passes, lanes, false),
            (1_048_577, passes, lanes, false),
            (u32::MAX, passes, lanes, false),
            (0, passes, lanes, false),
            (memory_kib, passes - 1, lanes, false),
            (memory_kib, 9, lanes, false),
            (memory_kib, u32::MAX, lanes, false),
            (memory_kib, passes, 0, false),
            (memory_kib, passes, 17, false),
        ];
        for (memory_kib, passes, lanes, is_bearable) in table {
            let cost = Cost { memory_kib, passes, lanes };
            assert_eq!(cost.is_bearable(), is_bearable, "{cost:?}");
        }
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned().into()).unwrap()
    }
}
