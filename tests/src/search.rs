//! Searching files for a secret, in every way in which it may have been written down.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

/// A secret, and what it looks like raw, in hex, in base64 at each of its three offsets, in UTF-16 and in UTF-32.
#[derive(Debug)]
pub struct Needle {
    name: String,
    /// How the secret is written down by each pattern of the set.
    forms: Vec<&'static str>,
    patterns: RegexSet,
}

impl Needle {
    /// A secret text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
        let mut forms = forms(text.as_bytes());
        forms.push(("UTF-16LE", utf16(u16::to_le_bytes)));
        forms.push(("UTF-16BE", utf16(u16::to_be_bytes)));
        forms.push(("UTF-32", text.chars().flat_map(|c| u32::from(c).to_ne_bytes()).collect()));
        Self::new(text, &forms)
    }

    /// Secret bytes.
    #[must_use]
    pub fn bytes(name: &str, bytes: &[u8]) -> Self {
        Self::new(name, &forms(bytes))
    }

    fn new(name: &str, forms: &[(&'static str, Vec<u8>)]) -> Self {
        let literal =
            |form: &Vec<u8>| {
                HEXLOWER.encode(form).as_bytes().chunks(2).fold("(?-u)".to_owned(), |pattern, byte| {
                    pattern + "\\x" + &String::from_utf8_lossy(byte)
                })
            };
        let patterns = forms.iter().map(|(_, form)| literal(form));
        let patterns = RegexSetBuilder::new(patterns).size_limit(64 << 20).build().unwrap();
        Self { name: name.to_owned(), forms: forms.iter().map(|(how, _)| *how).collect(), patterns }
    }

    /// How the secret stands in these bytes, if it does.
    #[must_use]
    pub fn in_bytes(&self, bytes: &[u8]) -> Option<&'static str> {
        let at = self.patterns.matches(bytes).iter().next()?;
        self.forms.get(at).copied()
    }

    /// Every place at which the secret stands in these bytes, and how.
    #[must_use]
    pub fn all_in_bytes(&self, bytes: &[u8]) -> Vec<(&'static str, usize)> {
        let mut places = Vec::new();
        for form in &self.patterns.matches(bytes) {
            let pattern = self.patterns.patterns().get(form).and_then(|form| Regex::new(form).ok());
            let pattern = pattern.expect("a pattern of the set");
            let how = self.forms.get(form).expect("every pattern has a name");
            places.extend(pattern.find_iter(bytes).map(|found| (*how, found.start())));
        }
        places
    }

    /// Which secret it is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("raw", bytes.to_vec()),
        ("hex", HEXLOWER.encode(bytes).into_bytes()),
        ("HEX", HEXUPPER.encode(bytes).into_bytes()),
    ];
    for offset in 0..3 {
        let shifted = shifted(bytes, offset);
        forms.push(("base64", core(&BASE64_NOPAD.encode(&shifted), bytes.len(), offset)));
        forms.push(("base64url", core(&BASE64URL_NOPAD.encode(&shifted), bytes.len(), offset)));
    }
    forms
}

/// The secret behind `offset` other bytes.
fn shifted(bytes: &[u8], offset: usize) -> Vec<u8> {
    [vec![0; offset], bytes.to_vec()].concat()
}

/// The characters of its base64 that depend on the secret alone, six bits each.
fn core(encoded: &str, length: usize, offset: usize) -> Vec<u8> {
    let (first, last) = ((offset * 8).div_ceil(6), (offset + length) * 8 / 6);
    encoded.as_bytes().get(first..last).unwrap().to_vec()
}

/// Where the secrets stand in files below `dir`: file, secret, form.
#[must_use]
pub fn search(dir: &Path, needles: &[Needle]) -> Vec<(PathBuf, String, &'static str)> {
    let mut found = Vec::new();
    for path in files_below(dir) {
        // A file may go while others are read: what is gone holds nothing.
        let Ok(bytes) = fs::read(&path) else { continue };
        for needle in needles {
            if let Some(how) = needle.in_bytes(&bytes) {
                found.push((path.clone(), needle.name.clone(), how));
            }
        }
    }
    found
}

/// All files below a directory.
#[must_use]
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_it_was_written_down() {
        let needle = Needle::text("482913");
        let utf16: Vec<u8> = "a 482913".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut written = vec![b"code=482913;".to_vec(), b"343832393133".to_vec(), utf16];
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "y", "yz"] {
                written.push(BASE64_NOPAD.encode(format!("{before}482913{after}").as_bytes()).into_bytes());
            }
        }
        for bytes in written {
            assert!(needle.in_bytes(&bytes).is_some(), "{}", String::from_utf8_lossy(&bytes));
        }
        assert_eq!(needle.in_bytes(b"482931 482 913"), None);
    }
}
