//! How a recovery key is written down for a drawer: fourteen groups of four letters and digits, with a checksum.

use agent_otp_domain::Digest;
use agent_otp_trust::IdentityKey;
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

/// What the checksum is over, before the seed.
const CONTEXT: &[u8] = b"agent-otp/v1/recovery-key\0";
const SEED_BYTES: usize = 32;
const SUM_BYTES: usize = 3;
/// 35 bytes in base32 (RFC 4648 §6), without padding.
const CHARS: usize = 56;
const GROUP: usize = 4;

/// A text is no recovery key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecoveryKeyError {
    /// Characters are missing or too many.
    #[error("a recovery key has {CHARS} letters and digits, this has {found}")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// One or more of them are wrong.
    #[error("the recovery key is mistyped: its checksum does not fit")]
    Mistyped,
}

/// Writes a recovery key for a person: `ABCD-EFGH-…`.
#[must_use]
pub fn written(key: &IdentityKey) -> Zeroizing<String> {
    let seed = key.seed();
    let mut bytes = Zeroizing::new([0; SEED_BYTES + SUM_BYTES]);
    for (byte, value) in bytes.iter_mut().zip(seed.iter().chain(&sum(seed.as_slice()))) {
        *byte = *value;
    }
    let mut letters = Zeroizing::new([0; CHARS]);
    BASE32_NOPAD.encode_mut(bytes.as_slice(), letters.as_mut_slice());
    // All of the room is taken at once: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(CHARS + CHARS / GROUP));
    for (index, letter) in letters.iter().enumerate() {
        if index > 0 && index % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(*letter));
    }
    text
}

/// Reads back what [`written`] gave: in any case, with or without what separates the groups, `0` and `1` as the letters
/// that they look like.
///
/// # Errors
///
/// [`RecoveryKeyError`] if it is mistyped.
pub fn read(text: &str) -> Result<IdentityKey, RecoveryKeyError> {
    let meant = |character: char| match character {
        '0' => b'O',
        '1' => b'I',
        // What is none of the alphabet stays none.
        other => u8::try_from(other.to_ascii_uppercase()).unwrap_or_default(),
    };
    let is_between = |character: &char| character.is_whitespace() || *character == '-';
    let found = text.chars().filter(|character| !is_between(character)).count();
    if found != CHARS {
        return Err(RecoveryKeyError::Length { found });
    }
    let mut letters = Zeroizing::new([0; CHARS]);
    let typed = text.chars().filter(|character| !is_between(character)).map(meant);
    letters.iter_mut().zip(typed).for_each(|(letter, typed)| *letter = typed);
    let mut bytes = Zeroizing::new([0; SEED_BYTES + SUM_BYTES]);
    BASE32_NOPAD
        .decode_mut(letters.as_slice(), bytes.as_mut_slice())
        .map_err(|_| RecoveryKeyError::Mistyped)?;
    let (seed, found) = bytes.split_first_chunk::<SEED_BYTES>().ok_or(RecoveryKeyError::Mistyped)?;
    if found != sum(seed) {
        return Err(RecoveryKeyError::Mistyped);
    }
    Ok(IdentityKey::from_seed(&Zeroizing::new(*seed)))
}

fn sum(seed: &[u8]) -> [u8; SUM_BYTES] {
    let [one, two, three, ..] = *Digest::of(&[CONTEXT, seed]).as_bytes();
    [one, two, three]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_key_is_written_as_it_always_was_and_reads_back() {
        let key = IdentityKey::from_seed(&Zeroizing::new([7; 32]));
        let text = written(&key);
        insta::assert_snapshot!(text.as_str(), @"A4DQ-OBYH-A4DQ-OBYH-A4DQ-OBYH-A4DQ-OBYH-A4DQ-OBYH-A4DQ-OBYH-A4DX-QEGC");
        for typed in [
            text.to_string(),
            text.to_lowercase(),
            text.replace('-', ""),
            text.replace('-', " \n"),
            text.replace('O', "0").replace('I', "1"),
            format!("  {}\r\n", text.as_str()),
        ] {
            assert_eq!(read(&typed).unwrap().id(), key.id(), "{typed}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_noticed() {
        let text = written(&IdentityKey::from_seed(&Zeroizing::new([7; 32])));
        for index in (0..text.len()).filter(|index| text.as_bytes()[*index] != b'-') {
            for wrong in ["A", "Z", "7", "8", "é", "_"] {
                let mut typed = text.to_string();
                typed.replace_range(index..=index, wrong);
                assert!(typed == *text || read(&typed).err() == Some(RecoveryKeyError::Mistyped), "{typed}");
            }
        }
        let letters = text.replace('-', "");
        assert_eq!(read(&letters[1..]).err(), Some(RecoveryKeyError::Length { found: 55 }));
        assert_eq!(read(&format!("{letters}A")).err(), Some(RecoveryKeyError::Length { found: 57 }));
        assert_eq!(read("").err(), Some(RecoveryKeyError::Length { found: 0 }));
    }
}
