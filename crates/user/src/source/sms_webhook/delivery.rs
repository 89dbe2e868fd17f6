//! One delivery as it came: nothing of it is believed.

use std::fmt;

use hyper::HeaderMap;
use zeroize::Zeroizing;

/// A request's parts that a gateway may have signed.
pub(super) struct Delivery {
    /// Path and query, as they were sent.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Delivery {
    /// A header that is there once, as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
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
        let delivery = Delivery { target: "/sms".to_owned(), headers: HeaderMap::new(), body };
        insta::assert_debug_snapshot!(delivery, @"Delivery(redacted)");
    }

    #[test]
    fn a_header_that_is_there_twice_counts_as_none() {
        let mut headers = HeaderMap::new();
        headers.append("x-signature", "a".parse().unwrap());
        let mut delivery = Delivery { target: "/sms".to_owned(), headers, body: Zeroizing::default() };
        assert_eq!(delivery.header("X-Signature"), Some("a"));
        delivery.headers.append("x-signature", "b".parse().unwrap());
        assert_eq!(delivery.header("X-Signature"), None);
    }
}
