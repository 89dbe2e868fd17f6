//! Verifies who sent the mails of a folder, by the DNS that lies beside them.

use std::path::Path;
use std::{fs, io};

use agent_otp_domain::Timestamp;
use agent_otp_user::mail::authentication::{Authentic, Authenticator, Dns, Envelope, Handover, NotAuthentic};
use mail_parser::MessageParser;
use tokio::runtime::Runtime;

use crate::dns;
use crate::labelled::{Auth, Body, Case};

/// Where and when the mails of a folder come.
pub(crate) struct Post {
    authenticator: Authenticator,
    runtime: Runtime,
    now: Timestamp,
}

impl Post {
    /// None for a folder without a `zone.json`.
    pub(crate) fn of(folder: &Path, cases: &[Case]) -> io::Result<Option<Self>> {
        let zone = folder.join("zone.json");
        if !zone.exists() {
            return Ok(None);
        }
        let records = dns::zone(&fs::read_to_string(zone)?).map_err(|error| {
            io::Error::other(format!("zone.json is not {{\"txt\": {{NAME: TEXT}}}}: {error}"))
        })?;
        let server = dns::serve(records);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let authenticator = {
            let _within = runtime.enter();
            Authenticator::new(Dns::Server(server), None).map_err(io::Error::other)?
        };
        let now = cases.iter().filter_map(written_at).max().unwrap_or(Timestamp::from_unix_ms(0));
        Ok(Some(Self { authenticator, runtime, now }))
    }

    pub(crate) fn verify(&self, raw: &[u8], auth: &Auth) -> Result<Authentic, NotAuthentic> {
        let envelope = match (auth.ip, &auth.mail_from) {
            (Some(peer), Some(sender)) => {
                Envelope { peer, handover: Handover::Relay, helo: String::new(), sender: sender.clone() }
            }
            (_, _) => Envelope::local(),
        };
        self.runtime.block_on(self.authenticator.verify(raw, &envelope, self.now))
    }
}

fn written_at(case: &Case) -> Option<Timestamp> {
    let Body::Mail(raw) = &case.body else { return None };
    let seconds = MessageParser::default().parse_headers(raw)?.date()?.to_timestamp();
    Some(Timestamp::from_unix_ms(seconds.saturating_mul(1_000)))
}
