//! Sealing and opening: HPKE's single-shot base mode (RFC 9180 §6.1) over a padded code, bound to what it answers.

use agent_otp_domain::{Code, Digest, KeyId, SealedCode, Wanted};
use hpke::{Deserializable, HpkeError, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::padding::{pad, padded_bytes, unpad};
use crate::stack::cleared;
use crate::suite::{Aead, Kdf, Kem};
use crate::{AgentSecret, RecipientKey};

/// The bytes of HPKE's `enc`, which stand before the ciphertext.
const ENC_BYTES: usize = 32;
/// The bytes of the authentication tag, with which the ciphertext ends.
const TAG_BYTES: usize = 16;

/// What a sealed code belongs to. Sealed for one context, it opens in no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The digest of the request statement.
    pub request: Digest,
    /// The digest of the decision statement that approved it.
    pub decision: Digest,
    /// The key of the capturer that seals.
    pub capturer: KeyId,
}

impl Context {
    /// HPKE's `info`. Every part has a fixed length, so no two contexts give the same bytes.
    fn info(&self) -> Vec<u8> {
        let capturer = self.capturer.to_string();
        [
            b"agent-otp/v1/seal\0".as_slice(),
            self.request.as_bytes(),
            self.decision.as_bytes(),
            capturer.as_bytes(),
        ]
        .concat()
    }
}

/// Why a code was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The request asked for a code and this is a link, or the other way round.
    #[error("what was captured is no {wanted}")]
    Content {
        /// What was asked for.
        wanted: Wanted,
    },
    /// HPKE did not seal; with a [`RecipientKey`], which was checked, it has no reason not to.
    #[error("the code could not be sealed to the agent's key")]
    Hpke(#[source] HpkeError),
}

/// Seals a code to the key that the request names: 304 bytes, or 2,096 where a link was asked for.
///
/// # Errors
///
/// [`SealError`] if the code is not what was asked for.
///
/// # Panics
///
/// If the system has no randomness to give; nothing could be sealed then.
pub fn seal(
    code: &Code,
    wanted: Wanted,
    recipient: &RecipientKey,
    context: &Context,
) -> Result<SealedCode, SealError> {
    cleared(|| encrypt(code, wanted, recipient, context))
}

fn encrypt(
    code: &Code,
    wanted: Wanted,
    recipient: &RecipientKey,
    context: &Context,
) -> Result<SealedCode, SealError> {
    let padded = pad(code, wanted).map_err(|_| SealError::Content { wanted })?;
    let (enc, ct) = hpke::single_shot_seal::<Aead, Kdf, Kem>(
        &OpModeS::Base,
        recipient.as_hpke(),
        &context.info(),
        &padded,
        b"",
    )
    .map_err(SealError::Hpke)?;
    Ok(SealedCode::new([enc.to_bytes().as_slice(), &ct].concat()))
}

/// Why a sealed code was not opened. The request is none the worse for it: opening can be tried again with other bytes.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bytes cannot be what was asked for.
    #[error("a sealed {wanted} has {expected} bytes, this one {found}")]
    Length {
        /// What was asked for.
        wanted: Wanted,
        /// How many bytes it has when sealed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Sealed to another key or in another context, or changed on the way: which of them cannot be told.
    #[error(
        "the code was sealed to another key, for another request, decision or capturer, or was changed on the way"
    )]
    Foreign(#[source] HpkeError),
    /// The capturer sealed something else than what was asked for.
    #[error("what the capturer sealed is no {wanted}")]
    Content {
        /// What was asked for.
        wanted: Wanted,
    },
}

/// Opens a sealed code with the secret that was made for the request.
///
/// # Errors
///
/// [`OpenError`] if the bytes are not a sealed code for this secret and this context.
pub fn open(
    sealed: &SealedCode,
    wanted: Wanted,
    secret: &AgentSecret,
    context: &Context,
) -> Result<Code, OpenError> {
    cleared(|| decrypt(sealed, wanted, secret, context))
}

fn decrypt(
    sealed: &SealedCode,
    wanted: Wanted,
    secret: &AgentSecret,
    context: &Context,
) -> Result<Code, OpenError> {
    let bytes = sealed.as_bytes();
    let expected = ENC_BYTES + padded_bytes(wanted) + TAG_BYTES;
    if bytes.len() != expected {
        return Err(OpenError::Length { wanted, expected, found: bytes.len() });
    }
    let (enc, ct) = bytes.split_at(ENC_BYTES);
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(OpenError::Foreign)?;
    let padded = hpke::single_shot_open::<Aead, Kdf, Kem>(
        &OpModeR::Base,
        secret.as_hpke(),
        &enc,
        &context.info(),
        ct,
        b"",
    )
    .map(Zeroizing::new)
    .map_err(OpenError::Foreign)?;
    unpad(&padded, wanted).map_err(|_| OpenError::Content { wanted })
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::key::tests::derived;

    #[test]
    fn the_info_is_a_label_two_digests_and_the_key_id_of_the_capturer() {
        let parts = [
            "6167656e742d6f74702f76312f7365616c00",
            "1f58b9145b24d108d7ac38887338b3ea3229833b9c1e418250343f907bfd1047",
            "86ae35d58a6aa3b5742df94ef9d7162219f0106a911ae1954c1f0604aaec805d",
            "6d32366e736c787976737775373274616d7467646e62677869646d6b72737869",
        ];
        assert_eq!(HEXLOWER.encode(&context().info()), parts.concat());
    }

    /// These were sealed by a program of its own, written from RFC 9180 over Python's `cryptography` 48.0.0, with
    /// the recipient's key pair derived from 32 bytes of 1 and the ephemeral one from 32 bytes of 2.
    #[test]
    fn what_another_implementation_sealed_keeps_opening() {
        let stored = [
            (Wanted::Code, include_str!("../tests/sealed/code.v1.hex"), "482913"),
            (Wanted::Link, include_str!("../tests/sealed/link.v1.hex"), "https://acme.example/magic?t=1"),
        ];
        for (wanted, hex, text) in stored {
            let bytes = HEXLOWER.decode(hex.replace('\n', "").as_bytes()).unwrap();
            let code = open(&SealedCode::new(bytes), wanted, &derived(&[1; 32]), &context()).unwrap();
            assert_eq!(code.expose(), text);
        }
    }

    #[test]
    fn what_a_capturer_sealed_is_refused_if_it_is_no_code() {
        let secret = derived(&[1; 32]);
        let recipient = RecipientKey::new(1, &secret.public_key()).unwrap();
        let (enc, ct) = hpke::single_shot_seal::<Aead, Kdf, Kem>(
            &OpModeS::Base,
            recipient.as_hpke(),
            &context().info(),
            &[0xff; 256],
            b"",
        )
        .unwrap();
        let sealed = SealedCode::new([enc.to_bytes().as_slice(), &ct].concat());
        let refused = open(&sealed, Wanted::Code, &secret, &context()).unwrap_err();
        insta::assert_snapshot!(refused, @"what the capturer sealed is no code");
    }

    fn context() -> Context {
        Context {
            request: Digest::of(&[b"request"]),
            decision: Digest::of(&[b"decision"]),
            capturer: KeyId::of(&[1; 32]),
        }
    }
}
