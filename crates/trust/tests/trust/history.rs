//! Whole histories, as a dishonest relay might tell them.

use std::time::Duration;

use agent_otp_domain::{
    Actor, Channel, Channels, Digest, Event, EventId,
    EventType::{self, Approved, Cancelled, Captured, Consumed, Denied, Expired, Requested},
    Filter, OwnerId, Recorded, RequestId, Role, State, Timestamp, Version,
};
use agent_otp_trust::{
    Cancel, Capture, Consume, Decision, Heading, Nonce, Request, Revocation, Untrusted, Verdict,
    VerifiedRequest,
};

use crate::family::{
    AGENT, APPROVER, CAPTURER, Family, OTHER_AGENT, OWNER, STRANGER, Said, at, filter, first_roster, key,
    member, name, refused,
};

/// Every history that the rules allow.
const LEGAL: [&[EventType]; 13] = [
    &[Requested],
    &[Requested, Approved],
    &[Requested, Approved, Captured],
    &[Requested, Approved, Captured, Consumed],
    &[Requested, Denied],
    &[Requested, Expired],
    &[Requested, Cancelled],
    &[Requested, Approved, Denied],
    &[Requested, Approved, Expired],
    &[Requested, Approved, Cancelled],
    &[Requested, Approved, Captured, Denied],
    &[Requested, Approved, Captured, Expired],
    &[Requested, Approved, Captured, Cancelled],
];

#[test]
fn every_legal_history_verifies() {
    let family = Family::new();
    let said = Said::by(&family);
    for kinds in LEGAL {
        let history = said.history(kinds);
        let verified = VerifiedRequest::verify(&history, &family.book).unwrap();
        let last = history.last().unwrap();
        let end = EventType::ENDS.into_iter().find(|end| *end == last.event.kind());
        assert_eq!((verified.version, verified.end), (last.version.0, end), "{kinds:?}");
        assert_eq!(verified.changed_at, last.time);
        assert_eq!(verified.digest, said.request.digest());
        let state = State::replay(history.iter().map(|recorded| &recorded.event));
        assert_eq!(state.phase(), Some(last.event.kind()), "{kinds:?}");
        assert!(verified.signers_stand(&family.book).is_ok());
    }
}

/// All sequences of up to five of the seven events, each of which is genuine by itself, numbered from 1.
#[test]
fn no_other_order_of_genuine_events_verifies() {
    let family = Family::new();
    let said = Said::by(&family);
    let mut sequences: Vec<Vec<EventType>> = vec![vec![]];
    for _ in 0..5 {
        sequences = sequences
            .iter()
            .flat_map(|kinds| EventType::ALL.map(|kind| [kinds.as_slice(), &[kind]].concat()))
            .collect();
        for kinds in &sequences {
            let verified = VerifiedRequest::verify(&said.history(kinds), &family.book);
            assert_eq!(verified.is_ok(), LEGAL.contains(&kinds.as_slice()), "{kinds:?}");
        }
    }
    refused!(VerifiedRequest::verify(&[], &family.book), Untrusted::History { version: 0 });
}

#[test]
fn a_history_verifies_event_by_event_as_it_does_at_once() {
    let family = Family::new();
    let history = Said::by(&family).whole();
    let (first, rest) = history.split_at(1);
    let mut verified = VerifiedRequest::verify(first, &family.book).unwrap();
    for recorded in rest {
        verified = verified.then(recorded, &family.book).unwrap();
    }
    assert_eq!(verified.end, Some(Consumed));
}

#[test]
fn an_event_that_is_dropped_doubled_or_moved_is_missed() {
    let family = Family::new();
    let whole = Said::by(&family).whole();
    let verify = |order: &[usize]| {
        let history: Vec<_> = order.iter().map(|index| whole[*index].clone()).collect();
        VerifiedRequest::verify(&history, &family.book)
    };
    assert!(verify(&[0, 1, 2, 3]).is_ok());
    for (order, version) in [
        (&[1, 2, 3][..], 2),
        (&[0, 2, 3], 3),
        (&[0, 1, 3], 4),
        (&[0, 0, 1, 2, 3], 1),
        (&[0, 1, 1, 2, 3], 2),
        (&[0, 1, 2, 3, 3], 4),
        (&[1, 0, 2, 3], 2),
        (&[0, 2, 1, 3], 3),
    ] {
        refused!(verify(order), Untrusted::History { version: found } if found == version);
    }
    let mut renumbered = whole.clone();
    for recorded in &mut renumbered {
        recorded.version = recorded.version.next();
    }
    refused!(VerifiedRequest::verify(&renumbered, &family.book), Untrusted::History { version: 2 });
}

