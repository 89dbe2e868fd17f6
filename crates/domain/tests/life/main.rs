//! Every command at every point of a request's life, and what the rules answer.
#![expect(clippy::panic, reason = "a table with a word that nobody knows is no test")]

use agent_otp_domain::{
    Approval, Asked, Capture, ClockSkew, Command, Digest, End, Event, EventType, Open, Rejection, Role, State,
};

mod given;

use given::{
    DEADLINE, Key, approve, approved, cancel, cancelled, capture, captured, check, consume, consumed, denied,
    deny, given, histories, ms, request, requested, signed,
};

/// What happens to the commands of one story, whose events stand in the first column.
///
/// `event`: its event; `same`: nothing, its effect is there; `turn`: out of turn, with the last event; `early`: not
/// before the deadline; `late`: the deadline has passed.
const BEFORE_THE_DEADLINE: &str = "
                                           request  approve  deny     capture  consume  cancel   expire
    absent                                 event    unknown  unknown  unknown  unknown  unknown  unknown
    requested                              same     event    event    turn     turn     event    early
    requested approved                     same     same     event    event    turn     event    early
    requested approved captured            same     same     event    same     event    event    early
    requested approved captured consumed   same     same     turn     same     same     turn     same
    requested denied                       same     turn     same     turn     turn     turn     same
    requested approved denied              same     same     same     turn     turn     turn     same
    requested approved captured denied     same     same     same     same     turn     turn     same
    requested cancelled                    same     turn     turn     turn     turn     same     same
    requested approved cancelled           same     same     turn     turn     turn     same     same
    requested approved captured cancelled  same     same     turn     same     turn     same     same
";

const FROM_THE_DEADLINE_ON: &str = "
                                          request  approve  deny     capture  consume  cancel   expire
    absent                                late     unknown  unknown  unknown  unknown  unknown  unknown
    requested                             same     late     late     late     late     late     event
    requested approved                    same     same     late     late     late     late     event
    requested approved captured           same     same     late     same     late     late     event
    requested approved captured consumed  same     same     turn     same     same     turn     same
    requested denied                      same     turn     same     turn     turn     turn     same
    requested cancelled                   same     turn     turn     turn     turn     same     same
    requested expired                     same     late     late     late     late     late     same
    requested approved expired            same     same     late     late     late     late     same
    requested approved captured expired   same     same     late     same     late     late     same
";

#[test]
fn every_command_is_answered_in_every_state_before_the_deadline() {
    check(BEFORE_THE_DEADLINE, 0);
    check(BEFORE_THE_DEADLINE, DEADLINE - 1);
}

#[test]
fn every_command_is_answered_in_every_state_from_the_deadline_on() {
    check(FROM_THE_DEADLINE_ON, DEADLINE);
    check(FROM_THE_DEADLINE_ON, DEADLINE + 1);
}

#[test]
fn a_request_expires_at_its_deadline_and_not_before() {
    given([requested()])
        .at(DEADLINE - 1)
        .when(Command::Expire)
        .then_refused(Rejection::NotYet { expires_at: ms(DEADLINE) });
    given([requested()]).at(DEADLINE).when(Command::Expire).then(Event::Expired);
}

#[test]
fn a_request_id_is_taken_by_the_first_request() {
    for history in histories() {
        for statement in [signed(Key::Agent, "another request"), signed(Key::OtherAgent, "request")] {
            given(history.clone())
                .at(1)
                .when(Command::Request { statement, made_at: ms(0), expires_at: ms(DEADLINE) })
                .then_refused(Rejection::Taken);
        }
    }
}

#[test]
fn the_clocks_of_agent_and_relay_may_be_a_minute_apart() {
    let now = 1_000_000;
    for made_at in [now - 60_000, now + 60_000] {
        let expires_at = made_at + 120_000;
        given([])
            .at(now)
            .when(request(made_at, expires_at))
            .then(Event::Requested { statement: signed(Key::Agent, "request"), expires_at: ms(expires_at) });
    }
    for made_at in [now - 60_001, now + 60_001] {
        given([])
            .at(now)
            .when(request(made_at, made_at + 120_000))
            .then_refused(ClockSkew::with_relay(Role::Agent, ms(made_at), ms(now)).into());
    }
}

