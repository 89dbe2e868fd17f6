//! A JSON Web Token (RFC 7519) under HMAC-SHA256 in `Authorization`: two gateways sign with one. No other algorithm is known.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use super::delivery::Delivery;

/// Whether the delivery bears a token.
pub(super) fn is_there(delivery: &Delivery) -> bool {
    token(delivery).is_some()
}

/// What the token claims, if this key has signed it; it is read only then.
pub(super) fn claims<T: DeserializeOwned>(delivery: &Delivery, key: &[u8]) -> Option<T> {
    let (signed, signature) = token(delivery)?.rsplit_once('.')?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
    let mac = Hmac::<Sha256>::new_from_slice(key).ok()?.chain_update(signed);
    mac.verify_slice(&signature).ok()?;
    let (header, claims) = signed.split_once('.')?;
    let Header { alg } = part(header)?;
    if alg == "HS256" { part(claims) } else { None }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

fn token(delivery: &Delivery) -> Option<&str> {
    delivery.header("authorization")?.strip_prefix("Bearer ")
}

fn part<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok()
}