#[test]
fn an_event_of_another_request_does_not_pass_for_one_of_this() {
    let family = Family::new();
    let whole = Said::by(&family).whole();
    for index in 0..whole.len() {
        let mut relabelled = whole.clone();
        relabelled[index].request = RequestId::new(at(0), [8; 10]);
        refused!(
            VerifiedRequest::verify(&relabelled, &family.book),
            Untrusted::Elsewhere { what: "request" }
        );
        let mut relabelled = whole.clone();
        relabelled[index].agent = name("booker");
        refused!(VerifiedRequest::verify(&relabelled, &family.book), Untrusted::Elsewhere { .. });
        let mut relabelled = whole.clone();
        relabelled[index].owner = OwnerId::of(&key(STRANGER).id());
        refused!(VerifiedRequest::verify(&relabelled, &family.book), Untrusted::Elsewhere { .. });
    }
}

#[test]
fn a_statement_from_another_request_of_the_same_agent_is_refused_under_this_requests_name() {
    let family = Family::new();
    let said = Said::by(&family);
    let other = Said::about(&family, &Request { expires_at: at(200), ..family.request() });
    for kinds in LEGAL.into_iter().filter(|kinds| kinds.len() > 1 && !kinds.ends_with(&[Expired])) {
        let mut history = said.history(kinds);
        let last = history.len() - 1;
        history[last] = other.history(kinds).remove(last);
        refused!(VerifiedRequest::verify(&history, &family.book), Untrusted::Unbound { .. });
    }
}

#[test]
fn an_event_says_what_its_statement_says() {
    let family = Family::new();
    let said = Said::by(&family);
    let differing = [
        Event::Requested { statement: said.request.clone(), expires_at: at(301) },
        Event::Approved {
            statement: said.approval.clone(),
            expires_at: at(299),
            capturers: vec![key(CAPTURER).id()],
        },
        Event::Approved { statement: said.approval.clone(), expires_at: at(300), capturers: Vec::new() },
        Event::Approved {
            statement: said.denial.clone(),
            expires_at: at(300),
            capturers: vec![key(CAPTURER).id()],
        },
        Event::Captured { statement: said.capture.clone(), sealed: Digest::of(&[b"another code"]) },
        Event::Consumed { statement: said.consume.clone(), claim: Digest::of(&[b"another nonce"]) },
        Event::Denied { statement: said.approval.clone() },
    ];
    for event in differing {
        refused!(said.then(&family, event), Untrusted::EventDiffers);
    }
}

#[test]
fn an_event_names_the_member_that_signed_its_statement() {
    let family = Family::new();
    let said = Said::by(&family);
    for kinds in LEGAL {
        let history = said.history(kinds);
        let actors = [Role::Relay, Role::Agent, Role::Approver, Role::Capturer]
            .into_iter()
            .flat_map(|role| ["relay", "shopper", "booker", "phone", "home"].map(|text| (role, name(text))))
            .map(|(role, member)| Actor { role, member });
        let last = history.len() - 1;
        for actor in actors.filter(|actor| *actor != history[last].actor) {
            let mut renamed = history.clone();
            renamed[last].actor = actor;
            refused!(VerifiedRequest::verify(&renamed, &family.book), Untrusted::EventDiffers);
        }
    }
}

#[test]
fn a_capture_is_made_by_a_capturer_that_the_decision_names() {
    let mut roster = first_roster();
    roster.members.push(member(Role::Capturer, "office", STRANGER));
    let family = Family::with(&roster);
    let said = Said::by(&family);
    let capture = Capture {
        heading: family.heading(STRANGER),
        ..family.capture(said.request.digest(), said.approval.digest())
    };
    refused!(said.then_captured(&family, STRANGER, &capture), Untrusted::Unbound { what: Approved });
}

