//! A request as its statements prove it: each verified, and each bound to the one before.

use agent_otp_domain::{
    Actor, Digest, Event, EventType, KeyId, Recorded, RequestKey, SignedStatement, Timestamp,
};

use crate::{Book, Cancel, Capture, Consume, Decision, Request, Statement, Untrusted, Verdict};

/// What the events of one request say, as far as their statements prove it.
#[derive(Debug, Clone)]
pub struct VerifiedRequest {
    /// Which request.
    pub key: RequestKey,
    /// The request statement's digest.
    pub digest: Digest,
    /// What the agent asked.
    pub request: Request,
    /// The approval, with its digest.
    pub approval: Option<(Digest, Decision)>,
    /// The capture, with its digest.
    pub capture: Option<(Digest, Capture)>,
    /// SHA-256 of the nonce that the code was claimed with.
    pub claim: Option<Digest>,
    /// How it ended. Only `expired` rests on the relay's word, and on the reader's clock.
    pub end: Option<EventType>,
    /// The last event's version.
    pub version: u64,
    /// When the last event was recorded, by the relay's clock.
    pub changed_at: Timestamp,
}

impl VerifiedRequest {
    /// Verifies a request's events from the first on.
    ///
    /// # Errors
    ///
    /// [`Untrusted`] at the first event that is not believed; `RosterUnknown` and `UnknownKey` may mean only that
    /// `book` lacks a roster.
    pub fn verify(events: &[Recorded], book: &Book) -> Result<Self, Untrusted> {
        let (first, rest) = events.split_first().ok_or(Untrusted::History { version: 0 })?;
        rest.iter().try_fold(Self::begin(first, book)?, |verified, recorded| verified.then(recorded, book))
    }

    fn begin(recorded: &Recorded, book: &Book) -> Result<Self, Untrusted> {
        let Event::Requested { statement, expires_at } = &recorded.event else {
            return Err(out_of_order(recorded));
        };
        if recorded.version.0 != 1 {
            return Err(out_of_order(recorded));
        }
        let request = Request::verify(statement, book)?;
        agrees(request.expires_at == *expires_at)?;
        let key = request.heading.key();
        if key != recorded.key() {
            return Err(Untrusted::Elsewhere { what: "request" });
        }
        is_said_by(recorded, &request, book)?;
        Ok(Self {
            key,
            digest: statement.digest(),
            request,
            approval: None,
            capture: None,
            claim: None,
            end: None,
            version: 1,
            changed_at: recorded.time,
        })
    }

    /// Verifies the event that comes next.
    ///
    /// # Errors
    ///
    /// [`Untrusted`] if it is not believed.
    pub fn then(mut self, recorded: &Recorded, book: &Book) -> Result<Self, Untrusted> {
        if recorded.key() != self.key {
            return Err(Untrusted::Elsewhere { what: "request" });
        }
        if recorded.version.0 != self.version.saturating_add(1) || self.end.is_some() {
            return Err(out_of_order(recorded));
        }
        match &recorded.event {
            Event::Requested { .. } => return Err(out_of_order(recorded)),
            Event::Approved { statement, expires_at, capturers } => {
                self.approval = Some(self.approved(statement, (*expires_at, capturers), recorded, book)?);
            }
            Event::Captured { statement, sealed } => {
                self.capture = Some(self.captured(statement, sealed, recorded, book)?);
            }
            Event::Consumed { statement, claim } => {
                self.claim = Some(self.consumed(statement, claim, recorded, book)?);
                self.end = Some(EventType::Consumed);
            }
            Event::Denied { statement } => {
                let decision = self.decision(statement, recorded, book)?;
                agrees(decision.verdict == (Verdict::Deny {}))?;
                self.end = Some(EventType::Denied);
            }
            Event::Expired => {
                agrees(recorded.actor == Actor::relay() && recorded.time >= self.request.expires_at)?;
                self.end = Some(EventType::Expired);
            }
            Event::Cancelled { statement } => {
                self.cancelled(statement, recorded, book)?;
                self.end = Some(EventType::Cancelled);
            }
        }
        self.version = recorded.version.0;
        self.changed_at = recorded.time;
        Ok(self)
    }

    /// Checks that everyone whose word this rests on still stands in the highest roster ever seen, unrevoked: for
    /// those who act on it. A revoked key can sign with an earlier date, and [`Self::verify`] reads dates.
    ///
    /// # Errors
    ///
    /// [`Untrusted::Revoked`], [`Untrusted::NotAMember`], or [`Untrusted::RosterUnknown`] if `book` lacks that roster.
    pub fn signers_stand(&self, book: &Book) -> Result<(), Untrusted> {
        book.still_names(&self.request.heading.signer, Request::ROLE)?;
        if let Some((_, decision)) = &self.approval {
            book.still_names(&decision.heading.signer, Decision::ROLE)?;
        }
        if let Some((_, capture)) = &self.capture {
            book.still_names(&capture.heading.signer, Capture::ROLE)?;
        }
        Ok(())
    }

    /// Whether the request was made, approved or captured with this key.
    #[must_use]
    pub fn rests_on(&self, key: &KeyId) -> bool {
        let approval = self.approval.as_ref().map(|(_, decision)| &decision.heading.signer);
        let capture = self.capture.as_ref().map(|(_, capture)| &capture.heading.signer);
        [Some(&self.request.heading.signer), approval, capture].contains(&Some(key))
    }

