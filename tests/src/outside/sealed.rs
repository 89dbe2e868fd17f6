//! Sealed codes, and the keys that they are sealed to.

use std::sync::LazyLock;

use agent_otp_domain::{Code, Digest, KeyId, SealedCode, Wanted};
use agent_otp_seal::{AgentSecret, Context, RecipientKey, open, seal};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, OpModeS, Serializable as _};

use super::mail::is_code;

static SECRET: LazyLock<AgentSecret> = LazyLock::new(AgentSecret::generate);

/// What was not sealed is not opened, what was changed on the way is not either, and a capturer can seal nothing that
/// is opened as a code and is none.
pub fn sealed(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else { return };
    let wanted = if what & 1 == 0 { Wanted::Code } else { Wanted::Link };
    match what >> 1 & 3 {
        0 => assert!(open(&SealedCode::new(rest.to_vec()), wanted, &SECRET, &context()).is_err()),
        1 => changed(wanted, rest),
        2 => plaintext(wanted, rest),
        _ => recipient(wanted, rest),
    }
}

/// The bytes are laid over a sealed code.
fn changed(wanted: Wanted, over: &[u8]) {
    let recipient = RecipientKey::new(1, &SECRET.public_key()).unwrap();
    let sealed = seal(&of(wanted), wanted, &recipient, &context()).unwrap();
    let mut bytes = sealed.as_bytes().to_vec();
    bytes.iter_mut().zip(over).for_each(|(byte, over)| *byte ^= over);
    // X25519 ignores the highest bit of a key (RFC 7748 §5), but HPKE binds the key as it was written.
    let same = bytes == sealed.as_bytes();
    assert_eq!(open(&SealedCode::new(bytes), wanted, &SECRET, &context()).is_ok(), same);
}

/// The bytes are what a capturer sealed in place of a padded code.
fn plaintext(wanted: Wanted, plaintext: &[u8]) {
    let mut padded = plaintext.to_vec();
    padded.resize(if wanted == Wanted::Code { 256 } else { 2_048 }, 0);
    let key = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&SECRET.public_key()).unwrap();
    let (enc, ct) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &key,
        &info(),
        &padded,
        b"",
    )
    .unwrap();
    let sealed = SealedCode::new([enc.to_bytes().as_slice(), &ct].concat());
    let Ok(code) = open(&sealed, wanted, &SECRET, &context()) else { return };
    assert!(if wanted == Wanted::Code { is_code(&code) } else { Code::link(code.expose()).is_ok() });
}

/// The bytes are the key that a request names.
fn recipient(wanted: Wanted, key: &[u8]) {
    let Ok(recipient) = RecipientKey::new(1, key) else { return };
    assert!(
        seal(&of(wanted), wanted, &recipient, &context()).is_ok(),
        "a key that was found fit is sealed to"
    );
}

fn of(wanted: Wanted) -> Code {
    match wanted {
        Wanted::Code => Code::new("482913"),
        Wanted::Link => Code::link("https://acme.example/magic?t=1"),
    }
    .unwrap()
}

fn context() -> Context {
    Context {
        request: Digest::of(&[b"request"]),
        decision: Digest::of(&[b"decision"]),
        capturer: KeyId::of(&[1; 32]),
    }
}

/// HPKE's `info` of that context, as the protocol writes it.
fn info() -> Vec<u8> {
    let Context { request, decision, capturer } = context();
    let capturer = capturer.to_string();
    [b"agent-otp/v1/seal\0".as_slice(), request.as_bytes(), decision.as_bytes(), capturer.as_bytes()].concat()
}