#[test]
fn a_capture_acts_on_the_approval_that_stands() {
    let family = Family::new();
    let said = Said::by(&family);
    let elsewhere = Heading { request: RequestId::new(at(0), [8; 10]), ..family.heading(CAPTURER) };
    let capture = || family.capture(said.request.digest(), said.approval.digest());
    let captures = [
        Capture { decision: Digest::of(&[b"another decision"]), ..capture() },
        Capture { decision: said.denial.digest(), ..capture() },
        Capture { request: Digest::of(&[b"another request"]), ..capture() },
        Capture { heading: elsewhere, ..capture() },
    ];
    for capture in captures {
        refused!(said.then_captured(&family, CAPTURER, &capture), Untrusted::Unbound { what: Approved });
    }
}

#[test]
fn a_captured_message_came_as_and_when_the_request_allows() {
    let family = Family::new();
    let said = Said::by(&family);
    let captured = |channel, received_at| {
        let mut capture = family.capture(said.request.digest(), said.approval.digest());
        capture.evidence.channel = channel;
        capture.evidence.received_at = received_at;
        said.then_captured(&family, CAPTURER, &capture)
    };
    let (earliest, end) = (at(0).before(Duration::from_mins(1)), at(300));
    let a_moment = Duration::from_millis(1);
    assert!(captured(Channel::Email, earliest).is_ok());
    assert!(captured(Channel::Email, end.before(a_moment)).is_ok());
    refused!(captured(Channel::Email, earliest.before(a_moment)), Untrusted::Malformed { .. });
    refused!(captured(Channel::Email, end), Untrusted::Malformed { .. });
    refused!(captured(Channel::Sms, at(20)), Untrusted::Malformed { .. });
    assert!(captured(Channel::Pasted, at(20)).is_ok(), "the user may answer by hand whatever was asked for");
    refused!(captured(Channel::Pasted, end), Untrusted::Malformed { .. });
}

#[test]
fn a_message_that_came_after_the_approval_lapsed_was_not_captured_by_it() {
    let family = Family::new();
    let (request, said) = (family.request(), Said::by(&family));
    let asked = said.request.digest();
    let decision = Decision { expires_at: at(60), ..family.approval(asked) };
    let decided = key(APPROVER).sign(&decision).digest();
    let came = |received_at| {
        let mut capture = family.capture(asked, decided);
        capture.evidence.received_at = received_at;
        capture.binds((decided, &decision), (asked, &request))
    };
    assert!(came(at(60).before(Duration::from_millis(1))).is_ok());
    refused!(came(at(60)), Untrusted::Malformed { .. });
}

#[test]
fn what_is_told_later_contradicts_what_was_told_before_unless_it_goes_on_from_there() {
    let family = Family::new();
    let said = Said::by(&family);
    let verified = |said: &Said, kinds: &[EventType]| {
        VerifiedRequest::verify(&said.history(kinds), &family.book).unwrap()
    };
    let mut other = Said::by(&family);
    let sealed = Digest::of(&[b"another sealed code"]);
    let capture = Capture { sealed, ..family.capture(said.request.digest(), said.approval.digest()) };
    other.capture = key(CAPTURER).sign(&capture);
    let captured = |said: &Said, sealed: Digest| {
        let event = Event::Captured { statement: said.capture.clone(), sealed };
        verified(said, &[Requested, Approved]).then(&recorded(3, event), &family.book).unwrap()
    };
    let claimed = |nonce| {
        let consume = Consume { claim: Nonce::new(nonce).digest(), ..family.consume(said.capture.digest()) };
        let event = Event::Consumed { statement: key(AGENT).sign(&consume), claim: consume.claim };
        let captured = verified(&said, &[Requested, Approved, Captured]);
        captured.then(&recorded(4, event), &family.book).unwrap()
    };
    for (index, earlier) in LEGAL.iter().enumerate() {
        for later in &LEGAL[index..] {
            let contradicts = verified(&said, later).contradicts(&verified(&said, earlier));
            assert_eq!(
                contradicts,
                later.len() >= earlier.len() && !later.starts_with(earlier),
                "{earlier:?} {later:?}"
            );
        }
    }
    let whole = captured(&other, sealed);
    assert!(whole.contradicts(&verified(&said, &[Requested, Approved, Captured])), "another capture");
    assert!(!whole.contradicts(&verified(&said, &[Requested, Approved])));
    assert!(claimed([1; 16]).contradicts(&claimed([2; 16])), "another claim");
}

