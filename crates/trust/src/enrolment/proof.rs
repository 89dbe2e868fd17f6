//! What both sides have said so far, in one digest, and the proof that a message is by someone who has the token.

use agent_otp_domain::{Digest, SignedStatement, UserId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Nonce, PublicKey};

/// HMAC-SHA256 by a key of the token over everything that was said up to and with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mac(#[serde(with = "serde_bytes")] [u8; 32]);

/// The key of the proofs.
#[derive(Clone)]
pub(super) struct Prover(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prover(redacted)")
    }
}

impl Prover {
    pub(super) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    pub(super) fn mac(&self, said: Transcript) -> Mac {
        Mac(self.keyed(said).finalize().into_bytes().into())
    }

    /// Whether the proof fits, in a time that tells nothing.
    pub(super) fn proves(&self, said: Transcript, mac: &Mac) -> bool {
        self.keyed(said).verify_slice(&mac.0).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn keyed(&self, said: Transcript) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of 32 bytes");
        mac.chain_update(said.0.as_bytes())
    }
}

/// Everything that was said, each part of a fixed length behind a label of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transcript(Digest);

impl Transcript {
    /// Before anything is said, only the token counts: `invitation` is the digest of all of it that is no secret.
    pub(super) fn of(invitation: Digest) -> Self {
        Self(invitation)
    }

    pub(super) fn committed(self, commitment: &Digest) -> Self {
        self.then(b"agent-otp/v1/enrol/commit\0", &[commitment.as_bytes()])
    }

    pub(super) fn challenged(self, nonce: &Nonce, roster: &SignedStatement) -> Self {
        let roster = roster.digest();
        self.then(b"agent-otp/v1/enrol/challenge\0", &[nonce.as_bytes(), roster.as_bytes()])
    }

    pub(super) fn revealed(self, nonce: &Nonce, public_key: &PublicKey, user: &UserId) -> Self {
        self.then(b"agent-otp/v1/enrol/reveal\0", &parts(nonce, public_key, user))
    }

    pub(super) fn welcomed(self, roster: &SignedStatement) -> Self {
        self.then(b"agent-otp/v1/enrol/welcome\0", &[roster.digest().as_bytes()])
    }

    pub(super) fn kept(self) -> Self {
        self.then(b"agent-otp/v1/enrol/kept\0", &[])
    }

    /// What the words are made of.
    pub(super) fn words(self) -> Digest {
        self.then(b"agent-otp/v1/enrol/words\0", &[]).0
    }

    /// What the new key signs.
    pub(super) fn digest(self) -> Digest {
        self.0
    }

    fn then(self, label: &[u8], parts: &[&[u8]]) -> Self {
        let all = [&[label, self.0.as_bytes().as_slice()], parts].concat();
        Self(Digest::of(&all))
    }
}

/// What binds the joiner to a key that it does not show yet: the nonce hides it.
pub(super) fn commitment(nonce: &Nonce, public_key: &PublicKey, user: &UserId) -> Digest {
    let label: &[u8] = b"agent-otp/v1/enrol/commitment\0";
    Digest::of(&[&[label], parts(nonce, public_key, user).as_slice()].concat())
}

fn parts<'a>(nonce: &'a Nonce, public_key: &'a PublicKey, user: &'a UserId) -> [&'a [u8]; 3] {
    [nonce.as_bytes(), public_key.as_bytes(), user.as_str().as_bytes()]
}
