//! Everything that an owner's members say about one request, signed.

use std::time::Duration;

use agent_otp_domain::{
    Channel, Channels, Digest, Filter, RequestKey, SealedCode, SignedStatement, Timestamp, Wanted,
};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{Ask, Sealed};
use agent_otp_trust::{
    Cancel, Capture, Consume, Decision, Evidence, Heading, Nonce, Recipient, Request, RosterRef, SenderCheck,
    Statement, Verdict,
};

use crate::home::{HOME, PHONE, SHOPPER, key, name, owner};

/// A request of `shopper`, with one statement of each kind about it.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) key: RequestKey,
    pub(crate) roster: RosterRef,
    pub(crate) made_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) request: SignedStatement,
    pub(crate) approval: SignedStatement,
    pub(crate) denial: SignedStatement,
    pub(crate) capture: SignedStatement,
    pub(crate) cancel: SignedStatement,
    /// The relay reads nothing of it, so any bytes will do.
    pub(crate) sealed: SealedCode,
    pub(crate) nonce: [u8; 16],
}

impl Said {
    pub(crate) fn new(roster: RosterRef, ttl: Duration) -> Self {
        let key = RequestKey { owner: owner(), agent: name("shopper"), request: clock::request_id() };
        Self::about(key, roster, clock::now(), ttl)
    }

    pub(crate) fn about(key: RequestKey, roster: RosterRef, made_at: Timestamp, ttl: Duration) -> Self {
        let blank = SignedStatement {
            payload_type: String::new(),
            payload: Vec::new(),
            key: self::key(SHOPPER).id(),
            signature: [0; 64],
        };
        let sealed = SealedCode::new(clock::random::<304>().to_vec());
        let mut said = Self {
            expires_at: made_at.after(ttl),
            request: blank.clone(),
            approval: blank.clone(),
            denial: blank.clone(),
            capture: blank.clone(),
            cancel: blank,
            nonce: clock::random(),
            key,
            roster,
            made_at,
            sealed,
        };
        said.request = sign(SHOPPER, &said.a_request());
        said.approval = sign(PHONE, &said.an_approval());
        said.denial = sign(PHONE, &Decision { verdict: Verdict::Deny {}, ..said.an_approval() });
        said.capture = sign(HOME, &said.a_capture());
        said.cancel =
            sign(SHOPPER, &Cancel { heading: said.heading(SHOPPER), request: said.request.digest() });
        said
    }

    pub(crate) fn heading(&self, signer: u8) -> Heading {
        Heading {
            owner: self.key.owner.clone(),
            agent: self.key.agent.clone(),
            request: self.key.request,
            signer: key(signer).id(),
            roster: self.roster,
            made_at: self.made_at,
            checkpoint: None,
        }
    }

    pub(crate) fn a_request(&self) -> Request {
        Request {
            heading: self.heading(SHOPPER),
            reason: "sign in to GitHub".parse().unwrap(),
            filter: Filter {
                channels: Channels::Email,
                sender: "github.com".parse().unwrap(),
                content: None,
                shape: "digits:6".parse().ok(),
                wanted: Wanted::Code,
                purpose: None,
            },
            recipient: Recipient { suite: 1, public_key: vec![8; 32] },
            expires_at: self.expires_at,
        }
    }

    pub(crate) fn an_approval(&self) -> Decision {
        Decision {
            heading: self.heading(PHONE),
            request: self.request.digest(),
            verdict: Verdict::Approve { capturers: vec![key(HOME).id()], narrowing: None },
            nonce: Nonce::new([6; 16]),
            expires_at: self.expires_at,
        }
    }

    pub(crate) fn a_capture(&self) -> Capture {
        Capture {
            heading: self.heading(HOME),
            request: self.request.digest(),
            decision: self.approval.digest(),
            sealed: self.digest(),
            evidence: Evidence {
                channel: Channel::Email,
                source: "smtp".to_owned(),
                sender: SenderCheck::Unverified,
                received_at: self.made_at,
                purpose: None,
            },
        }
    }

    pub(crate) fn a_consume(&self, nonce: [u8; 16]) -> Consume {
        Consume {
            heading: self.heading(SHOPPER),
            capture: self.capture.digest(),
            claim: Nonce::new(nonce).digest(),
        }
    }

    /// SHA-256 of the sealed code.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&[self.sealed.as_bytes()])
    }

    pub(crate) fn request(&self) -> Ask {
        Ask::Request { statement: self.request.clone() }
    }

    pub(crate) fn approve(&self) -> Ask {
        Ask::Approve { statement: self.approval.clone() }
    }

    pub(crate) fn deny(&self) -> Ask {
        Ask::Deny { statement: self.denial.clone() }
    }

    pub(crate) fn capture(&self) -> Ask {
        Ask::Capture { statement: self.capture.clone(), sealed: Sealed(self.sealed.clone()) }
    }

    pub(crate) fn consume(&self) -> Ask {
        self.consume_with(self.nonce)
    }

    /// A claim with a nonce of its own.
    pub(crate) fn consume_with(&self, nonce: [u8; 16]) -> Ask {
        Ask::Consume { statement: sign(SHOPPER, &self.a_consume(nonce)), nonce }
    }

    pub(crate) fn cancel(&self) -> Ask {
        Ask::Cancel { statement: self.cancel.clone() }
    }

    pub(crate) fn get(&self) -> Ask {
        Ask::Get { agent: self.key.agent.clone(), request: self.key.request }
    }
}

pub(crate) fn sign<S: Statement>(seed: u8, statement: &S) -> SignedStatement {
    key(seed).sign(statement)
}
