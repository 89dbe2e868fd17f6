//! The keys that may sign deliveries: one a line of a file, read anew for each delivery, so that one can be added,
//! replaced or taken away at any time.

use std::path::{Path, PathBuf};

use agent_otp_keyring::private;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::source::SourceError;

use super::NAME;

/// The file with the keys.
#[derive(Debug)]
pub(super) struct Keys {
    path: PathBuf,
}

impl Keys {
    /// The file in this directory, with a key of 256 random bits if there is none yet.
    ///
    /// Fails if others can read it, or if it holds no key.
    pub(super) fn open(dir: &Path) -> Result<Self, SourceError> {
        private::make_dir(dir)?;
        let keys = Self { path: dir.join(NAME).with_extension("secret") };
        if !keys.path.exists() {
            private::write_new(&keys.path, &generate()?)?;
        }
        keys.read()?;
        Ok(keys)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The keys, at least one. Blanks around a key are not part of it; empty lines and those that begin with `#` are none.
    pub(super) fn read(&self) -> Result<Vec<Zeroizing<Vec<u8>>>, SourceError> {
        let content = private::read(&self.path)?;
        let lines = content.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let keys: Vec<_> = keys.map(|key| Zeroizing::new(key.to_vec())).collect();
        if keys.is_empty() {
            return Err(SourceError::NoKey { path: self.path.clone() });
        }
        Ok(keys)
    }
}

/// A new key as a line of hexadecimal digits, which is what the gateway's settings take as text.
fn generate() -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(SourceError::NoRandomness)?;
    let digits = Zeroizing::new(HEXLOWER.encode(key.as_slice()));
    // The room is taken at once: a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(digits.len() + 1));
    line.extend_from_slice(digits.as_bytes());
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_start_makes_a_key_that_the_next_one_keeps() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("sources");
        let made = Keys::open(&dir).unwrap();
        let metadata = fs::metadata(made.path()).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let [key] = made.read().unwrap().try_into().unwrap();
        assert!(key.len() == 64 && key.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(Keys::open(&dir).unwrap().read().unwrap(), [key]);
        let other = tempfile::tempdir().unwrap();
        let other = Keys::open(&other.path().join("sources")).unwrap();
        assert_ne!(other.read().unwrap(), made.read().unwrap());
    }

    #[test]
    fn a_key_is_a_line_that_is_neither_empty_nor_a_remark() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(&dir.path().join("sources")).unwrap();
        let table: [(&str, &[&str]); 4] = [
            ("one\n", &["one"]),
            ("one", &["one"]),
            ("# the phone\none\r\n\n# Twilio\n  two \n#three\n", &["one", "two"]),
            ("a key of words # and more\n", &["a key of words # and more"]),
        ];
        for (content, expected) in table {
            private::replace(keys.path(), content.as_bytes()).unwrap();
            let read = keys.read().unwrap();
            assert_eq!(
                read.iter().map(|key| key.as_slice()).collect::<Vec<_>>(),
                expected.iter().map(|key| key.as_bytes()).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_file_that_is_loose_or_without_a_key_is_refused_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("sources");
        let keys = Keys::open(&dir).unwrap();
        let told = |error: SourceError| error.to_string().replace(&dir.display().to_string(), "DIR");
        fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o640)).unwrap();
        insta::assert_snapshot!(told(Keys::open(&dir).unwrap_err()), @"DIR/sms-webhook.secret is open to others (mode 0640): type chmod 600 DIR/sms-webhook.secret");
        private::replace(keys.path(), b"# nothing\n\n").unwrap();
        insta::assert_snapshot!(told(Keys::open(&dir).unwrap_err()), @"DIR/sms-webhook.secret holds no key: write the signing key of your gateway into it on a line of its own, or delete it, and `agent-otp up` makes one");
    }
}
