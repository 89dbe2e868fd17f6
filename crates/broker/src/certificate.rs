//! The TLS key of a broker that others reach, and the certificate over it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::private::{self, SecretError};

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
/// How PEM breaks its lines (RFC 7468).
const LINE: usize = 64;

/// A certificate that a broker shows, signed with its own key.
///
/// What clients know it by is the key, which stays; the certificate says besides under which names the broker is reached,
/// is issued anew at each start, and does not lapse.
#[derive(Debug, Clone)]
pub struct Certificate {
    dir: PathBuf,
    public_key: Vec<u8>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key cannot be read, or others can read it.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// It holds no key.
    #[error(
        "{} holds no TLS key: restore it; if it is removed, another one is made, and whoever knows this broker has to be \
         enrolled anew",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Key or certificate cannot be written.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A name is none, or the key cannot sign.
    #[error("no certificate can be issued for {names:?}")]
    Issue {
        /// The names.
        names: Vec<String>,
        /// Why not.
        source: rcgen::Error,
    },
}

impl Certificate {
    /// Issues a certificate for these names and addresses with the key in `dir`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] says which file is in the way.
    pub fn issue(dir: &Path, names: &[String]) -> Result<Certificate, CertificateError> {
        let key = key(&dir.join(KEY))?;
        let failed = |source| CertificateError::Issue { names: names.to_vec(), source };
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "agent-otp");
        let certificate = params.self_signed(&key).map_err(failed)?;
        let path = dir.join(CERTIFICATE);
        let written = || {
            let mut file = NamedTempFile::new_in(dir)?;
            file.write_all(pem("CERTIFICATE", certificate.der()).as_bytes())?;
            file.persist(&path)?;
            Ok(())
        };
        written().map_err(|source| CertificateError::Unwritable { path: path.clone(), source })?;
        Ok(Certificate { dir: dir.to_owned(), public_key: key.subject_public_key_info() })
    }

    /// The key as certificates state it: the DER of `SubjectPublicKeyInfo` (RFC 5280).
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The file with the private key.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.join(KEY)
    }

    /// The certificate, for clients that want to be given it.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join(CERTIFICATE)
    }
}

/// The key in the file; without one, a new one that is on the disk before anybody sees it.
fn key(path: &Path) -> Result<KeyPair, CertificateError> {
    let text = match private::read(path) {
        Err(SecretError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return new_key(path);
        }
        read => read?,
    };
    let malformed = || CertificateError::Malformed { path: path.to_owned() };
    let text = std::str::from_utf8(&text).map_err(|_| malformed())?;
    let body: Zeroizing<String> =
        text.lines().filter(|line| !line.starts_with("-----")).collect::<String>().into();
    let der = Zeroizing::new(BASE64.decode(body.as_bytes()).map_err(|_| malformed())?);
    KeyPair::try_from(der.as_slice()).map_err(|_| malformed())
}

fn new_key(path: &Path) -> Result<KeyPair, CertificateError> {
    let unwritable = |source| CertificateError::Unwritable { path: path.to_owned(), source };
    let key = KeyPair::generate().map_err(|error| unwritable(io::Error::other(error)))?;
    let der = Zeroizing::new(key.serialize_der());
    let text = pem("PRIVATE KEY", &der);
    private::write_new(path, text.as_bytes()).map_err(unwritable)?;
    Ok(key)
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(BASE64.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(encoded.len().saturating_mul(2)));
    text.extend(["-----BEGIN ", label, "-----\n"]);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.extend([line, "\n"]);
        rest = after;
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_and_the_certificate_is_issued_anew() {
        let dir = tempfile::tempdir().unwrap();
        let first = Certificate::issue(dir.path(), &["127.0.0.1".to_owned()]).unwrap();
        let shown = fs::read_to_string(first.file()).unwrap();
        let second = Certificate::issue(dir.path(), &["otp.example".to_owned(), "::1".to_owned()]).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        assert_ne!(fs::read_to_string(second.file()).unwrap(), shown);
        assert_eq!(fs::metadata(second.key_file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(shown.starts_with("-----BEGIN CERTIFICATE-----\n"), "{shown}");
        assert!(shown.lines().all(|line| line.len() <= LINE), "{shown}");
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["127.0.0.1".to_owned()];
        let path = Certificate::issue(dir.path(), &names).unwrap().key_file();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let loose = Certificate::issue(dir.path(), &names).unwrap_err().to_string();
        assert!(loose.ends_with(&format!("(mode 0640): type chmod 600 {}", path.display())), "{loose}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        for text in ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            fs::write(&path, text).unwrap();
            let error = Certificate::issue(dir.path(), &names).unwrap_err();
            assert!(matches!(error, CertificateError::Malformed { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
