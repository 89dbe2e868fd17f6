//! One delivery as it came: nothing of it is believed.

use std::fmt;
use std::sync::Arc;

use hyper::HeaderMap;
use zeroize::Zeroizing;

use super::certificates::Certificate;

/// A request's parts that a gateway may have signed, and what is needed to find out.
pub(super) struct Delivery {
    /// Path and query, as they were sent.
    pub(super) target: String,
    /// Whether it came to the path that only the user's gateways know.
    pub(super) is_at_secret_path: bool,
    /// What may stand before the target in the URL that was called, as the user says.
    pub(super) public_urls: Vec<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// The certificate that it names, if its gateway's are to be believed.
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Delivery {
    /// A header that is there once, as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    #[cfg(test)]
    pub(super) fn empty() -> Self {
        Self {
            target: super::PATH.to_owned(),
            is_at_secret_path: false,
            public_urls: Vec::new(),
            headers: HeaderMap::new(),
            body: Zeroizing::default(),
            certificate: None,
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delivery(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_of_a_delivery_shows_nothing_of_it() {
        let body = Zeroizing::new(b"From=GitHub&Body=482913".to_vec());
        insta::assert_debug_snapshot!(Delivery { body, ..Delivery::empty() }, @"Delivery(redacted)");
    }

    #[test]
    fn a_header_that_is_there_twice_counts_as_none() {
        let mut delivery = Delivery::empty();
        delivery.headers.append("x-signature", "a".parse().unwrap());
        assert_eq!(delivery.header("X-Signature"), Some("a"));
        delivery.headers.append("x-signature", "b".parse().unwrap());
        assert_eq!(delivery.header("X-Signature"), None);
    }
}
