//! What each statement about a request says, and how each is bound to the one before.

use agent_otp_domain::{
    CLOCK_SKEW_MAX, Channel, Digest, EventType, Filter, KeyId, MemberId, OwnerId, Purpose, Reason, RequestId,
    RequestKey, Role, Timestamp, Ttl,
};
use serde::{Deserialize, Serialize};

use crate::{Member, RosterRef, Statement, Untrusted};

/// What every statement begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heading {
    /// Whose request it is about.
    pub owner: OwnerId,
    /// Which agent's.
    pub agent: MemberId,
    /// Which one.
    pub request: RequestId,
    /// The key that signs.
    pub signer: KeyId,
    /// The roster that the signer went by.
    pub roster: RosterRef,
    /// When it was made, by the signer's clock, in milliseconds since 1970.
    pub made_at: Timestamp,
    /// The last checkpoint of the log that the signer saw.
    pub checkpoint: Option<Checkpoint>,
}

impl Heading {
    /// Which request the statement is about.
    #[must_use]
    pub fn key(&self) -> RequestKey {
        RequestKey { owner: self.owner.clone(), agent: self.agent.clone(), request: self.request }
    }
}

/// The head of the log's Merkle tree, as somebody saw it (RFC 6962).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// How many events the log held.
    pub size: u64,
    /// The tree's root hash.
    pub root: Digest,
}

/// Sixteen random bytes that make a statement unlike any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(#[serde(with = "serde_bytes")] [u8; 16]);

impl Nonce {
    /// Takes bytes fresh from the system's generator, or as they came.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// SHA-256, under which a claim's nonce is stored.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[&self.0])
    }
}

/// Whom the code is to be sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The HPKE suite.
    pub suite: u16,
    /// The public key, fresh for this request.
    #[serde(with = "serde_bytes")]
    pub public_key: Vec<u8>,
}

/// An agent asks for a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// About what, by whom, when.
    pub heading: Heading,
    /// Why, in the agent's own words.
    pub reason: Reason,
    /// Which message.
    pub filter: Filter,
    /// Whom the code is to be sealed to.
    pub recipient: Recipient,
    /// When the request lapses.
    pub expires_at: Timestamp,
}

/// What the user decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verdict {
    /// Yes.
    Approve {
        /// The capturers that may act on it.
        capturers: Vec<KeyId>,
        /// What the message must satisfy besides the request's own filter.
        narrowing: Option<Filter>,
    },
    /// No; or no longer.
    Deny {},
}

/// The user approves or denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// About what, by whom, when.
    pub heading: Heading,
    /// The digest of the request statement that the user saw.
    pub request: Digest,
    /// Yes or no.
    pub verdict: Verdict,
    /// Makes the decision unlike any other.
    pub nonce: Nonce,
    /// Until when it may be used; no later than the request's end.
    pub expires_at: Timestamp,
}

/// How sure the capturer was of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderCheck {
    /// The sender was taken on its word, because the user said so; or the user pasted what it sent.
    Unverified,
    /// The mail bears a DKIM signature (RFC 6376) that is aligned with its `From`, as that domain's DMARC policy
    /// (RFC 9989) has it.
    Dkim,
    /// The mail was handed over by a server that SPF (RFC 7208) names for its envelope's sender, which is aligned with
    /// its `From`, as that domain's DMARC policy has it.
    Spf,
    /// A mail server that the user trusts with it says that the mail passed DMARC (RFC 8601).
    AuthenticationResults,
}

/// What a capture rests on; never a word of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How the message came.
    pub channel: Channel,
    /// Which of the user's sources took it: `smtp`, `lmtp`, `imap`, `maildir` or `sms-webhook`, or `sms-webhook-unsigned` if
    /// the gateway did not sign the text; `terminal`, if the user pasted it.
    pub source: String,
    /// How sure the capturer was of the sender.
    pub sender: SenderCheck,
    /// When the capturer received it, or the user pasted it, by the capturer's clock; of a text message that its phone
    /// had received earlier, that time.
    pub received_at: Timestamp,
    /// What the message says that its code is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
}

/// A capturer has sealed the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// About what, by whom, when.
    pub heading: Heading,
    /// The request's digest.
    pub request: Digest,
    /// The decision's digest.
    pub decision: Digest,
    /// SHA-256 of the sealed code `enc ‖ ct`.
    pub sealed: Digest,
    /// What it rests on.
    pub evidence: Evidence,
}

/// The agent claims the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consume {
    /// About what, by whom, when.
    pub heading: Heading,
    /// The capture's digest.
    pub capture: Digest,
    /// SHA-256 of a nonce that travels beside the statement: who knows it may read the answer again.
    pub claim: Digest,
}

/// The agent takes its request back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// About what, by whom, when.
    pub heading: Heading,
    /// The request's digest.
    pub request: Digest,
}

/// The capturer tells the agent that another code came after the one that it sealed, which that one does not replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newer {
    /// About what, by whom, when.
    pub heading: Heading,
    /// The request's digest.
    pub request: Digest,
}

impl Statement for Request {
    const TYPE: &'static str = "application/vnd.agent-otp.request.v1+msgpack";
    const ROLE: Role = Role::Agent;

    fn heading(&self) -> &Heading {
        &self.heading
    }

    fn check(&self, signer: &Member) -> Result<(), Untrusted> {
        self.filter.check()?;
        let ttl = self.expires_at.since(self.heading.made_at);
        if !(Ttl::MIN..=Ttl::MAX).contains(&ttl) || ttl.as_millis() > signer.limits.ttl_ms_max.into() {
            return Err(Untrusted::Malformed { what: "the time to live is outside the agent's limits" });
        }
        if self.recipient.public_key.len() > 4_096 {
            return Err(Untrusted::Malformed { what: "the length of the recipient's public key" });
        }
        Ok(())
    }
}

