//! Whether a mail is from whom it says: DKIM (RFC 6376) or SPF (RFC 7208), aligned with `From` by DMARC (RFC 9989).
//!
//! A domain without a DMARC policy proves nothing. What counts besides the standards: the registrable domain by the
//! Public Suffix List is the same; `From` is signed, all of the body is, and what the mail says is recent is, too.
//!
//! SPF speaks of the peer that hands a mail over. One on this machine or its network is the user's own forwarder, and
//! so is one that delivers by LMTP, of which the sender's domain knows nothing: there, DKIM alone proves a mail.

mod dns;
mod envelope;
mod proof;
mod results;

use std::fmt;
use std::time::Duration;

use agent_otp_domain::{RequestId, Timestamp, registrable_domain};
use agent_otp_trust::SenderCheck;
use mail_auth::common::crypto::Algorithm;
use mail_auth::common::headers::Header;
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::{AuthenticatedMessage, Error, MessageAuthenticator};
use mail_parser::{HeaderName, Message, MessageParser};
use tokio::time::{Instant, sleep, timeout_at};

pub use dns::Dns;
use dns::Servers;
pub use envelope::{Envelope, Handover};
use proof::{by_dkim, by_spf};
pub use results::{AuthservId, AuthservIdError};

use crate::source::finding::Finding;

use super::{date, sender};

/// How long a mail may have been under way: as long as a request may be open.
pub const AGE_MAX: Duration = Duration::from_hours(1);
/// How long a mail waits for the DNS.
pub const WAIT_MAX: Duration = Duration::from_secs(20);
/// How long it waits before it asks again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many signatures of the sender's domain are verified; services write one or two.
const SIGNATURES_MAX: usize = 4;
/// How many names a signature may list as signed; services list ten to forty, those twice that nobody may add. Each is
/// looked for among those before it and among all headers, so that one mail could keep a core busy for minutes.
const SIGNED_NAMES_MAX: usize = 100;
/// How many headers a mail may have for its signatures to be verified; mail with a code has fifty.
const HEADERS_MAX: usize = 1_000;

/// Verifies who sent a mail.
pub struct Authenticator {
    servers: Servers,
    trusted: Option<AuthservId>,
    /// How long a mail waits for the DNS.
    wait_max: Duration,
}

/// What proves the sender of a mail, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authentic {
    /// The proof.
    pub check: SenderCheck,
    /// When it was written, or else signed; nothing if a server of its sender's handed it over and it does not say.
    pub written_at: Option<Timestamp>,
    /// Whether the proof covers the subject.
    pub covers_subject: bool,
}

/// Why nothing proves the sender of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotAuthentic {
    /// There is no signature of the domain of `From`, and SPF says nothing or is not aligned.
    #[error("it bears no signature of its sender's domain")]
    Unsigned,
    /// A signature with `l=`: anybody may have added the rest.
    #[error("its signature covers only a part of it")]
    Partial,
    /// The signature leaves out `From`, or is of the kind rsa-sha1, which proves nothing (RFC 8301), or it would take too
    /// long to verify.
    #[error("its signature is of a kind that proves no sender")]
    Weak,
    /// The mail was changed, or the signature is forged.
    #[error("its signature is wrong: it was changed on its way, or it is forged")]
    Changed,
    /// The signature says that it has expired.
    #[error("its signature has expired")]
    Expired,
    /// The key is not in the DNS, or it was revoked.
    #[error("its sender's domain does not publish the key of its signature")]
    NoKey,
    /// The domain has no DMARC policy.
    #[error("its sender's domain publishes no DMARC policy")]
    NoPolicy,
    /// The signature is of another part of the domain than the DMARC policy demands.
    #[error("its sender's DMARC policy demands another signature than it bears")]
    Unaligned,
    /// Neither is `Date` signed, nor does the signature give a time of its own.
    #[error("it does not say in a way that can be verified when it was written")]
    Undated,
    /// It was written more than [`AGE_MAX`] ago.
    #[error("it was not written within the last hour")]
    Stale,
    /// It is dated more than [`AGE_MAX`] ahead.
    #[error("it is dated more than an hour ahead")]
    Ahead,
    /// The DNS did not answer.
    #[error("the DNS does not answer what its sender's domain publishes")]
    NoAnswer,
}

/// Why nothing can be verified at all.
#[derive(Debug, thiserror::Error)]
#[error("the DNS cannot be used: {reason}")]
pub struct AuthenticatorError {
    reason: String,
}

impl Authenticator {
    /// One that asks these servers, and believes the results of `trusted` in mail that is handed over on this machine
    /// or its network, or was fetched.
    ///
    /// # Errors
    ///
    /// [`AuthenticatorError`] if the operating system does not let it ask.
    pub fn new(dns: Dns, trusted: Option<AuthservId>) -> Result<Self, AuthenticatorError> {
        let wait_max = if dns == Dns::None { Duration::ZERO } else { WAIT_MAX };
        Ok(Self { servers: Servers::new(dns)?, trusted, wait_max })
    }