#[test]
fn a_captured_message_keeps_to_the_users_narrowing_too() {
    let family = Family::new();
    let request =
        Request { filter: Filter { channels: Channels::Any, ..filter("GitHub") }, ..family.request() };
    let signed = key(AGENT).sign(&request);
    let narrowing = Some(Filter { channels: Channels::Sms, ..filter("GitHub") });
    let verdict = Verdict::Approve { capturers: vec![key(CAPTURER).id()], narrowing };
    let decision = Decision { verdict, ..family.approval(signed.digest()) };
    let digest = key(APPROVER).sign(&decision).digest();
    let mut capture = family.capture(signed.digest(), digest);
    let binds = |capture: &Capture| capture.binds((digest, &decision), (signed.digest(), &request));
    refused!(binds(&capture), Untrusted::Malformed { .. });
    capture.evidence.channel = Channel::Sms;
    assert!(binds(&capture).is_ok());
}

#[test]
fn another_agent_neither_consumes_nor_cancels() {
    let family = Family::new();
    let said = Said::by(&family);
    let other = key(OTHER_AGENT);
    // Under its own name it speaks of another request; under this one's it is not believed.
    for (agent, is_refused) in [("booker", "request"), ("shopper", "agent")] {
        let heading = Heading { agent: name(agent), ..family.heading(OTHER_AGENT) };
        let consume = Consume { heading: heading.clone(), ..family.consume(said.capture.digest()) };
        let event = Event::Consumed { statement: other.sign(&consume), claim: consume.claim };
        refused!(said.then(&family, event), Untrusted::Elsewhere { what } if what == is_refused);
        let cancel = Cancel { heading, ..family.cancel(said.request.digest()) };
        let refusal = said.then(&family, Event::Cancelled { statement: other.sign(&cancel) });
        assert!(refusal.is_err(), "{refusal:?}");
    }
}

#[test]
fn another_key_of_the_same_agent_neither_consumes_nor_cancels_what_the_first_asked_for() {
    let mut family = Family::new();
    let said = Said::by(&family);
    family.succeed(|roster| {
        roster.members.retain(|member| member.role != Role::Agent);
        roster.members.push(member(Role::Agent, "shopper", STRANGER));
    });
    let (roster, _) = family.book.current(at(0)).unwrap();
    let heading = Heading { roster, ..family.heading(STRANGER) };
    let consume = Consume { heading: heading.clone(), ..family.consume(said.capture.digest()) };
    let event = Event::Consumed { statement: key(STRANGER).sign(&consume), claim: consume.claim };
    refused!(said.then(&family, event), Untrusted::Unbound { what: Captured });
    let cancel = Cancel { heading, ..family.cancel(said.request.digest()) };
    let event = Event::Cancelled { statement: key(STRANGER).sign(&cancel) };
    refused!(said.then(&family, event), Untrusted::Unbound { what: Requested });
}

#[test]
fn a_consumption_claims_the_capture_that_stands() {
    let family = Family::new();
    let said = Said::by(&family);
    let consume = family.consume(Digest::of(&[b"another capture"]));
    let event = Event::Consumed { statement: key(AGENT).sign(&consume), claim: consume.claim };
    refused!(said.then(&family, event), Untrusted::Unbound { what: Captured });
}

