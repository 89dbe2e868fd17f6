//! The configuration of a nats-server that admits the listed users, on this machine or with TLS from elsewhere.

use std::fmt::{self, Display, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificate::Certificate;
use crate::directory::Files;

/// What a broker is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its configuration, log and store are; made if it is not there.
    pub dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// The port; `None` for a free one.
    pub port: Option<u16>,
    /// Who may connect; at least one, since nats-server without users admits everybody.
    pub users: Vec<User>,
}

/// Where a broker listens.
#[derive(Debug, Clone, Default)]
pub enum Listen {
    /// On 127.0.0.1, without TLS: only this machine's programs reach it.
    #[default]
    Loopback,
    /// At an address, with TLS 1.3 for everybody, those of this machine too.
    Tls {
        /// The address of this machine; an unspecified one is all of them.
        address: IpAddr,
        /// What it shows.
        certificate: Certificate,
    },
}

impl Listen {
    /// Where it binds.
    pub(crate) fn address(&self) -> IpAddr {
        match self {
            Self::Loopback => Ipv4Addr::LOCALHOST.into(),
            Self::Tls { address, .. } => *address,
        }
    }

    /// Where a program of this machine reaches it on that port.
    pub(crate) fn local(&self, port: u16) -> SocketAddr {
        let address = match self.address() {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        };
        SocketAddr::new(address, port)
    }

    /// How a URL of it begins.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Loopback => "nats",
            Self::Tls { .. } => "tls",
        }
    }

    /// What of it stands in the configuration besides address and port.
    fn render(&self) -> String {
        match self {
            Self::Loopback => String::new(),
            Self::Tls { certificate, .. } => {
                let (shown, key) = (path(&certificate.file()), path(&certificate.key_file()));
                format!("tls {{\n  cert_file: {shown}\n  key_file: {key}\n  min_version: \"1.3\"\n}}\n")
            }
        }
    }
}

/// One who may connect, known by a key.
#[derive(Debug, Clone)]
pub struct User {
    /// Who it is, for a person who reads the configuration.
    pub name: String,
    /// The public nkey, `U…`.
    pub public_key: String,
    /// What it may do.
    pub permissions: Permissions,
}

/// Subjects, with NATS wildcards. What is not listed is denied; an empty list denies all.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    /// Where it may publish.
    pub publish: Vec<String>,
    /// What it may subscribe to.
    pub subscribe: Vec<String>,
    /// Whether it may also answer what it receives, on the reply subject of the sender's choice.
    pub responses: Option<Responses>,
}

/// How many answers may be given to one message, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Responses {
    /// The most answers to one message.
    pub max: u32,
    /// How long after the message.
    pub expires: Duration,
}

impl Config {
    /// The configuration as nats-server reads it.
    pub(crate) fn render(&self, files: &Files) -> String {
        let port = self.port.map_or(-1, i32::from);
        let authorization = authorization(&self.users);
        let (host, tls) = (self.listen.address(), self.listen.render());
        let (ports, pid, log) = (path(&files.ports()), path(&files.pid()), path(&files.log()));
        let store = path(&files.store());
        format!(
            r#"# Written by agent-otp at each start; what you change here is lost.
server_name: "agent-otp"
host: "{host}"
port: {port}
{tls}ports_file_dir: {ports}
pid_file: {pid}
log_file: {log}
log_size_limit: 10MB
logfile_max_num: 3
jetstream {{
  store_dir: {store}
  sync_interval: always
  max_memory_store: 256MB
  max_file_store: 4GB
}}
{authorization}"#
        )
    }
}

/// The users as they stand in a server's configuration.
#[must_use]
pub fn authorization(users: &[User]) -> String {
    let users: String = users.iter().map(ToString::to_string).collect();
    format!("authorization {{\n  users: [\n{users}  ]\n}}\n")
}

