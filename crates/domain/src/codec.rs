//! How things are written down: MessagePack with field names, bytes as `bin`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Recorded, excerpt};

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are no MessagePack of this kind.
    #[error("not a message of this kind")]
    Shape(#[source] rmp_serde::decode::Error),
    /// Something follows the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

impl From<rmp_serde::decode::Error> for DecodeError {
    /// Such an error quotes the bytes, a name that nobody expects for one; whoever wrote them acts on no screen.
    fn from(error: rmp_serde::decode::Error) -> Self {
        let rmp_serde::decode::Error::Syntax(said) = error else { return Self::Shape(error) };
        Self::Shape(rmp_serde::decode::Error::Syntax(excerpt(&said)))
    }
}

/// Writes a value with its field names.
///
/// # Panics
///
/// Never for the types of this workspace, which hold nothing that MessagePack cannot: in memory, writing cannot fail.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "writing plain structs to memory cannot fail")]
    rmp_serde::to_vec_named(value).expect("a plain struct is written to memory")
}

/// Reads a value, and nothing behind it.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not exactly one such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = rmp_serde::from_read(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(rest.len())) }
}

/// Reads a stored event of any version that was ever written.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are no event.
pub fn decode_event(bytes: &[u8]) -> Result<Recorded, DecodeError> {
    decode(bytes)
}
