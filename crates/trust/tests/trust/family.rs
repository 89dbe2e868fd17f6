//! One owner with a member of every kind, whose keys come from fixed seeds, and what they say to each other.

use std::time::Duration;

use agent_otp_domain::{
    Channel, Channels, Digest, Filter, MemberId, OwnerId, RequestId, Role, SignedStatement, Timestamp,
    Wanted, pre_authentication_encoding,
};
use agent_otp_trust::{
    Book, Cancel, Capture, Consume, Decision, Evidence, Heading, IdentityKey, Member, Newer, Nonce,
    PublicKey, Recipient, Request, Roster, RosterRef, SenderCheck, Verdict,
};
use ed25519_dalek::{Signer as _, SigningKey};

pub(crate) const OWNER: u8 = 1;
pub(crate) const AGENT: u8 = 2;
pub(crate) const OTHER_AGENT: u8 = 3;
pub(crate) const APPROVER: u8 = 4;
pub(crate) const CAPTURER: u8 = 5;
pub(crate) const STRANGER: u8 = 9;

/// Asserts a refusal, and shows what came if it is another.
macro_rules! refused {
    ($result:expr, $refusal:pat $(if $guard:expr)?) => {
        let result = $result;
        assert!(matches!(result, Err($refusal) $(if $guard)?), "{result:?}");
    };
}
pub(crate) use refused;

/// The identity key of a seed of 32 equal bytes.
pub(crate) fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&[seed; 32].into())
}

/// Seconds after the moment at which everything begins: 2026-01-31T12:00:00Z.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_769_860_800_000).after(Duration::from_secs(seconds))
}

pub(crate) fn name(text: &str) -> MemberId {
    text.parse().unwrap()
}

pub(crate) fn member(role: Role, text: &str, seed: u8) -> Member {
    Member::new(role, name(text), key(seed).public())
}

/// The public key of a seed; strangers have one too.
pub(crate) fn public(seed: u8) -> PublicKey {
    key(seed).public()
}

/// Signs bytes as they are, in whatever form: [`IdentityKey`] writes the canonical one alone.
pub(crate) fn sign_bytes(seed: u8, payload_type: &str, payload: Vec<u8>) -> SignedStatement {
    let signature =
        SigningKey::from_bytes(&[seed; 32]).sign(&pre_authentication_encoding(payload_type, &payload));
    SignedStatement {
        payload_type: payload_type.to_owned(),
        payload,
        key: key(seed).id(),
        signature: signature.to_bytes(),
    }
}

pub(crate) fn filter(sender: &str) -> Filter {
    Filter {
        channels: Channels::Email,
        sender: sender.parse().unwrap(),
        content: None,
        shape: "digits:6".parse().ok(),
        wanted: Wanted::Code,
        purpose: None,
    }
}

/// The family's first roster.
pub(crate) fn first_roster() -> Roster {
    let members = vec![
        member(Role::Agent, "shopper", AGENT),
        member(Role::Agent, "booker", OTHER_AGENT),
        member(Role::Approver, "phone", APPROVER),
        member(Role::Capturer, "home", CAPTURER),
    ];
    Roster::first(&key(OWNER), members, at(0))
}

/// Everyone's view of the family: a book, and the roster that statements go by.
pub(crate) struct Family {
    pub(crate) book: Book,
    pub(crate) roster: RosterRef,
}

impl Family {
    pub(crate) fn new() -> Self {
        Self::with(&first_roster())
    }

    pub(crate) fn with(roster: &Roster) -> Self {
        let mut book = Book::new(key(OWNER).id(), None);
        let roster = book.admit_latest(&key(OWNER).sign_roster(roster)).unwrap();
        Self { book, roster }
    }

    /// Takes the roster that follows the family's own, with a change; statements go by the old one still.
    pub(crate) fn succeed(&mut self, change: impl FnOnce(&mut Roster)) {
        let latest = self.book.latest().unwrap();
        let mut next = latest.renewed(self.roster.digest, at(0));
        change(&mut next);
        self.book.admit_latest(&key(OWNER).sign_roster(&next)).unwrap();
    }

    pub(crate) fn heading(&self, signer: u8) -> Heading {
        Heading {
            owner: OwnerId::of(&key(OWNER).id()),
            agent: name("shopper"),
            request: RequestId::new(at(0), [7; 10]),
            signer: key(signer).id(),
            roster: self.roster,
            made_at: at(0),
            checkpoint: None,
        }
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            heading: self.heading(AGENT),
            reason: "sign in to GitHub".parse().unwrap(),
            filter: filter("github.com"),
            recipient: Recipient { suite: 1, public_key: vec![8; 32] },
            expires_at: at(300),
        }
    }

    pub(crate) fn approval(&self, request: Digest) -> Decision {
        Decision {
            heading: self.heading(APPROVER),
            request,
            verdict: Verdict::Approve { capturers: vec![key(CAPTURER).id()], narrowing: None },
            nonce: Nonce::new([6; 16]),
            expires_at: at(300),
        }
    }

    pub(crate) fn denial(&self, request: Digest) -> Decision {
        Decision { verdict: Verdict::Deny {}, ..self.approval(request) }
    }

    pub(crate) fn capture(&self, request: Digest, decision: Digest) -> Capture {
        Capture {
            heading: self.heading(CAPTURER),
            request,
            decision,
            sealed: Digest::of(&[b"a sealed code"]),
            evidence: Evidence {
                channel: Channel::Email,
                source: "smtp".to_owned(),
                sender: SenderCheck::Unverified,
                received_at: at(20),
                purpose: None,
            },
        }
    }

    pub(crate) fn consume(&self, capture: Digest) -> Consume {
        Consume { heading: self.heading(AGENT), capture, claim: Nonce::new([5; 16]).digest() }
    }

    pub(crate) fn cancel(&self, request: Digest) -> Cancel {
        Cancel { heading: self.heading(AGENT), request }
    }

    pub(crate) fn newer(&self, request: Digest) -> Newer {
        Newer { heading: self.heading(CAPTURER), request }
    }
}

/// One signed statement of each kind, about one request.
pub(crate) struct Said {
    pub(crate) expires_at: Timestamp,
    pub(crate) request: SignedStatement,
    pub(crate) approval: SignedStatement,
    pub(crate) denial: SignedStatement,
    pub(crate) capture: SignedStatement,
    pub(crate) consume: SignedStatement,
    pub(crate) cancel: SignedStatement,
    pub(crate) newer: SignedStatement,
}

impl Said {
    pub(crate) fn by(family: &Family) -> Self {
        Self::about(family, &family.request())
    }

    pub(crate) fn about(family: &Family, request: &Request) -> Self {
        let expires_at = request.expires_at;
        let request = key(AGENT).sign(request);
        let approval = Decision { expires_at, ..family.approval(request.digest()) };
        let approval = key(APPROVER).sign(&approval);
        let capture = key(CAPTURER).sign(&family.capture(request.digest(), approval.digest()));
        Self {
            expires_at,
            denial: key(APPROVER).sign(&family.denial(request.digest())),
            consume: key(AGENT).sign(&family.consume(capture.digest())),
            cancel: key(AGENT).sign(&family.cancel(request.digest())),
            newer: key(CAPTURER).sign(&family.newer(request.digest())),
            request,
            approval,
            capture,
        }
    }
}
