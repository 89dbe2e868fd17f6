//! Where the broker listens for members on other machines, and under which name they reach it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use agent_otp_broker::{Certificate, Listen};
use agent_otp_domain::Digest;
use agent_otp_jetstream::{Server, Trust};
use agent_otp_keyring::private;
use anyhow::Context as _;
use clap::Args;

use crate::args::heading;
use crate::place::Place;

/// Who reaches the broker.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Listening {
    /// Lets members on other machines reach the broker at this address, with TLS for everybody; 0.0.0.0 is every address
    /// [default: this machine alone, without TLS].
    #[arg(help_heading = heading::BROKER, long, value_name = "IP[:PORT]")]
    listen: Option<Address>,
    /// The name or address under which others reach it [default: that of --listen; if it is unspecified, this machine's
    /// name].
    #[arg(help_heading = heading::BROKER, long, value_name = "HOST[:PORT]", requires = "listen")]
    advertise: Option<Advertised>,
}

impl Listening {
    /// The port that was asked for along with the address.
    pub(crate) fn port(&self) -> Option<u16> {
        self.listen.as_ref().and_then(|address| address.port)
    }

    /// Whether others may know the port: then it is not exchanged for another by itself.
    pub(crate) fn is_public(&self) -> bool {
        self.listen.is_some()
    }

    /// Where the broker is to listen, with a certificate over the key of this data directory.
    pub(crate) fn listen(&self, place: &Place) -> anyhow::Result<Listen> {
        let Some(Address { ip, .. }) = &self.listen else { return Ok(Listen::Loopback) };
        let mut names = vec![self.host(*ip).to_string(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !ip.is_unspecified() {
            names.push(ip.to_string());
        }
        names.sort();
        names.dedup();
        private::make_dir(&place.tls())?;
        let certificate = Certificate::issue(&place.tls(), &names)
            .context("the broker cannot listen with TLS; another machine would not know it again")?;
        Ok(Listen::Tls { address: *ip, certificate })
    }

    /// Where others reach the broker that listens on `port`.
    pub(crate) fn public_url(&self, port: u16) -> Option<String> {
        let ip = self.listen.as_ref()?.ip;
        let port = self.advertise.as_ref().and_then(|advertised| advertised.port).unwrap_or(port);
        Some(match self.host(ip) {
            Host::Ip(IpAddr::V6(ip)) => format!("tls://[{ip}]:{port}"),
            host @ (Host::Ip(_) | Host::Name(_)) => format!("tls://{host}:{port}"),
        })
    }

    fn host(&self, ip: IpAddr) -> Host {
        match &self.advertise {
            Some(advertised) => advertised.host.clone(),
            None if ip.is_unspecified() => this_machine(),
            None => Host::Ip(ip),
        }
    }
}

/// How a client of this machine knows the broker that listens so.
pub(crate) fn server(url: String, listen: &Listen) -> Server {
    let trust = match listen {
        Listen::Loopback => Trust::Plain,
        Listen::Tls { certificate, .. } => Trust::Pinned(Digest::of(&[certificate.public_key()])),
    };
    Server { url, trust, certificate: None }
}

/// What the network may call this machine. Whether it does is for the user to see.
fn this_machine() -> Host {
    let name = rustix::system::uname();
    name.nodename()
        .to_str()
        .ok()
        .and_then(|name| name.parse().ok())
        .unwrap_or(Host::Name("localhost".to_owned()))
}

/// An address of this machine.
#[derive(Debug, Clone, Copy)]
struct Address {
    ip: IpAddr,
    port: Option<u16>,
}

/// Where others reach it.
#[derive(Debug, Clone)]
struct Advertised {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a text is no address.
#[derive(Debug, thiserror::Error)]
enum AddressError {
    #[error(
        "an IP address of this machine is expected, such as 0.0.0.0 or 192.168.1.20, with or without `:PORT`"
    )]
    Address,
    #[error("a name or an IP address is expected, such as otp.example.com, with or without `:PORT`")]
    Host,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self { ip, port: None });
        }
        let address: SocketAddr = text.parse().map_err(|_| AddressError::Address)?;
        let port = Some(address.port()).filter(|port| *port != 0);
        Ok(Self { ip: address.ip(), port })
    }
}

impl FromStr for Host {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(Self::Ip(ip));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let is_name = text.len() <= 253 && text.split('.').all(is_label);
        if is_name { Ok(Self::Name(text.to_ascii_lowercase())) } else { Err(AddressError::Host) }
    }
}

impl FromStr for Advertised {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(host) = text.parse() {
            return Ok(Self { host, port: None });
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Host)?;
        let port = port.parse().map_err(|_| AddressError::Host)?;
        Ok(Self { host: host.parse()?, port: Some(port) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_told_what_reaches_the_broker() {
        let table = [
            ("127.0.0.1", None, "tls://127.0.0.1:4222"),
            ("::1", None, "tls://[::1]:4222"),
            ("0.0.0.0", Some("otp.example.com"), "tls://otp.example.com:4222"),
            ("0.0.0.0:4333", Some("OTP.example.com:443"), "tls://otp.example.com:443"),
            ("[::]:4333", Some("[2001:db8::1]:443"), "tls://[2001:db8::1]:443"),
            ("10.0.0.7", Some("2001:db8::1"), "tls://[2001:db8::1]:4222"),
        ];
        for (listen, advertise, url) in table {
            let advertise = advertise.map(|text| text.parse().unwrap());
            let listening = Listening { listen: Some(listen.parse().unwrap()), advertise };
            assert_eq!(listening.public_url(4222).as_deref(), Some(url), "{listen}");
        }
        assert_eq!(Listening::default().public_url(4222), None);
    }

    #[test]
    fn an_unspecified_address_is_told_by_the_machines_name() {
        let listening = Listening { listen: Some("0.0.0.0".parse().unwrap()), advertise: None };
        let url = listening.public_url(4222).unwrap();
        assert!(!url.contains("0.0.0.0"), "{url}");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost", "1.2.3", "1.2.3.4:99999", "4222"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        for text in ["", "a b", "a..b", "otp.example.com:", "otp.example.com:x", "tls://otp.example.com"] {
            assert!(text.parse::<Advertised>().is_err(), "{text}");
        }
    }
}
