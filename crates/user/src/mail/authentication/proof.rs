//! What proves the sender of a mail: a DKIM signature, or the server that hands it over, and DMARC has to be content.

use std::slice;

use agent_otp_domain::registrable_domain;
use agent_otp_trust::SenderCheck;
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    DkimOutput, DkimResult, DmarcOutput, DmarcResult, DnsError, Error, MessageAuthenticator, SpfOutput,
    SpfResult,
};

use super::{Authentic, Claim, Envelope, NotAuthentic, date};

pub(super) async fn by_dkim(
    verifier: &MessageAuthenticator,
    claim: &Claim<'_>,
) -> Result<Authentic, NotAuthentic> {
    if claim.message.dkim_headers.is_empty() {
        return Err(claim.unsigned);
    }
    let mut best: Result<Authentic, NotAuthentic> = Err(claim.unsigned);
    for output in verifier.verify_dkim(&claim.message).await {
        let outcome = match aligned(verifier, claim, &output).await {
            Ok(signature) => claim.signed(signature),
            Err(why) => Err(why),
        };
        best = match (best, outcome) {
            (Ok(one), Ok(other)) => Ok(if other.covers_subject { other } else { one }),
            (Ok(one), Err(_)) => Ok(one),
            (Err(_), Ok(other)) => Ok(other),
            (Err(one), Err(other)) => Err(one.max(other)),
        };
    }
    best
}

/// The signature, if it holds and DMARC is content with it.
async fn aligned<'a>(
    verifier: &MessageAuthenticator,
    claim: &Claim<'_>,
    output: &'a DkimOutput<'_>,
) -> Result<&'a Signature, NotAuthentic> {
    let signature = match output.result() {
        DkimResult::Pass => output.signature().ok_or(NotAuthentic::Changed)?,
        DkimResult::TempError(_) => return Err(NotAuthentic::NoAnswer),
        DkimResult::Neutral(Error::Dkim(DkimError::SignatureExpired)) => {
            return Err(NotAuthentic::Expired);
        }
        DkimResult::Fail(Error::Dkim(DkimError::RevokedPublicKey))
        | DkimResult::PermError(
            Error::Dns(DnsError::RecordNotFound(_)) | Error::Dkim(DkimError::RevokedPublicKey),
        ) => return Err(NotAuthentic::NoKey),
        DkimResult::Neutral(_) | DkimResult::Fail(_) | DkimResult::PermError(_) | DkimResult::None => {
            return Err(NotAuthentic::Changed);
        }
    };
    let spf = SpfOutput::default();
    let policy = DmarcParameters::new(&claim.message, slice::from_ref(output), "", &spf);
    let dmarc = verifier.verify_dmarc(policy).await;
    content(&dmarc, dmarc.dkim_result()).map(|()| signature)
}

pub(super) async fn by_spf(
    verifier: &MessageAuthenticator,
    claim: &Claim<'_>,
    envelope: &Envelope,
) -> Result<Authentic, NotAuthentic> {
    let Envelope { peer, helo, sender, .. } = envelope;
    // The server that a bounce is from is all that it names (RFC 7208 §2.4).
    let domain = sender.rsplit_once('@').map_or(helo.as_str(), |(_, domain)| domain);
    if registrable_domain(domain).as_deref() != Some(claim.registrable.as_str()) {
        return Err(claim.unsigned);
    }
    // A listener on `[::]` sees 192.0.2.1 as ::ffff:192.0.2.1, for which `a`, `mx` and macros ask something else.
    let identity = SpfParameters::verify_mail_from(peer.to_canonical(), helo, "agent-otp", sender);
    let spf = verifier.verify_spf(identity).await;
    match spf.result() {
        SpfResult::Pass => {}
        SpfResult::TempError => return Err(NotAuthentic::NoAnswer),
        SpfResult::Fail
        | SpfResult::SoftFail
        | SpfResult::Neutral
        | SpfResult::PermError
        | SpfResult::None => return Err(claim.unsigned),
    }
    let policy = DmarcParameters::new(&claim.message, &[], domain, &spf);
    let dmarc = verifier.verify_dmarc(policy).await;
    content(&dmarc, dmarc.spf_result())?;
    // Nobody but the sender has had the mail: what it says is its own word, and a server may have kept it for hours.
    Ok(Authentic { check: SenderCheck::Spf, written_at: date(claim.parsed), covers_subject: true })
}

/// Whether DMARC is content with the one proof that it was shown.
fn content(dmarc: &DmarcOutput, result: &DmarcResult) -> Result<(), NotAuthentic> {
    match result {
        DmarcResult::Pass => Ok(()),
        DmarcResult::TempError(_) => Err(NotAuthentic::NoAnswer),
        DmarcResult::Fail(_) | DmarcResult::PermError(_) | DmarcResult::None => {
            Err(if dmarc.dmarc_record().is_none() { NotAuthentic::NoPolicy } else { NotAuthentic::Unaligned })
        }
    }
}
