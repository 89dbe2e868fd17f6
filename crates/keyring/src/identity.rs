//! How an identity key comes to be and how it is written down: a version, and the seed in base64 (RFC 4648 §4).

use agent_otp_trust::IdentityKey;
use data_encoding::BASE64_NOPAD;
use zeroize::Zeroizing;

/// What a key's line begins with: the version of the rest.
const PREFIX: &str = "agent-otp-identity-v1 ";
/// 32 bytes in base64 without padding.
const SEED_CHARS: usize = 43;

/// The system's generator gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system's random generator does not answer")]
pub struct GenerateError(#[from] getrandom::Error);

/// Makes a new identity key; it is lost unless a [`Home`](crate::Home) keeps it.
///
/// # Errors
///
/// [`GenerateError`] if the system's generator fails.
pub fn generate() -> Result<IdentityKey, GenerateError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(GenerateError)?;
    Ok(IdentityKey::from_seed(&seed))
}

pub(crate) fn written(key: &IdentityKey) -> Zeroizing<String> {
    // All of the line's room is taken at once: a string that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(PREFIX.len() + SEED_CHARS + 1));
    line.push_str(PREFIX);
    BASE64_NOPAD.encode_append(key.seed().as_slice(), &mut line);
    line.push('\n');
    line
}

/// Reads back what [`written`] gave, with or without its line end.
pub(crate) fn read(line: &[u8]) -> Option<IdentityKey> {
    let text = line.strip_suffix(b"\n").unwrap_or(line).strip_prefix(PREFIX.as_bytes())?;
    if text.len() != SEED_CHARS {
        return None;
    }
    let mut seed = Zeroizing::new([0_u8; 32]);
    BASE64_NOPAD.decode_mut(text, seed.as_mut_slice()).ok()?;
    Some(IdentityKey::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "agent-otp-identity-v1 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\n";

    #[test]
    fn a_key_is_written_as_it_always_was_and_reads_back() {
        let key = IdentityKey::from_seed(&Zeroizing::new([7; 32]));
        assert_eq!(written(&key).as_str(), LINE);
        assert_eq!(read(LINE.as_bytes()).unwrap().id(), key.id());
        assert_eq!(read(LINE.trim_end().as_bytes()).unwrap().id(), key.id());
    }

    #[test]
    fn a_line_that_is_not_exactly_a_key_is_none() {
        let table = [
            String::new(),
            "agent-otp-identity-v1 ".to_owned(),
            LINE.replace("v1", "v2"),
            LINE.replace("v1 ", "v1"),
            LINE.replace("BwcHBwc\n", "BwcHBw\n"),
            LINE.replace("Bwc\n", "BwcH\n"),
            LINE.replace("Bwc\n", "Bwc=\n"),
            LINE.replace("Bwc\n", "Bwd\n"),
            LINE.replace("Bwc\n", "Bw-\n"),
            LINE.replace('\n', "\n\n"),
            format!(" {LINE}"),
            format!("{LINE}{LINE}"),
        ];
        for line in table {
            assert!(read(line.as_bytes()).is_none(), "{line:?}");
        }
        assert!(read(&[0xff; 66]).is_none());
    }

    #[test]
    fn no_two_generated_keys_are_alike() {
        assert_ne!(generate().unwrap().id(), generate().unwrap().id());
    }
}
