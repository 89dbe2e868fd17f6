//! The file with what the user's gateways sign with: a line each, read anew for each delivery, so that one can be added,
//! replaced or taken away at any time.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use agent_otp_keyring::private;
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::source::SourceError;

use super::NAME;
use super::gateway::{GATEWAYS, Gateway, is_same};
use super::urls::public_url;

/// The shortest secret path: whoever finds it out can write text messages for gateways that do not sign them.
pub(super) const SECRET_PATH_MIN: usize = 16;

/// What a file that is made tells whoever opens it, behind its two secrets.
const REMARKS: &str = "\
# One secret a line; docs/sources/sms.md says how each gateway is set up.
# The line without a name is the signing key of SMS Gateway for Android.
# twilio = AUTH TOKEN
# telnyx = PUBLIC KEY
# vonage = SIGNATURE SECRET
# aws-sns = ARN OF THE TOPIC
# These do not sign the text, and deliver to /sms/ with what `path` says behind it:
# plivo = AUTH TOKEN
# httpsms = SIGNING KEY
# smsforwarder = SECRET
# incoming-sms = WORD IN THE HEADER X-Capture-Token
# Where a proxy or tunnel does not pass on the host that is called, what stands before /sms in the gateway's URL:
# public-url = https://capture.example
";

/// The file.
#[derive(Debug)]
pub(super) struct Keys {
    path: PathBuf,
}

impl Keys {
    /// The file in this directory, with a key and a secret path of 256 random bits each if there is none yet.
    ///
    /// Fails if others can read it, or if there is no key in it, or a line that means nothing.
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

    /// What stands in it: at least one key.
    pub(super) fn read(&self) -> Result<KeySet, SourceError> {
        let content = private::read(&self.path)?;
        let keys = KeySet::parse(&content).map_err(|BadLine { line, what }| SourceError::Line {
            path: self.path.clone(),
            line,
            what,
        })?;
        if keys.keys.is_empty() { Err(SourceError::NoKey { path: self.path.clone() }) } else { Ok(keys) }
    }
}

/// What stands in the file.
#[derive(Default)]
pub(super) struct KeySet {
    /// Each with the name that its line begins with, if it has one.
    keys: Vec<(Option<&'static str>, Zeroizing<Vec<u8>>)>,
    secret_path: Option<Zeroizing<Vec<u8>>>,
    /// What stands before the path in the URLs that gateways are given.
    pub(super) public_urls: Vec<String>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySet(redacted)")
    }
}

/// A line that means nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    line: usize,
    what: String,
}

impl KeySet {
    /// Reads the lines. Blanks around a value are not part of it; empty lines and those that begin with `#` are none.
    pub(super) fn parse(content: &[u8]) -> Result<Self, BadLine> {
        let mut keys = Self::default();
        for (number, line) in content.split(|&octet| octet == b'\n').map(<[u8]>::trim_ascii).enumerate() {
            if !line.is_empty() && !line.starts_with(b"#") {
                keys.add(line).map_err(|what| BadLine { line: number + 1, what })?;
            }
        }
        Ok(keys)
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let Some((name, value)) = named(line) else {
            if let Some(name) = named_without_blanks(line) {
                return Err(format!("a name has blanks around its sign: `{name} = …`"));
            }
            self.keys.push((None, Zeroizing::new(line.to_vec())));
            return Ok(());
        };
        match (name, GATEWAYS.iter().find(|gateway| gateway.key_name() == name)) {
            ("path", _) => {
                let is_word = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
                if value.len() < SECRET_PATH_MIN || !value.iter().all(is_word) {
                    return Err(format!(
                        "a path has at least {SECRET_PATH_MIN} characters of A-Z, a-z, 0-9, - and _"
                    ));
                }
                self.secret_path = Some(Zeroizing::new(value.to_vec()));
            }
            ("public-url", _) => {
                let url = std::str::from_utf8(value).ok().and_then(public_url);
                self.public_urls.push(url.ok_or("a public-url is such as https://capture.example")?);
            }
            (_, Some(gateway)) => {
                gateway.check_key(value)?;
                self.keys.push((Some(gateway.key_name()), Zeroizing::new(value.to_vec())));
            }
            (_, None) => {
                let known: BTreeSet<&str> = GATEWAYS.iter().map(|gateway| gateway.key_name()).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "there is no `{name}`; a line begins with path, public-url, or one of {known}"
                ));
            }
        }
        Ok(())
    }

    /// The keys of a gateway.
    pub(super) fn of(&self, gateway: &dyn Gateway) -> impl Iterator<Item = &[u8]> {
        let (name, takes_nameless) = (gateway.key_name(), gateway.takes_nameless_keys());
        let is_its = move |of: Option<&'static str>| of.map_or(takes_nameless, |of| of == name);
        self.keys.iter().filter(move |(of, _)| is_its(*of)).map(|(_, key)| key.as_slice())
    }

    /// Whether this is the secret path, without what stands before it.
    pub(super) fn is_secret_path(&self, path: &str) -> bool {
        self.secret_path.as_ref().is_some_and(|secret| is_same(secret, path.as_bytes()))
    }
}