    /// Whether the DNS answers what a sender's domain publishes: asked is the DMARC policy of a large service.
    pub async fn check(&self) -> Finding {
        let verifier = self.servers.verifier();
        let asked = timeout_at(Instant::now() + WAIT_MAX, verifier.txt_raw_lookup("_dmarc.gmail.com.")).await;
        match asked {
            Ok(Ok(_)) => {
                Finding::works("dns", "what senders publish can be looked up, so DKIM can be verified")
            }
            Ok(Err(_)) | Err(_) => Finding::fails(
                "dns",
                "nobody answers what senders publish, so no mail can be proven; look at the network, or name a \
                 server with --dns-server",
            ),
        }
    }

    /// Finds out what proves the sender of a mail that [`super::read`] has read. Where the DNS does not answer, it is
    /// asked again for at most [`WAIT_MAX`]; of a mail without a signature it is asked nothing, unless SPF applies.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`]; of [`NotAuthentic::NoAnswer`] alone may another attempt make something else.
    pub async fn verify(
        &self,
        raw: &[u8],
        envelope: &Envelope,
        now: Timestamp,
    ) -> Result<Authentic, NotAuthentic> {
        let parsed = MessageParser::default().parse(raw).ok_or(NotAuthentic::Unsigned)?;
        let from = sender::of(&parsed, raw).map_err(|_| NotAuthentic::Unsigned)?;
        let (_, domain) = from.rsplit_once('@').ok_or(NotAuthentic::Unsigned)?;
        let claim = Claim::of(&parsed, raw, domain).ok_or(NotAuthentic::Unsigned)?;
        let until = Instant::now() + self.wait_max;
        let authentic = loop {
            let verifier = self.servers.verifier();
            match timeout_at(until, self.ask(&verifier, &claim, envelope)).await {
                Ok(Err(NotAuthentic::NoAnswer)) if Instant::now() + AGAIN_AFTER < until => {
                    sleep(AGAIN_AFTER).await;
                    self.servers.read_again();
                }
                Ok(outcome) => break outcome?,
                Err(_elapsed) => {
                    self.servers.read_again();
                    return Err(NotAuthentic::NoAnswer);
                }
            }
        };
        match authentic.written_at {
            Some(written_at) if now.since(written_at) > AGE_MAX => Err(NotAuthentic::Stale),
            // What is the sender's own word makes nothing newer than it is.
            Some(written_at) if written_at.since(now) > AGE_MAX && authentic.check != SenderCheck::Spf => {
                Err(NotAuthentic::Ahead)
            }
            Some(_) | None => Ok(authentic),
        }
    }

