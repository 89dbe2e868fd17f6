//! An identity key sealed with a passphrase: argon2id (RFC 9106) and XChaCha20-Poly1305, in one line of text.
//!
//! `agent-otp-sealed-identity-v1 argon2id m=65536,t=3,p=4 SALT PUBLIC NONCE SEALED SUM`, the last five in base64 (RFC
//! 4648 §4). Everything before `SEALED` is authenticated with it. `SUM` is no protection: it tells a file that was
//! damaged from a passphrase that is wrong.

use agent_otp_domain::Digest;
use agent_otp_trust::{IdentityKey, PublicKey};
use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64_NOPAD;
use zeroize::Zeroizing;

use crate::GenerateError;
use crate::passphrase::{Cost, Derivation, Passphrase, Underivable};

const PREFIX: &str = "agent-otp-sealed-identity-v1 ";
/// How many bytes of the line's digest stand at its end.
const SUM_BYTES: usize = 8;

/// A sealed key as it was read.
pub(crate) struct Sealed {
    /// Whose key it is, as the line says; proven once it is opened.
    pub(crate) public: PublicKey,
    derivation: Derivation,
    nonce: [u8; 24],
    /// Everything before what is sealed: the associated data.
    head: String,
    seed: [u8; 32],
    tag: [u8; 16],
}

/// Why a line is no sealed key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is of another form.
    Malformed,
    /// It is not as it was written.
    Damaged,
    /// What it asks for is too little to protect, or too much to bear.
    Cost(Cost),
}

/// Why a sealed key was not opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Another passphrase sealed it, or somebody has changed it with care.
    Passphrase,
    /// There is not enough memory.
    Memory(Cost),
}

/// Why a key was not sealed.
pub(crate) enum Unsealed {
    Random(GenerateError),
    Memory(Cost),
}

/// Whether a file is meant to hold a sealed key.
pub(crate) fn is_sealed(line: &[u8]) -> bool {
    line.starts_with(PREFIX.as_bytes())
}

/// The line that only `passphrase` opens.
pub(crate) fn seal(key: &IdentityKey, passphrase: &Passphrase) -> Result<String, Unsealed> {
    let derivation = match passphrase.derivation() {
        Some(derivation) => derivation,
        None => Derivation { cost: Cost::USUAL, salt: random()? },
    };
    let sealing = passphrase.derive(derivation).map_err(|Underivable| Unsealed::Memory(derivation.cost))?;
    let nonce: [u8; 24] = random()?;
    let Cost { memory_kib, passes, lanes } = derivation.cost;
    let [salt, public, nonce_text] =
        [derivation.salt.as_slice(), key.public().as_bytes(), &nonce].map(|bytes| BASE64_NOPAD.encode(bytes));
    let head = format!("{PREFIX}argon2id m={memory_kib},t={passes},p={lanes} {salt} {public} {nonce_text} ");
    let mut seed = key.seed();
    let tag = XChaCha20Poly1305::new((&*sealing).into())
        .encrypt_inout_detached(&XNonce::from(nonce), head.as_bytes(), seed.as_mut_slice().into())
        .map_err(|_| Unsealed::Memory(derivation.cost))?;
    passphrase.prove(derivation, sealing);
    let line = format!("{head}{}", BASE64_NOPAD.encode(&[seed.as_slice(), &tag].concat()));
    Ok(format!("{line} {}\n", sum(&line)))
}

