//! What a capturer does with a code, wherever it comes from: seals it, writes that down, and only then lets it go.

use std::error::Error;
use std::sync::Arc;

use agent_otp_domain::{Digest, KeyId, MemberId, RequestId, Role, SignedStatement, Timestamp};
use agent_otp_jetstream::{Login, Member};
use agent_otp_keyring::Home;
use agent_otp_seal::{Context, RecipientError, RecipientKey, SealError};
use agent_otp_trust::{Capture, IdentityKey, Newer, RosterRef, Untrusted, VerifiedRequest};
use tracing::{info, warn};

use crate::capturer::CapturerError;
use crate::desk::Release;
use crate::spent::{Offer, Record, SpendError, Spent};

/// A capturer's keys and records, and its way to the relay.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) member: Arc<Member>,
    pub(crate) spent: Spent,
    identity: IdentityKey,
    home: Home,
}

/// Why a code was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Who asked or approved does not belong to the owner any more. That is an alarm.
    #[error("the request is not believed any more")]
    Untrusted(#[from] Untrusted),
    /// The agent sent no key of the suite that it names.
    #[error("the agent's public key cannot be used")]
    Recipient(#[from] RecipientError),
    /// The code is none that can be sealed.
    #[error("the code cannot be sealed")]
    Seal(#[from] SealError),
    /// Nothing is sent that is not written down.
    #[error(transparent)]
    Spend(#[from] SpendError),
}

impl Sealer {
    /// Loads the capturer's key and records from its home, and connects.
    pub(crate) async fn connect(login: &Login, home: Home, name: MemberId) -> Result<Self, CapturerError> {
        let (identity, pin) = (home.identity()?, home.pin()?);
        let spent = Spent::open(home.dir().join("spent"))?;
        let member = Member::connect(login, Role::Capturer, name, pin.owner_key, pin.roster).await?;
        Ok(Self { member: Arc::new(member), spent, identity, home })
    }

    /// The key that it signs with.
    pub(crate) fn key(&self) -> KeyId {
        self.identity.id()
    }

    /// What tells the agent that another code came after its own.
    pub(crate) fn newer(&self, request: &VerifiedRequest, roster: RosterRef) -> SignedStatement {
        let heading = self.member.heading(&request.key, self.identity.id(), roster);
        self.identity.sign(&Newer { heading, request: request.digest })
    }

    /// Seals a code and writes it down; what comes back is to be sent.
    pub(crate) fn seal(&self, release: Release, roster: RosterRef) -> Result<Offer, CaptureError> {
        let Release { request, decision, code, evidence, message } = release;
        // The request was verified when it was learnt of, and a key may have been revoked since.
        self.member.verifier.stands(&request).map_err(CaptureError::from).inspect_err(|error| {
            self.raise(Some(request.key.request), error);
        })?;
        let recipient =
            RecipientKey::new(request.request.recipient.suite, &request.request.recipient.public_key)?;
        let context = Context { request: request.digest, decision, capturer: self.identity.id() };
        let sealed = agent_otp_seal::seal(&code, request.request.filter.wanted, &recipient, &context)?;
        drop(code);
        let capture = Capture {
            heading: self.member.heading(&request.key, self.identity.id(), roster),
            request: request.digest,
            decision,
            sealed: Digest::of(&[sealed.as_bytes()]),
            evidence,
        };
        let offer = Offer::new(self.identity.sign(&capture), sealed);
        let record = Record::new(decision, &request.key, expiry(&request), offer.clone());
        self.spent.write(record.answered_by(message))?;
        info!(request = %request.key, "captured");
        Ok(offer)
    }

    /// Keeps an alarm in the capturer's home.
    pub(crate) fn raise(&self, request: Option<RequestId>, wrong: &(dyn Error + 'static)) {
        self.home.alert(&self.member.alarm(request, wrong));
    }

    /// Keeps the highest roster that was seen.
    pub(crate) fn remember_roster(&self) {
        if let Some(Err(error)) = self.member.verifier.seen().map(|seen| self.home.remember(seen)) {
            warn!(%error, "the roster is not remembered");
        }
    }

    /// The request of this decision has ended: nothing of its code stays here.
    pub(crate) fn end(&self, decision: &Digest) {
        if let Err(error) = self.spent.end(decision) {
            warn!(%decision, %error, "the record stays as it is");
        }
    }
}

/// Until when the decision could be acted on.
fn expiry(request: &VerifiedRequest) -> Timestamp {
    request.approval().map_or(request.request.expires_at, |(_, decision, _)| decision.expires_at)
}
