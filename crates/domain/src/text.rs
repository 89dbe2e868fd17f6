//! Types that are written as text: serde goes the same way as a person's typing, through `FromStr` and `Display`.

/// Makes serde's way in and out of a type its `FromStr` and `Display`.
macro_rules! as_text {
    ($name:ident, $error:ty) => {
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

pub(crate) use as_text;
