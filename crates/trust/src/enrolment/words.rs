//! Six words that two people can compare: 66 bits of a digest, in the English words of BIP 39.

use std::fmt;

use agent_otp_domain::Digest;

/// The list of BIP 39, one word a line; a test holds it against the digest of the published one.
const LIST: &str = include_str!("words.txt");
const COUNT: usize = 6;
const BITS: u32 = 11;

/// What both sides show.
#[derive(Clone, PartialEq, Eq)]
pub struct Words([&'static str; COUNT]);

impl Words {
    /// The words of a digest: its first 66 bits, 11 a word, the first bit first.
    pub(super) fn of(digest: &Digest) -> Self {
        let (head, _) = digest.as_bytes().split_at(16);
        let bits = head.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let mut place = u128::BITS;
        Self([(); COUNT].map(|()| {
            place -= BITS;
            let index = usize::try_from((bits >> place) & 0x7ff).unwrap_or_default();
            LIST.lines().nth(index).unwrap_or_default()
        }))
    }

    /// Whether somebody has typed exactly these: in any case, with any space between them.
    #[must_use]
    pub fn are(&self, typed: &str) -> bool {
        let typed = typed.split_whitespace().map(str::to_lowercase);
        typed.eq(self.0.iter().copied())
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.join(" "))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_published_one() {
        let published = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda";
        assert_eq!(Digest::of(&[LIST.as_bytes()]).to_string(), published);
        assert_eq!(LIST.lines().count(), 1 << BITS);
    }

    #[test]
    fn words_are_the_first_bits_of_a_digest() {
        let digest = |text: &str| text.parse::<Digest>().unwrap();
        let table = [
            ("00".repeat(32), "abandon abandon abandon abandon abandon abandon"),
            ("ff".repeat(32), "zoo zoo zoo zoo zoo zoo"),
            // 00000000001 00000000010 00000000011 00000000100 00000000101 00000000110, and then what does not count.
            (format!("0020080180400a01b{}", "f".repeat(47)), "ability able about above absent absorb"),
        ];
        for (bits, expected) in table {
            assert_eq!(Words::of(&digest(&bits)).to_string(), expected, "{bits}");
        }
    }

    #[test]
    fn words_are_compared_as_people_type_them() {
        let words = Words::of(&Digest::of(&[b"words"]));
        let text = words.to_string();
        for typed in [text.clone(), text.to_uppercase(), format!("  {}\r\n", text.replace(' ', "  "))] {
            assert!(words.are(&typed), "{typed}");
        }
        let (all_but_one, _) = text.rsplit_once(' ').unwrap();
        for typed in ["", "yes", all_but_one, &format!("{text} zoo"), &text.replacen(' ', "", 1)] {
            assert!(!words.are(typed), "{typed}");
        }
    }
}