impl Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Permissions { publish, subscribe, responses } = &self.permissions;
        writeln!(f, "    # {}", self.name.escape_debug())?;
        writeln!(f, "    {{ nkey: {}, permissions: {{", quoted(self.public_key.as_bytes()))?;
        writeln!(f, "      publish: {}", allowed(publish))?;
        writeln!(f, "      subscribe: {}", allowed(subscribe))?;
        if let Some(Responses { max, expires }) = responses {
            writeln!(f, "      allow_responses: {{ max: {max}, expires: \"{}ms\" }}", expires.as_millis())?;
        }
        writeln!(f, "    }} }}")
    }
}

fn path(path: &Path) -> String {
    quoted(path.as_os_str().as_encoded_bytes())
}

fn allowed(subjects: &[String]) -> String {
    if subjects.is_empty() {
        // An empty `allow` would allow all.
        return r#"{ deny: [">"] }"#.to_owned();
    }
    let subjects: Vec<String> = subjects.iter().map(|subject| quoted(subject.as_bytes())).collect();
    format!("{{ allow: [{}] }}", subjects.join(", "))
}

/// A string of any bytes: inside `"…"` nats-server knows `\"`, `\\` and `\x00`, and expands no `$`.
fn quoted(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => write!(quoted, "\\x{byte:02x}").unwrap_or_default(),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_may_do_what_is_listed_and_nothing_else() {
        let (dir, users) = (PathBuf::from("/b"), vec![relay(), mute()]);
        let config = Config { dir, listen: Listen::Loopback, port: Some(4222), users };
        insta::assert_snapshot!(config.render(&Files::of("/home/a \"b\"/broker")), @r##"
        # Written by agent-otp at each start; what you change here is lost.
        server_name: "agent-otp"
        host: "127.0.0.1"
        port: 4222
        ports_file_dir: "/home/a \"b\"/broker/ports"
        pid_file: "/home/a \"b\"/broker/nats-server.pid"
        log_file: "/home/a \"b\"/broker/nats-server.log"
        log_size_limit: 10MB
        logfile_max_num: 3
        jetstream {
          store_dir: "/home/a \"b\"/broker/store"
          sync_interval: always
          max_memory_store: 256MB
          max_file_store: 4GB
        }
        authorization {
          users: [
            # relay
            { nkey: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", permissions: {
              publish: { allow: ["log.>", "$JS.API.STREAM.INFO.LOG"] }
              subscribe: { allow: ["command.>"] }
              allow_responses: { max: 1, expires: "30000ms" }
            } }
            # mute
            { nkey: "UAGVCCDQGTJDC4NQOTZVUCZ3OMBFGCFRCJXJQ5P3GZ4HMAFWKHOS4MTG", permissions: {
              publish: { deny: [">"] }
              subscribe: { deny: [">"] }
            } }
          ]
        }
        "##);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_comment() {
        let user = User { name: "mute\nport: 1".to_owned(), ..mute() };
        assert!(user.to_string().starts_with("    # mute\\nport: 1\n    { nkey"));
    }

    #[test]
    fn a_string_of_any_bytes_is_quoted() {
        let table: [(&[u8], &str); 5] = [
            (b"$JS.API.>", r#""$JS.API.>""#),
            (br#"a"b\c"#, r#""a\"b\\c""#),
            (b"a\nb\0", r#""a\x0ab\x00""#),
            ("é".as_bytes(), r#""\xc3\xa9""#),
            (b"\xff", r#""\xff""#),
        ];
        for (bytes, expected) in table {
            assert_eq!(quoted(bytes), expected);
        }
    }

    fn relay() -> User {
        User {
            name: "relay".to_owned(),
            public_key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4".to_owned(),
            permissions: Permissions {
                publish: vec!["log.>".to_owned(), "$JS.API.STREAM.INFO.LOG".to_owned()],
                subscribe: vec!["command.>".to_owned()],
                responses: Some(Responses { max: 1, expires: Duration::from_secs(30) }),
            },
        }
    }

    fn mute() -> User {
        User {
            name: "mute".to_owned(),
            public_key: "UAGVCCDQGTJDC4NQOTZVUCZ3OMBFGCFRCJXJQ5P3GZ4HMAFWKHOS4MTG".to_owned(),
            permissions: Permissions::default(),
        }
    }
}
