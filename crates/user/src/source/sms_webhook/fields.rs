//! Names and values of a form or of a flat JSON object. One with a name that is there twice is none: two readers could
//! take two values out of it.

use std::collections::BTreeMap;
use std::fmt;

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::delivery::Delivery;

/// The fields, in the order of their names.
pub(super) struct Fields(BTreeMap<String, Zeroizing<String>>);

impl Fields {
    /// The fields of the body, whatever they say: a form if it is called one, else JSON.
    pub(super) fn of(delivery: &Delivery) -> Option<Self> {
        if !is_form(&delivery.headers) {
            return serde_json::from_slice(&delivery.body).ok();
        }
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(&delivery.body) {
            if fields.insert(name.into_owned(), Zeroizing::new(value.into_owned())).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fields(redacted)")
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;

        impl<'de> Visitor<'de> for Flat {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts and numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    let value = match value {
                        Value::String(text) => text,
                        Value::Number(number) => number.to_string(),
                        Value::Bool(truth) => truth.to_string(),
                        Value::Null => String::new(),
                        Value::Array(_) | Value::Object(_) => return Err(A::Error::custom("it is not flat")),
                    };
                    if fields.insert(name, Zeroizing::new(value)).is_some() {
                        return Err(A::Error::custom("a name is there twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Flat)
    }
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &str) -> Option<Vec<(String, String)>> {
        let mut delivery = Delivery::empty();
        delivery.headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        delivery.body = Zeroizing::new(body.as_bytes().to_vec());
        let fields = Fields::of(&delivery)?;
        Some(fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn a_name_that_is_there_twice_makes_it_none() {
        let pairs = |pairs: &[(&str, &str)]| {
            Some(
                pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect::<Vec<_>>(),
            )
        };
        let form = "application/x-www-form-urlencoded; charset=UTF-8";
        assert_eq!(read(form, "b=2&a=1+%2B"), pairs(&[("a", "1 +"), ("b", "2")]));
        assert_eq!(read(form, "a=1&a=1"), None);
        assert_eq!(
            read("application/json", r#"{"b":2,"a":"1","c":null}"#),
            pairs(&[("a", "1"), ("b", "2"), ("c", "")])
        );
        for body in [r#"{"a":1,"a":1}"#, r#"{"a":{}}"#, r#"{"a":[]}"#, "[]", "a=1", "", r#"{"a":1}{}"#] {
            assert_eq!(read("text/plain", body), None, "{body}");
        }
    }

    #[test]
    fn the_debug_of_fields_shows_nothing_of_them() {
        insta::assert_debug_snapshot!(Fields(BTreeMap::new()), @"Fields(redacted)");
    }
}