impl Statement for Decision {
    const TYPE: &'static str = "application/vnd.agent-otp.decision.v1+msgpack";
    const ROLE: Role = Role::Approver;

    fn heading(&self) -> &Heading {
        &self.heading
    }

    fn check(&self, _signer: &Member) -> Result<(), Untrusted> {
        match &self.verdict {
            Verdict::Approve { capturers, .. } if capturers.is_empty() || capturers.len() > 100 => {
                Err(Untrusted::Malformed { what: "the number of capturers" })
            }
            Verdict::Approve { narrowing: Some(narrowing), .. } => Ok(narrowing.check()?),
            Verdict::Approve { narrowing: None, .. } | Verdict::Deny {} => Ok(()),
        }
    }
}

impl Decision {
    /// Checks that this decides that request, and does not outlive or contradict it.
    ///
    /// # Errors
    ///
    /// [`Untrusted::Unbound`] or [`Untrusted::Malformed`].
    pub fn binds(&self, digest: Digest, request: &Request) -> Result<(), Untrusted> {
        if self.request != digest || self.heading.key() != request.heading.key() {
            return Err(Untrusted::Unbound { what: EventType::Requested });
        }
        match &self.verdict {
            Verdict::Approve { .. } if self.expires_at > request.expires_at => {
                Err(Untrusted::Malformed { what: "the decision outlives the request" })
            }
            Verdict::Approve { narrowing: Some(narrowing), .. } if narrowing.contradicts(&request.filter) => {
                Err(Untrusted::Malformed {
                    what: "no message satisfies both the request's filter and the narrowing",
                })
            }
            Verdict::Approve { .. } | Verdict::Deny {} => Ok(()),
        }
    }
}

impl Statement for Capture {
    const TYPE: &'static str = "application/vnd.agent-otp.capture.v1+msgpack";
    const ROLE: Role = Role::Capturer;

    fn heading(&self) -> &Heading {
        &self.heading
    }

    fn check(&self, _signer: &Member) -> Result<(), Untrusted> {
        let source = &self.evidence.source;
        let is_name =
            source.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if source.is_empty() || source.len() > 64 || !is_name {
            return Err(Untrusted::Malformed { what: "the source's name" });
        }
        Ok(())
    }
}

impl Capture {
    /// Checks that this acts on that decision about that request, by a capturer that it names, with a message that
    /// came as the request allows, and before the decision lapsed.
    ///
    /// # Errors
    ///
    /// [`Untrusted::Unbound`] or [`Untrusted::Malformed`].
    pub fn binds(
        &self,
        (decision, approval): (Digest, &Decision),
        (digest, request): (Digest, &Request),
    ) -> Result<(), Untrusted> {
        let Verdict::Approve { capturers, narrowing } = &approval.verdict else {
            return Err(Untrusted::Unbound { what: EventType::Approved });
        };
        let bound = self.heading.key() == request.heading.key()
            && self.request == digest
            && self.decision == decision
            && capturers.contains(&self.heading.signer);
        if !bound {
            return Err(Untrusted::Unbound { what: EventType::Approved });
        }
        let filters: Vec<&Filter> = narrowing.iter().chain([&request.filter]).collect();
        if !filters.iter().all(|filter| filter.channels.admit(self.evidence.channel)) {
            return Err(Untrusted::Malformed {
                what: "the message came over a channel that was not asked for",
            });
        }
        if !filters.iter().all(|filter| filter.allows(self.evidence.purpose)) {
            return Err(Untrusted::Malformed { what: "the code is for something that was not asked for" });
        }
        let window = request.heading.made_at.before(CLOCK_SKEW_MAX)..approval.expires_at;
        if !window.contains(&self.evidence.received_at) {
            return Err(Untrusted::Malformed {
                what: "the message came before the request, or after the approval's end",
            });
        }
        Ok(())
    }
}

impl Statement for Consume {
    const TYPE: &'static str = "application/vnd.agent-otp.consume.v1+msgpack";
    const ROLE: Role = Role::Agent;

    fn heading(&self) -> &Heading {
        &self.heading
    }

    fn check(&self, _signer: &Member) -> Result<(), Untrusted> {
        Ok(())
    }
}

impl Statement for Cancel {
    const TYPE: &'static str = "application/vnd.agent-otp.cancel.v1+msgpack";
    const ROLE: Role = Role::Agent;

    fn heading(&self) -> &Heading {
        &self.heading
    }

    fn check(&self, _signer: &Member) -> Result<(), Untrusted> {
        Ok(())
    }
}

impl Statement for Newer {
    const TYPE: &'static str = "application/vnd.agent-otp.newer.v1+msgpack";
    const ROLE: Role = Role::Capturer;

    fn heading(&self) -> &Heading {
        &self.heading
    }

    fn check(&self, _signer: &Member) -> Result<(), Untrusted> {
        Ok(())
    }
}

impl Newer {
    /// Checks that whoever sealed the code of that capture says this, of the same request.
    ///
    /// # Errors
    ///
    /// [`Untrusted::Unbound`].
    pub fn binds(&self, capture: &Capture) -> Result<(), Untrusted> {
        let bound = self.heading.key() == capture.heading.key()
            && self.request == capture.request
            && self.heading.signer == capture.heading.signer;
        if bound { Ok(()) } else { Err(Untrusted::Unbound { what: EventType::Captured }) }
    }
}
