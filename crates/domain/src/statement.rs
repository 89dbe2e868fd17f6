//! A signed statement as it travels and as it is stored; who signed it is for `trust` to verify.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, KeyId};

/// The exact bytes that somebody signed, with the signature: DSSE's envelope with one signature.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// What the payload is, with its version: `application/vnd.agent-otp.request.v1+msgpack`.
    pub payload_type: String,
    /// The bytes that were signed.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// Which key is said to have signed.
    pub key: KeyId,
    /// Ed25519 (RFC 8032) over [`SignedStatement::signed_bytes`].
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl SignedStatement {
    /// What the signature covers: DSSE's pre-authentication encoding of type and payload.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }

    /// What this statement is known by. The signature is not part of it: a statement signed twice is one statement.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[&self.signed_bytes()])
    }
}

/// `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body` (DSSE protocol 1.0.0, "Signature Definition").
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl fmt::Debug for SignedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedStatement({}, by {}, {})", self.payload_type, self.key, self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of DSSE's protocol page.
    #[test]
    fn the_pre_authentication_encoding_is_that_of_dsse() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
