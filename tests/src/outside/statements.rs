//! Signed statements: what a member of the family signs, whatever it is.

use agent_otp_domain::{SignedStatement, codec};
use agent_otp_trust::{Cancel, Capture, Consume, Decision, Request, Statement};

use super::family::{Family, sign_bytes};

/// A statement that is believed is written in the one form that its bytes have, and no byte of it can be changed.
///
/// The first byte says which of the five it is, and the rest is the payload, which the member signs whose it is.
pub fn statements(bytes: &[u8]) {
    let Some((kind, payload)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => is_believed_as_written::<Request>(Family::AGENT, payload),
        1 => is_believed_as_written::<Decision>(Family::APPROVER, payload),
        2 => is_believed_as_written::<Capture>(Family::CAPTURER, payload),
        3 => is_believed_as_written::<Consume>(Family::AGENT, payload),
        _ => is_believed_as_written::<Cancel>(Family::AGENT, payload),
    }
}

fn is_believed_as_written<S: Statement>(seed: u8, payload: &[u8]) {
    // Signing costs more than anything else here, and what cannot be read is not believed either way.
    if codec::decode::<S>(payload).is_err() {
        return;
    }
    let family = Family::new();
    let signed = sign_bytes(seed, S::TYPE, payload);
    let Ok(statement) = S::verify_live(&signed, &family.book) else { return };
    assert_eq!(codec::encode(&statement), payload, "there is one writing of a statement");
    assert_eq!(statement.heading().signer, signed.key);
    for at in [0, payload.len() / 2, payload.len() - 1] {
        let mut payload = payload.to_vec();
        payload.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
        let changed = SignedStatement { payload, ..signed.clone() };
        assert!(S::verify(&changed, &family.book).is_err(), "byte {at} was changed");
    }
    let by_another = SignedStatement { key: family.heading(Family::OWNER).signer, ..signed };
    assert!(S::verify(&by_another, &family.book).is_err(), "another member is said to have signed");
}