#[test]
fn the_clocks_of_approver_and_relay_may_be_a_minute_apart() {
    let approve = || approve("decision", "request", 1_000_000);
    let asked = || [Event::Requested { statement: signed(Key::Agent, "request"), expires_at: ms(1_000_000) }];
    for now in [-60_000, 60_000] {
        given(asked()).at(now).when(approve()).then(Event::Approved {
            statement: signed(Key::Approver, "decision"),
            expires_at: ms(1_000_000),
            capturers: vec![Key::Capturer.id()],
        });
    }
    for now in [-60_001, 60_001] {
        let skew = ClockSkew::with_relay(Role::Approver, ms(0), ms(now));
        given(asked()).at(now).when(approve()).then_refused(skew.into());
        given(asked()).at(now).when(deny(Key::Approver, "denial", "request")).then(denied());
    }
}

#[test]
fn a_request_stands_for_a_second_to_an_hour() {
    for expires_at in [1_000, 3_600_000] {
        given([])
            .at(0)
            .when(request(0, expires_at))
            .then(Event::Requested { statement: signed(Key::Agent, "request"), expires_at: ms(expires_at) });
    }
    for expires_at in [i64::MIN, -1, 0, 999, 3_600_001, i64::MAX] {
        given([])
            .at(0)
            .when(request(0, expires_at))
            .then_refused(Rejection::Lifetime { made_at: ms(0), expires_at: ms(expires_at) });
    }
}

#[test]
fn a_decision_lapses_in_the_future_and_not_after_its_request() {
    let now = 10;
    for expires_at in [now + 1, DEADLINE] {
        given([requested()]).at(now).when(approve("decision", "request", expires_at)).then(Event::Approved {
            statement: signed(Key::Approver, "decision"),
            expires_at: ms(expires_at),
            capturers: vec![Key::Capturer.id()],
        });
    }
    for expires_at in [0, now, DEADLINE + 1] {
        given([requested()])
            .at(now)
            .when(approve("decision", "request", expires_at))
            .then_refused(Rejection::DecisionExpired { expires_at: ms(expires_at) });
    }
}

#[test]
fn a_request_is_approved_once() {
    let another = || approve("another decision", "request", DEADLINE);
    given([requested(), approved()])
        .at(1)
        .when(another())
        .then_refused(Rejection::OutOfTurn { phase: EventType::Approved });
    given([requested(), approved(), captured()])
        .at(1)
        .when(another())
        .then_refused(Rejection::OutOfTurn { phase: EventType::Captured });
}

#[test]
fn a_statement_about_another_request_changes_nothing() {
    let mismatch = Rejection::Mismatch { what: EventType::Requested };
    let about_another = [
        approve("decision", "another request", DEADLINE),
        deny(Key::Approver, "decision", "another request"),
        cancel(Key::Agent, "another request"),
    ];
    for command in about_another {
        given([requested()]).at(1).when(command).then_refused(mismatch.clone());
    }
    given([requested(), denied()])
        .at(1)
        .when(deny(Key::Approver, "decision", "another request"))
        .then_refused(mismatch.clone());
    given([requested(), cancelled()])
        .at(1)
        .when(cancel(Key::Agent, "another request"))
        .then_refused(mismatch);
}

#[test]
fn a_denial_is_repeated_by_its_approver_alone() {
    given([requested(), denied()])
        .at(1)
        .when(deny(Key::Approver, "denial, said again", "request"))
        .then_nothing();
    given([requested(), denied()])
        .at(1)
        .when(deny(Key::OtherApprover, "denial", "request"))
        .then_refused(Rejection::OutOfTurn { phase: EventType::Denied });
}

#[test]
fn only_a_capturer_that_the_decision_names_captures() {
    given([requested(), approved()])
        .at(1)
        .when(capture(Key::OtherCapturer, "capture", "decision"))
        .then_refused(Rejection::NotAppointed);
    let for_nobody = Event::Approved {
        statement: signed(Key::Approver, "decision"),
        expires_at: ms(DEADLINE),
        capturers: vec![],
    };
    given([requested(), for_nobody])
        .at(1)
        .when(capture(Key::Capturer, "capture", "decision"))
        .then_refused(Rejection::NotAppointed);
}

#[test]
fn a_capture_belongs_to_the_decision_that_stands() {
    given([requested(), approved()])
        .at(1)
        .when(capture(Key::Capturer, "capture", "another decision"))
        .then_refused(Rejection::Mismatch { what: EventType::Approved });
}

#[test]
fn a_request_is_captured_once() {
    given([requested(), approved(), captured()])
        .at(1)
        .when(capture(Key::Capturer, "another capture", "decision"))
        .then_refused(Rejection::OutOfTurn { phase: EventType::Captured });
}

