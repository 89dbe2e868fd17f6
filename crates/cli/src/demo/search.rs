//! Searches every file of a directory for a secret: as it is, in hexadecimal, and in base64 at any alignment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Every way in which a secret could stand in a file.
#[derive(Debug)]
pub(crate) struct Needles(Vec<Vec<u8>>);

impl Needles {
    pub(crate) fn of(secret: &[u8]) -> Self {
        let mut needles = vec![
            secret.to_vec(),
            HEXLOWER.encode(secret).into_bytes(),
            HEXUPPER.encode(secret).into_bytes(),
            BASE64.encode(secret).into_bytes(),
        ];
        // In the middle of a longer text, a secret begins at one of three places of a base64 group. Only the whole
        // groups that are surely its own are searched for.
        for skipped in 0..3 {
            let inner = secret.get(skipped..).unwrap_or_default();
            let whole = inner.get(..inner.len().saturating_sub(inner.len() % 3)).unwrap_or_default();
            if whole.len() >= 6 {
                needles.push(BASE64_NOPAD.encode(whole).into_bytes());
                needles.push(BASE64URL_NOPAD.encode(whole).into_bytes());
            }
        }
        Self(needles)
    }

    fn are_in(&self, content: &[u8]) -> bool {
        self.0.iter().any(|needle| content.windows(needle.len()).any(|window| window == needle.as_slice()))
    }
}

/// What a search went through, and where it found something.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    pub(crate) found: Vec<PathBuf>,
}

/// Reads every file below `dir`; sockets keep nothing. A file that vanishes meanwhile is no error.
pub(crate) fn search(dir: &Path, needles: &Needles) -> io::Result<Searched> {
    let mut searched = Searched::default();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                dirs.push(path);
                continue;
            }
            if !kind.is_file() {
                continue;
            }
            let content = match fs::read(&path) {
                Ok(content) => content,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            searched.files = searched.files.saturating_add(1);
            searched.bytes = searched.bytes.saturating_add(content.len() as u64);
            if needles.are_in(&content) {
                searched.found.push(path);
            }
        }
    }
    Ok(searched)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn every_file_is_searched_beside_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(dir.path().join("reload.sock")).unwrap();
        let below = dir.path().join("nats");
        fs::create_dir(&below).unwrap();
        let file = below.join("1.blk");
        fs::write(&file, b"the code R7KQ2MWX").unwrap();
        let searched = search(dir.path(), &Needles::of(b"R7KQ2MWX")).unwrap();
        assert_eq!((searched.files, searched.found), (1, vec![file]));
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let secret = b"R7KQ2MWX";
        let needles = Needles::of(secret);
        let written = |before: &str| {
            let text = [before.as_bytes(), secret, b" and more"].concat();
            [text.clone(), HEXLOWER.encode(&text).into_bytes(), BASE64.encode(&text).into_bytes()]
        };
        for before in ["", "x", "xy", "xyz"] {
            for content in written(before) {
                assert!(needles.are_in(&content), "{before:?}");
            }
        }
        assert!(!needles.are_in(b"R7KQ2MW and other text"));
    }
}
