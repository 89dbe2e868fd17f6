//! Which algorithms lock a code, by the number that a request names.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;

use crate::RecipientError;

pub(crate) type Kem = X25519HkdfSha256;
pub(crate) type Kdf = HkdfSha256;
pub(crate) type Aead = ChaCha20Poly1305;

/// A set of algorithms for HPKE's base mode (RFC 9180 §7). A request names its own; a number that is not here is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Number 1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
    X25519,
}

impl From<Suite> for u16 {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::X25519 => 1,
        }
    }
}

impl TryFrom<u16> for Suite {
    type Error = RecipientError;

    fn try_from(number: u16) -> Result<Self, RecipientError> {
        match number {
            1 => Ok(Self::X25519),
            _ => Err(RecipientError::Suite(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use hpke::{Deserializable, Kem as _, OpModeR, Serializable};

    use super::*;

    /// RFC 9180, appendix A.2.1: the base mode of this suite, keys and the first three encryptions.
    #[test]
    fn suite_1_is_that_of_rfc_9180() {
        let (secret, public) =
            Kem::derive_keypair(&bytes("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"));
        assert_eq!(
            public.to_bytes().as_slice(),
            bytes("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
        );
        let (_, ephemeral) =
            Kem::derive_keypair(&bytes("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b"));
        assert_eq!(
            ephemeral.to_bytes().as_slice(),
            bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
        );

        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&ephemeral.to_bytes()).unwrap();
        let mut receiver =
            hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &secret, &enc, b"Ode on a Grecian Urn")
                .unwrap();
        let encryptions = [
            (
                "Count-0",
                "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
            ),
            (
                "Count-1",
                "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c",
            ),
            (
                "Count-2",
                "71146bd6795ccc9c49ce25dda112a48f202ad220559502cef1f34271e0cb4b02b4f10ecac6f48c32f878fae86b",
            ),
        ];
        for (aad, ct) in encryptions {
            let plaintext = receiver.open(&bytes(ct), aad.as_bytes());
            assert_eq!(plaintext.as_deref(), Ok(b"Beauty is truth, truth beauty".as_slice()), "{aad}");
        }
    }

    #[test]
    fn suite_1_is_the_only_one() {
        for number in 0..=u16::MAX {
            let suite = Suite::try_from(number);
            let expected = if number == 1 { Ok(Suite::X25519) } else { Err(RecipientError::Suite(number)) };
            assert_eq!(suite, expected);
        }
        assert_eq!(u16::from(Suite::X25519), 1);
    }

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }
}