    /// Whether this cannot be what became of `known`: who serves both lies about one. What is older than `known` can be, if
    /// it comes from a store that is behind.
    #[must_use]
    pub fn contradicts(&self, known: &Self) -> bool {
        let continues = self.digest == known.digest
            && holds(self.approval.as_ref(), known.approval.as_ref())
            && holds(self.capture.as_ref(), known.capture.as_ref())
            && (known.end.is_none()
                || (self.end, self.claim, self.version) == (known.end, known.claim, known.version));
        self.version >= known.version && !continues
    }

    /// The approval's digest and content, and the capturers that it names.
    #[must_use]
    pub fn approval(&self) -> Option<(Digest, &Decision, &[KeyId])> {
        let (digest, decision) = self.approval.as_ref()?;
        match &decision.verdict {
            Verdict::Approve { capturers, .. } => Some((*digest, decision, capturers)),
            Verdict::Deny {} => None,
        }
    }

    fn approved(
        &self,
        statement: &SignedStatement,
        (expires_at, capturers): (Timestamp, &[KeyId]),
        recorded: &Recorded,
        book: &Book,
    ) -> Result<(Digest, Decision), Untrusted> {
        if self.approval.is_some() {
            return Err(out_of_order(recorded));
        }
        let decision = self.decision(statement, recorded, book)?;
        let Verdict::Approve { capturers: named, .. } = &decision.verdict else {
            return Err(Untrusted::EventDiffers);
        };
        agrees(named == capturers && decision.expires_at == expires_at)?;
        Ok((statement.digest(), decision))
    }

    fn captured(
        &self,
        statement: &SignedStatement,
        sealed: &Digest,
        recorded: &Recorded,
        book: &Book,
    ) -> Result<(Digest, Capture), Untrusted> {
        if self.capture.is_some() {
            return Err(out_of_order(recorded));
        }
        let capture = self.bind_capture(Capture::verify(statement, book)?)?;
        agrees(capture.sealed == *sealed)?;
        is_said_by(recorded, &capture, book)?;
        Ok((statement.digest(), capture))
    }

    fn consumed(
        &self,
        statement: &SignedStatement,
        claim: &Digest,
        recorded: &Recorded,
        book: &Book,
    ) -> Result<Digest, Untrusted> {
        let consume = self.bind_consume(Consume::verify(statement, book)?)?;
        agrees(consume.claim == *claim)?;
        is_said_by(recorded, &consume, book)?;
        Ok(consume.claim)
    }

    fn cancelled(
        &self,
        statement: &SignedStatement,
        recorded: &Recorded,
        book: &Book,
    ) -> Result<(), Untrusted> {
        let cancel = Cancel::verify(statement, book)?;
        if cancel.request != self.digest || cancel.heading.signer != self.request.heading.signer {
            return Err(Untrusted::Unbound { what: EventType::Requested });
        }
        self.is_about(&cancel.heading.key())?;
        is_said_by(recorded, &cancel, book)
    }

    fn decision(
        &self,
        statement: &SignedStatement,
        recorded: &Recorded,
        book: &Book,
    ) -> Result<Decision, Untrusted> {
        let decision = Decision::verify(statement, book)?;
        decision.binds(self.digest, &self.request)?;
        is_said_by(recorded, &decision, book)?;
        Ok(decision)
    }

    fn bind_capture(&self, capture: Capture) -> Result<Capture, Untrusted> {
        let Some((digest, approval)) = &self.approval else {
            return Err(Untrusted::Unbound { what: EventType::Approved });
        };
        capture.binds((*digest, approval), (self.digest, &self.request))?;
        Ok(capture)
    }

    fn bind_consume(&self, consume: Consume) -> Result<Consume, Untrusted> {
        self.is_about(&consume.heading.key())?;
        let captured = self.capture.as_ref().is_some_and(|(digest, _)| *digest == consume.capture);
        if captured && consume.heading.signer == self.request.heading.signer {
            Ok(consume)
        } else {
            Err(Untrusted::Unbound { what: EventType::Captured })
        }
    }

    fn is_about(&self, key: &RequestKey) -> Result<(), Untrusted> {
        if *key == self.key { Ok(()) } else { Err(Untrusted::Elsewhere { what: "request" }) }
    }
}

/// The event cannot follow what was before it.
fn out_of_order(recorded: &Recorded) -> Untrusted {
    Untrusted::History { version: recorded.version.0 }
}

/// What the relay wrote into an event has to be what the statement in it says.
fn agrees(holds: bool) -> Result<(), Untrusted> {
    if holds { Ok(()) } else { Err(Untrusted::EventDiffers) }
}

/// Whether what is told now holds the very statement that was told before, if there was one.
fn holds<S>(told: Option<&(Digest, S)>, before: Option<&(Digest, S)>) -> bool {
    before.is_none_or(|(before, _)| told.is_some_and(|(told, _)| told == before))
}

/// The envelope's actor is the relay's word: it must be the member that signed the statement.
fn is_said_by<S: Statement>(recorded: &Recorded, statement: &S, book: &Book) -> Result<(), Untrusted> {
    let heading = statement.heading();
    let signer = book.roster(&heading.roster).and_then(|roster| roster.member(&heading.signer));
    let said = signer
        .is_some_and(|member| member.role == recorded.actor.role && member.name == recorded.actor.member);
    agrees(said)
}