/// Name and value of `name = value`. A key may hold the sign, but no blanks around it.
fn named(line: &[u8]) -> Option<(&str, &[u8])> {
    let at = line.windows(3).position(|part| part == b" = ")?;
    let (name, value) = (line.get(..at)?.trim_ascii(), line.get(at + 3..)?.trim_ascii());
    let is_name = name.iter().all(|octet| octet.is_ascii_lowercase() || *octet == b'-');
    if is_name { Some((std::str::from_utf8(name).ok()?, value)) } else { None }
}

/// The name of a line that lacks the blanks around the sign. A key that begins so would be taken for one of another gateway.
fn named_without_blanks(line: &[u8]) -> Option<&str> {
    let at = line.iter().position(|&octet| octet == b'=')?;
    let name = std::str::from_utf8(line.get(..at)?).ok()?.trim();
    let is_name = |gateway: &&dyn Gateway| gateway.key_name() == name;
    (["path", "public-url"].contains(&name) || GATEWAYS.iter().any(is_name)).then_some(name)
}

/// A new key, as a line of hexadecimal digits, which is what a gateway's settings take as text; a new path; remarks.
fn generate() -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let mut secrets = Zeroizing::new([0; 64]);
    getrandom::fill(secrets.as_mut_slice()).map_err(SourceError::NoRandomness)?;
    let digits = Zeroizing::new(HEXLOWER.encode(secrets.as_slice()));
    let (key, path) = digits.split_at(64);
    // The room is taken at once: a buffer that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(digits.len() + REMARKS.len() + 16));
    for part in [key, "\npath = ", path, "\n", REMARKS] {
        content.extend_from_slice(part.as_bytes());
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::android::Android;
    use super::super::plivo::Plivo;
    use super::super::telnyx::Telnyx;
    use super::super::twilio::Twilio;
    use super::super::vonage_sms::VonageSms;
    use super::*;

    #[test]
    fn the_first_start_makes_a_key_and_a_path_that_the_next_one_keeps() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("sources");
        let made = Keys::open(&dir).unwrap();
        let metadata = fs::metadata(made.path()).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let first = fs::read_to_string(made.path()).unwrap();
        let [key, path] = [0, 1].map(|at| first.lines().nth(at).unwrap().to_owned());
        assert!(key.len() == 64 && key.bytes().all(|octet| octet.is_ascii_hexdigit()));
        let path = path.strip_prefix("path = ").unwrap();
        assert!(path.len() == 64 && path != key);
        let set = Keys::open(&dir).unwrap().read().unwrap();
        assert_eq!(set.of(&Android).collect::<Vec<_>>(), [key.as_bytes()]);
        assert!(set.is_secret_path(path) && !set.is_secret_path(&path[1..]) && !set.is_secret_path(""));
        let other = tempfile::tempdir().unwrap();
        let other = Keys::open(&other.path().join("sources")).unwrap();
        assert_ne!(fs::read_to_string(other.path()).unwrap(), first);
    }

    #[test]
    fn every_remark_of_a_new_file_is_a_line_that_could_be_written() {
        for line in REMARKS.lines().filter(|line| line.contains(" = ")) {
            let (name, _) = named(line.trim_start_matches("# ").as_bytes()).unwrap();
            assert!(
                name == "public-url" || GATEWAYS.iter().any(|gateway| gateway.key_name() == name),
                "{line}"
            );
        }
        for gateway in GATEWAYS.iter().filter(|gateway| !gateway.takes_nameless_keys()) {
            assert!(REMARKS.contains(&format!("# {} = ", gateway.key_name())), "{}", gateway.name());
        }
    }

    #[test]
    fn a_key_is_a_line_that_is_neither_empty_nor_a_remark() {
        let table: [(&str, &[&str]); 6] = [
            ("one\n", &["one"]),
            ("one", &["one"]),
            ("# the phone\none\r\n\n# Twilio\n  two \n#three\n", &["one", "two"]),
            ("a key of words # and more\n", &["a key of words # and more"]),
            ("twillio=not a name\nYWJj==\nA = b\n", &["twillio=not a name", "YWJj==", "A = b"]),
            ("android-sms-gateway = one = two\ntwilio = three\n", &["one = two"]),
        ];
        for (content, expected) in table {
            let read = KeySet::parse(content.as_bytes()).unwrap();
            let expected: Vec<_> = expected.iter().map(|key| key.as_bytes()).collect();
            assert_eq!(read.of(&Android).collect::<Vec<_>>(), expected, "{content}");
        }
    }

    #[test]
    fn a_gateway_has_the_keys_of_its_name_and_two_of_them_those_without_one() {
        let set = KeySet::parse(b"plain\ntwilio = a\nvonage = b\nplivo = c\n").unwrap();
        let of = |gateway: &dyn Gateway| {
            set.of(gateway).map(|key| String::from_utf8(key.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of(&Android), ["plain"]);
        assert_eq!(of(&Twilio), ["plain", "a"]);
        assert_eq!(of(&VonageSms), ["b"]);
        assert_eq!(of(&Plivo), ["c"]);
        assert_eq!(of(&Telnyx), [""; 0]);
    }

    #[test]
    fn a_line_that_means_nothing_is_told_by_its_number_and_not_by_its_value() {
        let why = |content: &str| KeySet::parse(content.as_bytes()).map(drop).unwrap_err();
        insta::assert_debug_snapshot!(why("key\n\ntwillio = 12345678"), @r#"
        BadLine {
            line: 3,
            what: "there is no `twillio`; a line begins with path, public-url, or one of android-sms-gateway, aws-sns, httpsms, incoming-sms, plivo, smsforwarder, telnyx, twilio, vonage",
        }
        "#);
        for line in
            ["twilio=12345678", "twilio= 12345678", "path=0123456789abcdef", "public-url =https://a.example"]
        {
            let BadLine { line: number, what } = why(line);
            let name = line.split('=').next().unwrap().trim();
            assert_eq!((number, what), (1, format!("a name has blanks around its sign: `{name} = …`")));
        }
        for line in [
            "path = short",
            "path = with/a/slash/in/it/",
            "public-url = capture.example",
            "telnyx = abc",
            "aws-sns = inbound",
        ] {
            let BadLine { line: number, what } = why(line);
            assert!(number == 1 && !what.contains("abc") && !what.contains("short"), "{line}: {what}");
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
        private::replace(keys.path(), b"# nothing\n\npath = 0123456789abcdef\n").unwrap();
        insta::assert_snapshot!(told(Keys::open(&dir).unwrap_err()), @"DIR/sms-webhook.secret holds no key: write the signing key of your gateway into it on a line of its own, or delete it, and `agent-otp up` makes one");
        private::replace(keys.path(), b"key\ntelnyx = 1\n").unwrap();
        insta::assert_snapshot!(told(Keys::open(&dir).unwrap_err()), @"DIR/sms-webhook.secret, line 2: the key of telnyx is its public key: 44 characters of base64");
    }

    #[test]
    fn the_debug_of_keys_shows_none_of_them() {
        insta::assert_debug_snapshot!(KeySet::parse(b"key").unwrap(), @"KeySet(redacted)");
    }
}