#[test]
fn a_cancellation_names_the_request_that_it_takes_back() {
    let family = Family::new();
    let said = Said::by(&family);
    let heading = Heading { request: RequestId::new(at(0), [8; 10]), ..family.heading(AGENT) };
    let cancel = Cancel { heading, ..family.cancel(said.request.digest()) };
    let event = Event::Cancelled { statement: key(AGENT).sign(&cancel) };
    refused!(said.then(&family, event), Untrusted::Elsewhere { what: "request" });
}

#[test]
fn a_request_does_not_expire_before_its_deadline() {
    let family = Family::new();
    let said = Said::by(&family);
    let expired = |time: Timestamp| {
        let mut history = said.history(&[Requested, Expired]);
        history[1].time = time;
        VerifiedRequest::verify(&history, &family.book)
    };
    assert!(expired(at(300)).is_ok());
    refused!(expired(at(300).before(Duration::from_millis(1))), Untrusted::EventDiffers);
}

#[test]
fn a_history_that_rests_on_a_revoked_key_is_true_and_not_acted_on() {
    for seed in [AGENT, APPROVER, CAPTURER] {
        let mut family = Family::new();
        let history = Said::by(&family).history(&[Requested, Approved, Captured]);
        family.succeed(|roster| roster.revoked = vec![Revocation { key: key(seed).id(), at: at(60) }]);
        let verified = VerifiedRequest::verify(&history, &family.book).unwrap();
        refused!(verified.signers_stand(&family.book), Untrusted::Revoked { .. });
    }
}

impl Said {
    /// The request's events up to the consumption.
    fn whole(&self) -> Vec<Recorded> {
        self.history(&[Requested, Approved, Captured, Consumed])
    }

    fn history(&self, kinds: &[EventType]) -> Vec<Recorded> {
        kinds.iter().zip(1..).map(|(kind, version)| recorded(version, self.event(*kind))).collect()
    }

    /// Verifies a history that ends with this event, at the earliest place where its kind may stand.
    fn then(&self, family: &Family, event: Event) -> Result<VerifiedRequest, Untrusted> {
        let before: &[EventType] = match event.kind() {
            Requested => &[],
            Approved | Denied | Expired | Cancelled => &[Requested],
            Captured => &[Requested, Approved],
            Consumed => &[Requested, Approved, Captured],
        };
        let mut history = self.history(before);
        history.push(recorded(before.len() + 1, event));
        VerifiedRequest::verify(&history, &family.book)
    }

    fn then_captured(
        &self,
        family: &Family,
        capturer: u8,
        capture: &Capture,
    ) -> Result<VerifiedRequest, Untrusted> {
        let statement = key(capturer).sign(capture);
        self.then(family, Event::Captured { statement, sealed: capture.sealed })
    }

    fn event(&self, kind: EventType) -> Event {
        match kind {
            Requested => Event::Requested { statement: self.request.clone(), expires_at: self.expires_at },
            Approved => Event::Approved {
                statement: self.approval.clone(),
                expires_at: self.expires_at,
                capturers: vec![key(CAPTURER).id()],
            },
            Captured => {
                Event::Captured { statement: self.capture.clone(), sealed: Digest::of(&[b"a sealed code"]) }
            }
            Consumed => {
                Event::Consumed { statement: self.consume.clone(), claim: Nonce::new([5; 16]).digest() }
            }
            Denied => Event::Denied { statement: self.denial.clone() },
            Expired => Event::Expired,
            Cancelled => Event::Cancelled { statement: self.cancel.clone() },
        }
    }
}

/// The event as an honest relay records it.
fn recorded(version: usize, event: Event) -> Recorded {
    let (role, member) = match event.kind() {
        Requested | Consumed | Cancelled => (Role::Agent, "shopper"),
        Approved | Denied => (Role::Approver, "phone"),
        Captured => (Role::Capturer, "home"),
        Expired => (Role::Relay, "relay"),
    };
    Recorded {
        id: EventId::new([7; 16]),
        owner: OwnerId::of(&key(OWNER).id()),
        agent: name("shopper"),
        request: RequestId::new(at(0), [7; 10]),
        version: Version(version.try_into().unwrap()),
        time: if event == Event::Expired { at(300) } else { at(30) },
        actor: Actor { role, member: name(member) },
        event,
    }
}
