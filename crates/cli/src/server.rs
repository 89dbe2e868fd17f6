//! Which broker, and how it is known to be the right one: as it is typed, and as `run.json` says it.

use std::path::PathBuf;

use agent_otp_domain::Digest;
use agent_otp_jetstream::{ClientCertificate, Server, Trust};
use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::args::heading;

/// How a broker with TLS is known, and what is shown to it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Tls {
    /// Takes the one broker whose TLS key has this SHA-256, as `run.json` names it.
    #[arg(help_heading = heading::TLS, long = "nats-pin", value_name = "SHA256", conflicts_with = "authority")]
    pin: Option<Digest>,
    /// Takes a broker whose certificate an authority in this PEM file vouches for [default: one that this machine trusts].
    #[arg(help_heading = heading::TLS, long = "tls-ca", value_name = "FILE")]
    authority: Option<PathBuf>,
    /// The certificate to show to a broker that asks for one, in PEM.
    #[arg(help_heading = heading::TLS, long = "tls-cert", value_name = "FILE", requires = "key")]
    chain: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(help_heading = heading::TLS, long = "tls-key", value_name = "FILE", requires = "chain")]
    key: Option<PathBuf>,
}

/// The same in `run.json`; without any of it, this machine's authorities vouch for the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunTls {
    /// SHA-256 of the broker's TLS key (`SubjectPublicKeyInfo`), if it is known by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
    /// The file with the authorities that may vouch for the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    /// The file with the certificate that is shown to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,
    /// The file with its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
}

impl Tls {
    /// Whether anything of it was typed.
    pub(crate) fn is_typed(&self) -> bool {
        self.pin.is_some() || self.authority.is_some() || self.chain.is_some()
    }

    /// The broker at `url`, which speaks TLS if the URL says so or anything of it was typed.
    pub(crate) fn server(self, url: String) -> anyhow::Result<Server> {
        let Self { pin, authority, chain, key } = self;
        let absolute = |path: PathBuf| {
            std::path::absolute(&path).with_context(|| format!("`{}` is no file", path.display()))
        };
        let own = chain.zip(key).map(|(chain, key)| {
            anyhow::Ok(ClientCertificate { chain: absolute(chain)?, key: absolute(key)? })
        });
        let certificate = own.transpose()?;
        let trust = match (pin, authority) {
            (Some(pin), _) => Trust::Pinned(pin),
            (None, Some(path)) => Trust::Authority(absolute(path)?),
            (None, None) if certificate.is_some() || url.starts_with("tls:") => Trust::Platform,
            (None, None) => Trust::Plain,
        };
        Ok(Server { url, trust, certificate })
    }
}

impl RunTls {
    /// What `run.json` says of a broker; nothing if it is reached without TLS.
    pub(crate) fn of(server: &Server) -> Option<Self> {
        let (certificate, key) = server.certificate.clone().map(|own| (own.chain, own.key)).unzip();
        let tls = Self { certificate, key, ..Self::default() };
        match &server.trust {
            Trust::Plain => None,
            Trust::Pinned(pin) => Some(Self { pin: Some(pin.to_string()), ..tls }),
            Trust::Platform => Some(tls),
            Trust::Authority(path) => Some(Self { ca: Some(path.clone()), ..tls }),
        }
    }

    /// The SHA-256 of the broker's TLS key, if it is known by that.
    pub(crate) fn pin(&self) -> Option<&str> {
        self.pin.as_deref()
    }

    /// How a client reaches that broker.
    pub(crate) fn server(tls: Option<&Self>, url: &str) -> anyhow::Result<Server> {
        let Some(tls) = tls else { return Ok(Server::plain(url)) };
        let trust = match (&tls.pin, &tls.ca) {
            (Some(pin), _) => {
                Trust::Pinned(pin.parse().context("run.json is damaged; restart `agent-otp up`")?)
            }
            (None, Some(path)) => Trust::Authority(path.clone()),
            (None, None) => Trust::Platform,
        };
        let own = tls.certificate.clone().zip(tls.key.clone());
        let certificate = own.map(|(chain, key)| ClientCertificate { chain, key });
        Ok(Server { url: url.to_owned(), trust, certificate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_json_says_what_was_typed() {
        let pin = Digest::of(&[b"a key"]);
        let certificate = ClientCertificate { chain: "/c.pem".into(), key: "/k.pem".into() };
        for trust in [Trust::Pinned(pin), Trust::Platform, Trust::Authority("/ca.pem".into())] {
            for certificate in [None, Some(certificate.clone())] {
                let server = Server { url: "tls://a:4222".to_owned(), trust: trust.clone(), certificate };
                let json = serde_json::to_string(&RunTls::of(&server)).unwrap();
                let read: Option<RunTls> = serde_json::from_str(&json).unwrap();
                assert_eq!(RunTls::server(read.as_ref(), &server.url).unwrap(), server, "{json}");
            }
        }
        let plain = Server::plain("nats://a:4222");
        assert_eq!(RunTls::of(&plain), None);
        assert_eq!(RunTls::server(None, &plain.url).unwrap(), plain);
    }

    #[test]
    fn what_is_typed_decides_how_the_broker_is_known() {
        let typed = |change: fn(&mut Tls), url: &str| {
            let mut tls = Tls::default();
            change(&mut tls);
            tls.server(url.to_owned()).unwrap().trust
        };
        assert_eq!(typed(|_| {}, "nats://a:4222"), Trust::Plain);
        assert_eq!(typed(|_| {}, "tls://a:4222"), Trust::Platform);
        assert_eq!(
            typed(|tls| tls.authority = Some("/ca.pem".into()), "nats://a"),
            Trust::Authority("/ca.pem".into())
        );
        let pinned = typed(|tls| tls.pin = Some(Digest::of(&[b"a key"])), "nats://a");
        assert_eq!(pinned, Trust::Pinned(Digest::of(&[b"a key"])));
    }
}
