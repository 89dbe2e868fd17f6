//! What is sealed has one of two lengths, so that a sealed code does not tell how long the code is.

use agent_otp_domain::{Code, NoCode, Wanted};
use zeroize::Zeroizing;

/// How many bytes are sealed where this was asked for.
pub(crate) fn padded_bytes(wanted: Wanted) -> usize {
    match wanted {
        Wanted::Code => 256,
        Wanted::Link => 2_048,
    }
}

/// The code's length in two bytes, big-endian, the code, and zeros.
pub(crate) fn pad(code: &Code, wanted: Wanted) -> Result<Zeroizing<Vec<u8>>, NoCode> {
    let code = read(code.expose(), wanted)?;
    let text = code.expose().as_bytes();
    let length = u16::try_from(text.len()).map_err(|_| NoCode)?;
    // A buffer that grew would leave a copy of its bytes behind.
    let mut padded = Zeroizing::new(Vec::with_capacity(padded_bytes(wanted)));
    padded.extend_from_slice(&length.to_be_bytes());
    padded.extend_from_slice(text);
    padded.resize(padded_bytes(wanted), 0);
    Ok(padded)
}

/// The code that was padded, if these bytes are just what [`pad`] makes of one.
pub(crate) fn unpad(padded: &[u8], wanted: Wanted) -> Result<Code, NoCode> {
    let (length, rest) = padded.split_first_chunk().ok_or(NoCode)?;
    let (text, zeros) = rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(NoCode)?;
    if padded.len() != padded_bytes(wanted) || zeros.iter().any(|byte| *byte != 0) {
        return Err(NoCode);
    }
    read(std::str::from_utf8(text).map_err(|_| NoCode)?, wanted)
}

fn read(text: &str, wanted: Wanted) -> Result<Code, NoCode> {
    match wanted {
        Wanted::Code => Code::new(text),
        Wanted::Link => Code::link(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_padded_to_256_bytes_and_a_link_to_2048() {
        let code = Code::new("482913").unwrap();
        assert_eq!(pad(&code, Wanted::Code).unwrap().as_slice(), bytes(6, "482913", 248));
        let link = Code::link("https://acme.example/a").unwrap();
        assert_eq!(pad(&link, Wanted::Link).unwrap().as_slice(), bytes(22, "https://acme.example/a", 2_024));
    }

    #[test]
    fn the_longest_link_comes_back_whole() {
        let text = format!("https://{}", "a".repeat(Code::LINK_BYTES_MAX - 8));
        let padded = pad(&Code::link(&text).unwrap(), Wanted::Link).unwrap();
        assert_eq!(unpadded(&padded, Wanted::Link), Ok(text));
    }

    #[test]
    fn a_code_is_not_padded_as_a_link_nor_a_link_as_a_code() {
        assert!(pad(&Code::new("482913").unwrap(), Wanted::Link).is_err());
        assert!(pad(&Code::link("https://acme.example/a").unwrap(), Wanted::Code).is_err());
    }

    #[test]
    fn nothing_is_unpadded_but_what_was_padded() {
        assert_eq!(unpadded(&bytes(6, "482913", 248), Wanted::Code), Ok("482913".to_owned()));
        let mut hidden = bytes(6, "482913", 248);
        hidden[255] = 1;
        let refused = [
            ("nothing at all", vec![]),
            ("no whole length", vec![0]),
            ("a length past the end", bytes(255, "482913", 248)),
            ("a length short of the code", bytes(5, "482913", 248)),
            ("a length beyond the code", bytes(7, "482913", 248)),
            ("a byte behind the code", hidden),
            ("a byte too few", bytes(6, "482913", 247)),
            ("a byte too many", bytes(6, "482913", 249)),
            ("an empty code", bytes(0, "", 254)),
            ("a text that is no code", bytes(6, "48 913", 248)),
            ("a text that is not UTF-8", [&[0, 4, 0xff, 0xff, 0xff, 0xff], [0; 250].as_slice()].concat()),
            ("a link", bytes(22, "https://acme.example/a", 232)),
        ];
        for (what, padded) in refused {
            assert_eq!(unpadded(&padded, Wanted::Code), Err(NoCode), "{what}");
        }
        assert_eq!(unpadded(&bytes(6, "482913", 2_040), Wanted::Link), Err(NoCode), "a code for a link");
        assert_eq!(unpadded(&bytes(6, "482913", 248), Wanted::Link), Err(NoCode), "the size of a code");
    }

    /// Length, text and as many bytes as follow, all zero.
    fn bytes(length: u16, text: &str, zeros: usize) -> Vec<u8> {
        [length.to_be_bytes().as_slice(), text.as_bytes(), &vec![0; zeros]].concat()
    }

    fn unpadded(padded: &[u8], wanted: Wanted) -> Result<String, NoCode> {
        unpad(padded, wanted).map(|code| code.expose().to_owned())
    }
}