#[test]
fn a_decision_is_used_before_it_lapses_but_the_code_is_claimed_until_the_request_does() {
    let lapses_at = 500;
    let approved = || Event::Approved {
        statement: signed(Key::Approver, "decision"),
        expires_at: ms(lapses_at),
        capturers: vec![Key::Capturer.id()],
    };
    let capture = || capture(Key::Capturer, "capture", "decision");
    given([requested(), approved()]).at(lapses_at - 1).when(capture()).then(captured());
    given([requested(), approved()])
        .at(lapses_at)
        .when(capture())
        .then_refused(Rejection::DecisionExpired { expires_at: ms(lapses_at) });
    given([requested(), approved(), captured()])
        .at(DEADLINE - 1)
        .when(consume(Key::Agent, "capture", "nonce"))
        .then(consumed());
}

#[test]
fn to_another_agent_a_request_is_unknown_in_every_state() {
    for now in [1, DEADLINE] {
        for history in histories() {
            for command in [consume(Key::OtherAgent, "capture", "nonce"), cancel(Key::OtherAgent, "request")]
            {
                given(history.clone()).at(now).when(command).then_refused(Rejection::Unknown);
            }
        }
    }
}

#[test]
fn a_code_is_claimed_with_one_nonce() {
    let history = [requested(), approved(), captured(), consumed()];
    for now in [1, DEADLINE] {
        given(history.clone()).at(now).when(consume(Key::Agent, "capture", "nonce")).then_nothing();
        given(history.clone())
            .at(now)
            .when(consume(Key::Agent, "capture", "another nonce"))
            .then_refused(Rejection::AlreadyConsumed);
    }
}

#[test]
fn a_claim_belongs_to_the_capture_that_stands() {
    given([requested(), approved(), captured()])
        .at(1)
        .when(consume(Key::Agent, "another capture", "nonce"))
        .then_refused(Rejection::Mismatch { what: EventType::Captured });
}

#[test]
fn a_state_holds_what_the_events_said() {
    let asked = Asked {
        digest: signed(Key::Agent, "request").digest(),
        signer: Key::Agent.id(),
        expires_at: ms(DEADLINE),
    };
    let approval = Approval {
        digest: signed(Key::Approver, "decision").digest(),
        expires_at: ms(DEADLINE),
        capturers: vec![Key::Capturer.id()],
    };
    let capture =
        Capture { digest: signed(Key::Capturer, "capture").digest(), sealed: Digest::of(&[b"sealed"]) };
    let consumed = End::Consumed(Digest::of(&[b"nonce"]));
    assert_eq!(
        State::replay(&[requested(), approved(), captured(), self::consumed()]),
        State::Ended(Open::Captured(asked.clone(), approval.clone(), capture), consumed)
    );
    assert_eq!(
        State::replay(&[requested(), approved(), denied()]),
        State::Ended(Open::Approved(asked, approval), End::Denied(Key::Approver.id()))
    );
}

#[test]
fn a_refusal_says_what_is_the_case() {
    let (made_at, now, expires_at) = (ms(0), ms(61_000), ms(DEADLINE));
    let refusals = [
        Rejection::Unknown,
        Rejection::Taken,
        Rejection::OutOfTurn { phase: EventType::Denied },
        Rejection::Expired { expires_at },
        Rejection::NotYet { expires_at },
        ClockSkew::with_relay(Role::Agent, made_at, now).into(),
        Rejection::Lifetime { made_at, expires_at },
        Rejection::Mismatch { what: EventType::Approved },
        Rejection::DecisionExpired { expires_at },
        Rejection::NotAppointed,
        Rejection::AlreadyConsumed,
    ];
    insta::assert_snapshot!(refusals.map(|refusal| refusal.to_string()).join("\n"), @"
    there is no such request
    this request id is taken by another request; ask again with a new id
    this is out of turn: the request was denied
    the request expired at 1970-01-01T00:00:50.000Z; the agent has to ask again
    the request stands until 1970-01-01T00:00:50.000Z
    the agent's clock is 1m 1s behind the relay's (1970-01-01T00:00:00.000Z against 1970-01-01T00:01:01.000Z), and 1m is allowed; neither side can tell which of the two is wrong: type `date -u` on both machines, set the clock that is off, and try again
    a request stands for 1 s to 1 h, not from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:50.000Z
    the statement does not belong to what was approved
    the decision holds until 1970-01-01T00:00:50.000Z, which is past, or later than the request's own deadline
    the decision does not name this capturer
    the code was consumed before
    ");
}