    async fn ask(
        &self,
        verifier: &MessageAuthenticator,
        claim: &Claim<'_>,
        envelope: &Envelope,
    ) -> Result<Authentic, NotAuthentic> {
        let is_trusted =
            |server| results::vouch(claim.parsed, claim.message.raw_message, server, claim.domain);
        // A peer elsewhere may have written the header itself. The trusted server is here, or was asked for its mail.
        if !envelope.is_elsewhere()
            && self.trusted.as_ref().is_some_and(is_trusted)
            && let Ok(authentic) = claim.believed()
        {
            return Ok(authentic);
        }
        // A signature of the sender's own domain says how its mail is sent. Where it is wrong, SPF does not make it good.
        if claim.is_signed || !envelope.may_be_of_sender() {
            return by_dkim(verifier, claim).await;
        }
        by_spf(verifier, claim, envelope).await
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

impl NotAuthentic {
    /// What the user is told of such a mail, and what to do.
    #[must_use]
    pub fn advice(self, id: RequestId) -> String {
        let mail = "a mail that says it is from this sender";
        match self {
            Self::NoAnswer => format!(
                "{mail} is refused for now, because the DNS does not answer; have the agent ask the service for a new one once this machine is online"
            ),
            Self::Ahead => format!(
                "{mail} was refused, because it is dated more than an hour ahead: set this machine's clock, if that is wrong; otherwise copy the code out of the mail yourself: agent-otp capture {id}"
            ),
            Self::Stale | Self::Undated => format!(
                "{mail} was refused, because it was not written within the last hour, or does not prove when; have the agent ask the service for a new one"
            ),
            Self::Changed | Self::Partial => format!(
                "{mail} was refused, because its signature does not prove it: it was changed on its way, as Safe Links and mailing lists do, or it is forged; deny the request if you did not expect that; if you trust the mail, copy the code out of it yourself: agent-otp capture {id}"
            ),
            Self::Weak | Self::Expired | Self::NoKey | Self::Unaligned => format!(
                "{mail} was refused, because its signature does not prove it: it was changed on its way, or it is forged; deny the request if you did not expect that"
            ),
            Self::Unsigned | Self::NoPolicy => format!(
                "{mail} was refused, because nothing proves it; if you trust it, copy the code out of it yourself: agent-otp capture {id}"
            ),
        }
    }
}

/// What a mail claims: whom it is from, and the signatures that might prove it.
struct Claim<'a> {
    parsed: &'a Message<'a>,
    /// With those signatures alone that might prove it.
    message: AuthenticatedMessage<'a>,
    /// The other signatures of the sender's registrable domain.
    others: Vec<Header<'a, Signature>>,
    domain: &'a str,
    registrable: String,
    /// Whether it bears a signature of the sender's registrable domain, however weak.
    is_signed: bool,
    /// Whether it bears a signature, of whomever, that covers only a part of it.
    is_partial: bool,
    /// What is missing where no signature might prove it.
    unsigned: NotAuthentic,
}

impl<'a> Claim<'a> {
    /// `None` if no one party has registered the domain.
    fn of(parsed: &'a Message<'a>, raw: &'a [u8], domain: &'a str) -> Option<Self> {
        let registrable = registrable_domain(domain)?;
        let mut message = AuthenticatedMessage::from_parsed(parsed, raw, true);
        message
            .dkim_headers
            .retain(|header| registrable_domain(&header.header.d).as_deref() == Some(registrable.as_str()));
        let is_signed = !message.dkim_headers.is_empty();
        let mut others: Vec<_> =
            message.dkim_headers.extract_if(.., |header| !may_prove(&header.header)).collect();
        let tried_max = if message.headers.len() <= HEADERS_MAX { SIGNATURES_MAX } else { 0 };
        others.extend(message.dkim_headers.drain(message.dkim_headers.len().min(tried_max)..));
        // A body that is signed in part is an error in strict parsing, whoever signed it.
        let is_partial =
            message.errors.iter().any(|error| error.header == Error::Dkim(DkimError::SignatureLength));
        let unsigned = match (is_signed, is_partial) {
            (true, _) => NotAuthentic::Weak,
            (false, true) => NotAuthentic::Partial,
            (false, false) => NotAuthentic::Unsigned,
        };
        let is_signed = is_signed || is_partial;
        Some(Self { parsed, message, others, domain, registrable, is_signed, is_partial, unsigned })
    }

    /// What a signature that holds proves.
    fn signed(&self, signature: &Signature) -> Result<Authentic, NotAuthentic> {
        let date = date(self.parsed).filter(|_| covers(&signature.h, "date"));
        let written_at = date.or_else(|| signed_at(signature)).ok_or(NotAuthentic::Undated)?;
        Ok(Authentic {
            check: SenderCheck::Dkim,
            written_at: Some(written_at),
            covers_subject: self.has_one_subject() && covers(&signature.h, "subject"),
        })
    }

    /// What the results of a trusted server prove: it does not say what of the mail was signed.
    fn believed(&self) -> Result<Authentic, NotAuthentic> {
        if self.is_partial {
            return Err(NotAuthentic::Partial);
        }
        // The server may have found any of them good, and anybody may have added more above it.
        let signatures = || self.message.dkim_headers.iter().chain(&self.others).map(|header| &header.header);
        let date = date(self.parsed);
        // What is not signed may be anybody's, and is believed where it makes the mail older.
        let by_signature = signatures()
            .filter(|signature| date.is_none() || !covers(&signature.h, "date"))
            .filter_map(signed_at)
            .min();
        Ok(Authentic {
            check: SenderCheck::AuthenticationResults,
            written_at: Some(date.into_iter().chain(by_signature).min().ok_or(NotAuthentic::Undated)?),
            covers_subject: self.has_one_subject()
                && signatures().all(|signature| covers(&signature.h, "subject")),
        })
    }

    /// Whether no other subject than that which is shown can be what was signed.
    fn has_one_subject(&self) -> bool {
        self.parsed.headers().iter().filter(|header| header.name == HeaderName::Subject).count() <= 1
    }
}

fn may_prove(signature: &Signature) -> bool {
    signature.a != Algorithm::RsaSha1 && signature.h.len() <= SIGNED_NAMES_MAX && covers(&signature.h, "from")
}

fn covers(headers: &[String], name: &str) -> bool {
    headers.iter().any(|header| header.trim().eq_ignore_ascii_case(name))
}

/// The time that a signature gives for itself, in seconds since 1970.
fn signed_at(signature: &Signature) -> Option<Timestamp> {
    let seconds = i64::try_from(signature.t).ok().filter(|seconds| *seconds > 0)?;
    Some(Timestamp::from_unix_ms(seconds.saturating_mul(1_000)))
}
