//! A text that is nothing but the code: what a person types or pastes.

use agent_otp_domain::Code;

use super::mask::Masks;
use super::normalise::normalise;
use super::{candidates, exact};

/// Takes a text as the code itself, its groups joined as in a message: `719 204`, `123-456`, `R7K-2M`, `G-482913`.
pub(crate) fn alone(text: &str) -> Option<Code> {
    let text = normalise(text);
    let text = text.trim();
    if let Some(digits) = exact::prefixed_alone(text) {
        return Code::new(digits).ok();
    }
    let found = candidates::find(text, &Masks::find(""));
    match found.as_slice() {
        [whole] if (whole.start, whole.end) == (0, text.len()) => Code::new(&whole.value).ok(),
        // A word of a message is none, unless the user says so: `abcdef`.
        _ => Code::new(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_alone_is_taken_with_its_groups_joined() {
        for (text, code) in [
            ("719204", Some("719204")),
            (" 719 204\r\n", Some("719204")),
            ("123-456", Some("123456")),
            ("4 8 2 9 1 3", Some("482913")),
            ("４８２\u{a0}９１３", Some("482913")),
            ("482\u{2011}913\u{200b}", Some("482913")),
            ("R7K-2M", Some("R7K-2M")),
            ("Kx7-92Qp", Some("Kx7-92Qp")),
            ("abcdef", Some("abcdef")),
            ("G-482913", Some("482913")),
            ("482913 550127", None),
            ("123", None),
            ("Your code is 482913", None),
            ("", None),
        ] {
            assert_eq!(alone(text).as_ref().map(Code::expose), code, "{text}");
        }
    }
}
