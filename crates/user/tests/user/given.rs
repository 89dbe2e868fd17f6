//! Requests as they stand after verification, and messages, each with what matters to a test and the rest as usual.

use std::time::Duration;

use agent_otp_domain::{
    Channel, Channels, Digest, EventType, Filter, KeyId, MemberId, OwnerId, RequestId, RequestKey, Sender,
    Timestamp, Wanted,
};
use agent_otp_trust::{
    Capture, Decision, Evidence, Heading, Nonce, Recipient, Request, RosterRef, SenderCheck, Verdict,
    VerifiedRequest,
};
use agent_otp_user::Message;
use agent_otp_user::extract::Text;

/// How long the requests stand, in seconds.
pub(crate) const TTL: i64 = 300;

/// That many seconds after the requests were made.
pub(crate) fn at(seconds: i64) -> Timestamp {
    at_ms(seconds * 1_000)
}

/// That many milliseconds after the requests were made.
pub(crate) fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_790_000_000_000 + ms)
}

/// The capturer's key.
pub(crate) fn capturer() -> KeyId {
    KeyId::of(&[7; 32])
}

/// The request with this number, by an agent of its own, for a code of `acme.example` by e-mail; nobody has decided.
pub(crate) fn requested(number: u8) -> VerifiedRequest {
    let heading = heading(number, &KeyId::of(&[number; 32]));
    let key = heading.key();
    VerifiedRequest {
        key,
        digest: Digest::of(&[b"request", &[number]]),
        request: Request {
            heading,
            reason: "Sign in to Acme".parse().unwrap(),
            filter: filter("acme.example"),
            recipient: Recipient { suite: 1, public_key: vec![number; 32] },
            expires_at: at(TTL),
        },
        approval: None,
        capture: None,
        claim: None,
        end: None,
        version: 1,
        changed_at: at(0),
    }
}

/// One of very many requests: that with this number, approved, with this filter.
pub(crate) fn approved_of_many(number: u32, filter: Filter) -> VerifiedRequest {
    let request = requested(1);
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    let heading = Heading { request: RequestId::new(at(0), random), ..request.request.heading.clone() };
    let asked = Request { heading: heading.clone(), filter, ..request.request.clone() };
    let request =
        VerifiedRequest { key: heading.key(), digest: Digest::of(&[&random]), request: asked, ..request };
    approve(request, None, at(TTL), vec![capturer()])
}

/// The same, approved for as long as it stands.
pub(crate) fn approved(number: u8) -> VerifiedRequest {
    approve(requested(number), None, at(TTL), vec![capturer()])
}

/// Approves a request.
pub(crate) fn approve(
    request: VerifiedRequest,
    narrowing: Option<Filter>,
    expires_at: Timestamp,
    capturers: Vec<KeyId>,
) -> VerifiedRequest {
    let decision = Decision {
        heading: Heading { signer: KeyId::of(&[8; 32]), ..request.request.heading.clone() },
        request: request.digest,
        verdict: Verdict::Approve { capturers, narrowing },
        nonce: Nonce::new([0; 16]),
        expires_at,
    };
    VerifiedRequest { approval: Some((decision_of(&request), decision)), version: 2, ..request }
}

/// The digest of the decision that approves a request.
pub(crate) fn decision_of(request: &VerifiedRequest) -> Digest {
    Digest::of(&[b"decision", request.digest.as_bytes()])
}

/// A request that was captured already.
pub(crate) fn captured(request: VerifiedRequest) -> VerifiedRequest {
    let capture = Capture {
        heading: Heading { signer: capturer(), ..request.request.heading.clone() },
        request: request.digest,
        decision: decision_of(&request),
        sealed: Digest::of(&[b"sealed"]),
        evidence: Evidence {
            channel: Channel::Email,
            source: "smtp".to_owned(),
            sender: SenderCheck::Unverified,
            received_at: at(1),
            purpose: None,
        },
    };
    VerifiedRequest { capture: Some((Digest::of(&[b"capture"]), capture)), version: 3, ..request }
}

/// A request that came to this end.
pub(crate) fn ended(request: VerifiedRequest, end: EventType) -> VerifiedRequest {
    VerifiedRequest { version: request.version + 1, end: Some(end), ..request }
}

/// Any code from this sender by e-mail.
pub(crate) fn filter(sender: &str) -> Filter {
    Filter {
        channels: Channels::Email,
        sender: sender.parse().unwrap(),
        content: None,
        shape: None,
        wanted: Wanted::Code,
        purpose: None,
    }
}

/// A mail from Acme that says this, received a second after the requests were made.
pub(crate) fn mail(text: &str) -> Message {
    Message {
        channel: Channel::Email,
        sender: Sender::Address("no-reply@acme.example".parse().unwrap()),
        check: SenderCheck::Unverified,
        source: "smtp",
        received_at: at(1),
        id: None,
        text: Text::plain(text),
    }
}

fn heading(number: u8, signer: &KeyId) -> Heading {
    let agent: MemberId = format!("agent-{number}").parse().unwrap();
    Heading {
        owner: OwnerId::of(&KeyId::of(&[9; 32])),
        agent,
        request: RequestId::new(at(0), [number; 10]),
        signer: signer.clone(),
        roster: RosterRef { number: 1, digest: Digest::of(&[b"roster"]) },
        made_at: at(0),
        checkpoint: None,
    }
}

/// The key of the request with this number.
pub(crate) fn key(number: u8) -> RequestKey {
    requested(number).key
}

/// A little later.
pub(crate) const MS: Duration = Duration::from_millis(1);
