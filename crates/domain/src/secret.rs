//! The one thing that nobody but user and agent may see, and the locked box that it travels in.

use std::fmt;

use zeroize::Zeroizing;

/// What an agent asked for, in the clear: a code, or a link. It is zeroized when dropped.
pub struct Code(Zeroizing<String>);

impl Code {
    /// The longest link, in bytes: what is padded to 2,048 bytes has two bytes of length before it.
    pub const LINK_BYTES_MAX: usize = 2_000;

    /// Takes a text as a code: `[A-Za-z0-9-]{4,10}`.
    ///
    /// # Errors
    ///
    /// [`NoCode`] if it is anything else.
    pub fn new(text: &str) -> Result<Self, NoCode> {
        let fits = (4..=10).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(NoCode) }
    }

    /// Takes a text as a sign-in link: `https://`, printable ASCII, at most [`Code::LINK_BYTES_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`NoCode`] if it is anything else.
    pub fn link(text: &str) -> Result<Self, NoCode> {
        let fits = text.starts_with("https://")
            && text.len() <= Self::LINK_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(NoCode) }
    }

    /// The code itself. Whoever calls this answers for where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(redacted)")
    }
}

/// A text that is neither a code nor a link; it does not say which text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("this is no one-time code")]
pub struct NoCode;

/// A code sealed to one agent's key: HPKE's `enc ‖ ct`. Its length says only whether a link was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCode(Vec<u8>);

impl SealedCode {
    /// Takes bytes as they came; only opening shows whether they are a sealed code.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes `enc ‖ ct`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedCode({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_of_a_code_shows_no_digit_and_no_length() {
        let code = Code::new("482913").unwrap();
        insta::assert_debug_snapshot!(code, @"Code(redacted)");
        insta::assert_debug_snapshot!(SealedCode::new(vec![0; 304]), @"SealedCode(304 bytes)");
    }

    #[test]
    fn a_code_is_four_to_ten_plain_characters() {
        for text in ["123", "12345678901", "12 34", "４８２９", "code!", ""] {
            assert_eq!(Code::new(text).map(|_| ()), Err(NoCode), "{text}");
        }
        for text in ["1234", "R7K-2M", "abcdefghij"] {
            assert_eq!(Code::new(text).map(|code| code.expose().to_owned()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_link_is_https_and_bounded() {
        assert!(Code::link("https://acme.example/magic?t=1").is_ok());
        for text in ["http://acme.example/", "https://acme.example/ä", "javascript:alert(1)"] {
            assert_eq!(Code::link(text).map(|_| ()), Err(NoCode), "{text}");
        }
        assert!(Code::link(&format!("https://{}", "a".repeat(2_000))).is_err());
    }
}