impl Sealed {
    /// Reads what [`seal`] gave, with or without its line end. Nothing is derived yet.
    pub(crate) fn read(line: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(line).map_err(|_| Unreadable::Damaged)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let (line, found) = text.rsplit_once(' ').ok_or(Unreadable::Malformed)?;
        if found != sum(line) {
            return Err(Unreadable::Damaged);
        }
        let (head, sealed) = line.rsplit_once(' ').ok_or(Unreadable::Malformed)?;
        let fields: Vec<&str> = head.strip_prefix(PREFIX).ok_or(Unreadable::Malformed)?.split(' ').collect();
        let ["argon2id", cost, salt, public, nonce] = *fields.as_slice() else {
            return Err(Unreadable::Malformed);
        };
        let malformed = || Unreadable::Malformed;
        let cost = read_cost(cost).ok_or_else(malformed)?;
        if !cost.is_bearable() {
            return Err(Unreadable::Cost(cost));
        }
        let public: [u8; 32] = bytes(public).ok_or_else(malformed)?;
        let sealed: [u8; 48] = bytes(sealed).ok_or_else(malformed)?;
        let (seed, tag) = sealed.split_first_chunk().ok_or_else(malformed)?;
        Ok(Self {
            public: PublicKey::try_from(public.as_slice()).map_err(|_| Unreadable::Malformed)?,
            derivation: Derivation { cost, salt: bytes(salt).ok_or_else(malformed)? },
            nonce: bytes(nonce).ok_or_else(malformed)?,
            head: format!("{head} "),
            seed: *seed,
            tag: tag.try_into().map_err(|_| Unreadable::Malformed)?,
        })
    }

    /// The key.
    pub(crate) fn open(&self, passphrase: &Passphrase) -> Result<IdentityKey, Unopened> {
        let sealing = passphrase
            .derive(self.derivation)
            .map_err(|Underivable| Unopened::Memory(self.derivation.cost))?;
        let mut seed = Zeroizing::new(self.seed);
        XChaCha20Poly1305::new((&*sealing).into())
            .decrypt_inout_detached(
                &XNonce::from(self.nonce),
                self.head.as_bytes(),
                seed.as_mut_slice().into(),
                &Tag::from(self.tag),
            )
            .map_err(|_| Unopened::Passphrase)?;
        passphrase.prove(self.derivation, sealing);
        Ok(IdentityKey::from_seed(&seed))
    }
}

/// Reads `m=65536,t=3,p=4`, and no other writing of it.
fn read_cost(text: &str) -> Option<Cost> {
    let (memory, rest) = text.strip_prefix("m=")?.split_once(",t=")?;
    let (passes, lanes) = rest.split_once(",p=")?;
    let cost =
        Cost { memory_kib: memory.parse().ok()?, passes: passes.parse().ok()?, lanes: lanes.parse().ok()? };
    let Cost { memory_kib, passes, lanes } = cost;
    (text == format!("m={memory_kib},t={passes},p={lanes}")).then_some(cost)
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn sum(line: &str) -> String {
    let digest = Digest::of(&[line.as_bytes()]);
    BASE64_NOPAD.encode(digest.as_bytes().get(..SUM_BYTES).unwrap_or_default())
}

fn random<const N: usize>() -> Result<[u8; N], Unsealed> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Unsealed::Random(GenerateError::from(error)))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealed by another implementation: `cryptography` 48.0.0, and `HChaCha20` by hand.
    const LINE: &str = "agent-otp-sealed-identity-v1 argon2id m=65536,t=3,p=4 c2l4dGVlbiBieXRlcyBvZg 6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw AAECAwQFBgcICQoLDA0ODxAREhMUFRYX QyGiVYLG1FC6oNFHDEqxOKhZo0ADzMi4NoabjEozRZR9CZMnltOmi0XKj1FE/Mtj dR0GH2hkZsw";

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_and_with_no_other() {
        let (key, passphrase) = (key(), passphrase("correct horse"));
        let line = written(&key, &passphrase);
        let sealed = Sealed::read(line.as_bytes()).ok().unwrap();
        assert_eq!(sealed.public, key.public());
        assert_eq!(sealed.open(&passphrase).unwrap().seed(), key.seed());
        assert_eq!(sealed.open(&self::passphrase("correct horse")).unwrap().seed(), key.seed());
        assert_eq!(sealed.open(&self::passphrase("correct mouse")).unwrap_err(), Unopened::Passphrase);
        assert!(!line.contains(&BASE64_NOPAD.encode(key.seed().as_slice())));
    }

    #[test]
    fn a_key_that_was_sealed_once_opens_for_ever() {
        let sealed = Sealed::read(LINE.as_bytes()).ok().unwrap();
        assert_eq!(sealed.open(&passphrase("correct horse")).unwrap().seed(), key().seed());
    }

    #[test]
    fn no_two_sealed_lines_share_a_nonce() {
        let passphrase = passphrase("correct horse");
        let [one, other] = [written(&key(), &passphrase), written(&key(), &passphrase)];
        let [one, other] = [one, other].map(|line| Sealed::read(line.as_bytes()).ok().unwrap());
        assert_eq!(one.derivation, other.derivation, "one derivation serves both");
        assert!(one.nonce != other.nonce && one.seed != other.seed);
    }

    #[test]
    fn no_bit_of_a_line_can_be_lost_unnoticed() {
        for index in PREFIX.len()..LINE.len() {
            for bit in 0..8 {
                let mut line = LINE.as_bytes().to_vec();
                line[index] ^= 1 << bit;
                let read = Sealed::read(&line);
                // Base64 of eleven characters has two bits that say nothing; they too are refused.
                assert!(
                    matches!(read, Err(Unreadable::Damaged | Unreadable::Malformed)),
                    "{index}, bit {bit}"
                );
            }
        }
        for length in 0..LINE.len() {
            assert!(Sealed::read(&LINE.as_bytes()[..length]).is_err(), "{length}");
        }
        assert!(Sealed::read(format!("{LINE}\n").as_bytes()).is_ok());
        assert!(Sealed::read(format!("{LINE}\n\n").as_bytes()).is_err());
    }

    #[test]
    fn no_byte_of_a_line_can_be_changed_with_care() {
        let passphrase = passphrase("correct horse");
        let body = LINE.rsplit_once(' ').unwrap().0;
        Sealed::read(LINE.as_bytes()).ok().unwrap().open(&passphrase).unwrap();
        for index in 0..body.len() {
            let mut line = body.as_bytes().to_vec();
            line[index] = if line[index] == b'A' { b'B' } else { b'A' };
            refuses(&String::from_utf8(line).unwrap(), &passphrase);
        }
        let fields: Vec<&str> = body.split(' ').collect();
        for index in 0..fields.len() {
            refuses(&[&fields[..index], &fields[index + 1..]].concat().join(" "), &passphrase);
            refuses(
                &[&fields[..index], &fields[index..=index], &fields[index..]].concat().join(" "),
                &passphrase,
            );
        }
    }

    #[test]
    fn a_cost_out_of_bounds_is_refused_before_anything_is_derived() {
        let with = |cost: &str| Sealed::read(resummed(&body().replace("m=65536,t=3,p=4", cost)).as_bytes());
        for cost in ["m=65535,t=3,p=4", "m=8,t=1,p=1", "m=4294967295,t=3,p=4", "m=65536,t=4000000000,p=4"] {
            assert!(matches!(with(cost), Err(Unreadable::Cost(_))), "{cost}");
        }
        for cost in [
            "m=065536,t=3,p=4",
            "m=+65536,t=3,p=4",
            "m=4294967296,t=3,p=4",
            "m=65536,t=3",
            "m=65536,p=4,t=3",
            "",
        ] {
            assert!(matches!(with(cost), Err(Unreadable::Malformed)), "{cost}");
        }
        // What is bearable but not what was sealed with does not open.
        let dearer = with("m=65536,t=4,p=4").ok().unwrap();
        assert_eq!(dearer.open(&passphrase("correct horse")).unwrap_err(), Unopened::Passphrase);
    }

    fn refuses(body: &str, passphrase: &Passphrase) {
        match Sealed::read(resummed(body).as_bytes()) {
            Err(_) => {}
            Ok(sealed) => assert_eq!(sealed.open(passphrase).unwrap_err(), Unopened::Passphrase, "{body}"),
        }
    }

    fn body() -> &'static str {
        LINE.rsplit_once(' ').unwrap().0
    }

    /// A line whose sum is right again.
    fn resummed(body: &str) -> String {
        format!("{body} {}", sum(body))
    }

    fn written(key: &IdentityKey, passphrase: &Passphrase) -> String {
        seal(key, passphrase).ok().unwrap()
    }

    fn key() -> IdentityKey {
        IdentityKey::from_seed(&Zeroizing::new([7; 32]))
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned().into()).unwrap()
    }
}
