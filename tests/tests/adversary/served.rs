//! What the relay serves, and what passes by live: neither can be other than what was signed, and a code that is released
//! too early, or claimed with another nonce, helps nobody.

use std::time::Duration;

use agent_otp_agent::{Pending, WaitError};
use agent_otp_domain::EventType::{Approved, Captured, Requested};
use agent_otp_domain::{Actor, Event, Recorded, RequestKey, Role, SignedStatement, Version};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply, Sealed};
use agent_otp_trust::{Capture, Consume, Decision, Heading, Nonce, Request, Verdict};
use agent_otp_user::ApproverError;

use crate::double::said;
use crate::forgery::{Forgery, mallory, statement_of, with_events};
use crate::stage::{ACME, BOOKER, DESK, PHONE, SHOPPER, Stage, actor, heading, key, refused};
use crate::world::within;

#[tokio::test]
async fn other_events_than_were_stored_are_not_believed() {
    type Alter = fn(&mut Vec<Recorded>);
    let table: [(Alter, &str); 6] = [
        (
            |events| {
                let statement = statement_of(&mut events[0].event);
                *statement = Forgery::Kept.of::<Request>(statement, |request| {
                    request.reason = "Something else".parse().unwrap();
                });
            },
            "the signature is wrong",
        ),
        (|events| drop(events.remove(0)), "the history is not whole at version 2"),
        (|events| events.swap(0, 1), "the history is not whole at version 2"),
        (|events| events.push(events[1].clone()), "the history is not whole at version 2"),
        (|events| events[0].agent = "booker".parse().unwrap(), "the statement is about another request"),
        (|events| events[0].actor.role = Role::Capturer, "the event says another thing than its statement"),
    ];
    let mut stage = Box::pin(Stage::start()).await;
    for (alter, says) in table {
        let pending = stage.ask().await;
        let key = pending.key().clone();
        stage.approve(&key).await;
        let target = key.request;
        stage.double.lie(move |ask, reply| match ask {
            Ask::Get { request, .. } if *request == target => with_events(reply, alter),
            _ => reply,
        });
        stage.is_not_shown(&key, says).await;
        // It knows nothing of the request but what is served.
        stage.capture_anew().await;
        stage.alarm(DESK, Some(&key), says).await;
        stage.double.behave();
        stage.deny(&key).await;
        assert!(matches!(within(pending.wait()).await, Err(WaitError::Denied)));
    }
    assert_eq!(stage.audited().await, [], "the log is whole");
}

#[tokio::test]
async fn another_request_of_the_same_agent_is_not_taken_for_the_one_that_was_made() {
    let stage = Box::pin(Stage::start()).await;
    let other = stage.ask().await;
    let event = stage.events(other.key()).await[0].clone();
    stage.double.write(move |recorded| recorded.event = event.event.clone());
    let pending = stage.ask().await;
    stage.is_found_out(pending, "the statement is about another request").await;
}

#[tokio::test]
async fn a_request_that_agent_and_relay_date_back_gets_nothing_from_before_it_was_stored() {
    let stage = Box::pin(Stage::start()).await;
    // From now on the capturer knows what was open.
    let genuine = stage.captured("111111").await;
    let Request { heading, filter, recipient, reason, .. } = stage.seen(genuine.key()).await.request;
    let back = Duration::from_mins(9);
    for now in [None, Some(clock::now().after(back))] {
        let key = RequestKey { request: clock::request_id(), ..genuine.key().clone() };
        let made_at = clock::now().before(back);
        let heading = Heading { request: key.request, made_at, ..heading.clone() };
        let request = Request {
            heading: heading.clone(),
            filter: filter.clone(),
            recipient: recipient.clone(),
            reason: reason.clone(),
            expires_at: made_at.after(Duration::from_hours(1)),
        };
        let target = key.request;
        stage.double.lie(move |ask, reply| match (ask, reply) {
            (Ask::Get { request, .. }, Reply::Events { events, .. }) if *request == target => {
                Reply::Events { events, now }
            }
            (_, reply) => reply,
        });
        let statement = self::key(SHOPPER).sign(&request);
        let requested = Event::Requested { statement, expires_at: request.expires_at };
        stage.double.store.append(&heading, actor(SHOPPER), requested).await;
        stage.approve(&key).await;
        stage.is_not_captured(&key).await;
    }
}

#[tokio::test]
async fn a_request_that_the_relay_has_lost_is_missed() {
    let stage = Box::pin(Stage::start()).await;
    stage.double.instead(|ask| match ask {
        Ask::Request { .. } => {
            Some(Reply::Done { phase: Requested.to_string(), version: Version::default() })
        }
        _ => None,
    });
    let pending = stage.ask().await;
    stage.is_found_out(pending, "the relay has lost the request that it had accepted").await;
}

#[tokio::test]
async fn a_live_event_that_was_forged_is_an_alarm_and_changes_nothing() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    stage.approve(&key).await;
    let approved = stage.events(&key).await[1].clone();
    let Event::Approved { statement, .. } = &approved.event else { panic!("{approved:?}") };
    let denial = Forgery::Posing.of::<Decision>(statement, |decision| decision.verdict = Verdict::Deny {});
    let waiting = tokio::spawn(pending.wait());
    let forged =
        Recorded { version: approved.version.next(), event: Event::Denied { statement: denial }, ..approved };
    stage.publish(&forged).await;
    for party in [SHOPPER, DESK] {
        stage.alarm(party, Some(&key), "the signature is wrong").await;
    }
    stage.mail(ACME, "482913").await;
    assert_eq!(within(waiting).await.unwrap().unwrap().expose(), "482913");
}

#[tokio::test]
async fn an_end_that_comes_long_before_its_time_is_not_believed() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let request = stage.seen(pending.key()).await.request;
    stage.double.write(move |recorded| recorded.time = request.expires_at);
    let heading = stage.seen(pending.key()).await.request.heading;
    stage.double.store.append(&heading, Actor::relay(), Event::Expired).await;
    stage.is_found_out(pending, "the relay says that the request has expired, long before its time").await;
}

#[tokio::test]
async fn an_answer_of_another_kind_is_not_taken_for_a_code() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.captured("482913").await;
    stage.double.instead(|ask| match ask {
        Ask::Consume { .. } => Some(Reply::Done { phase: Captured.to_string(), version: Version::default() }),
        _ => None,
    });
    stage.is_found_out(pending, "another kind of reply was expected").await;
}

#[tokio::test]
async fn a_code_that_is_released_without_being_consumed_opens_for_its_agent_alone() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.captured("482913").await;
    let key = pending.key().clone();
    let sealed = Sealed(stage.double.store.sealed(&key).await.unwrap());
    stage.double.instead(move |ask| {
        matches!(ask, Ask::Consume { .. }).then(|| Reply::Code { sealed: sealed.clone() })
    });
    // To the agent it is the code that it asked for, whatever the relay writes down. The log, and the user who reads it,
    // see that nobody has claimed it.
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
    assert_eq!(stage.history(&key).await, [Requested, Approved, Captured]);
}

#[tokio::test]
async fn a_claim_that_the_relay_invents_is_not_believed() {
    let stage = Box::pin(Stage::start()).await;
    for by in Forgery::SIGNED {
        say_that_it_is_too_early(&stage, None);
        let pending = stage.captured("482913").await;
        let key = pending.key().clone();
        claim(&stage, &key, |consume| match by {
            Forgery::Own => mallory().sign(consume),
            _ => SignedStatement { key: self::key(SHOPPER).id(), ..mallory().sign(consume) },
        })
        .await;
        stage.is_found_out(pending, by.told()).await;
        stage.double.behave();
        stage.is_doubted(&key, by.told()).await;
    }
}

#[tokio::test]
async fn a_claim_with_another_nonce_is_an_alarm_whatever_the_relay_answers_then() {
    let stage = Box::pin(Stage::start()).await;
    for serves_it_then in [false, true] {
        let pending = stage.captured("482913").await;
        let sealed = Sealed(stage.double.store.sealed(pending.key()).await.unwrap());
        say_that_it_is_too_early(&stage, serves_it_then.then_some(sealed));
        // By somebody who holds the agent's identity key.
        claim(&stage, pending.key(), |consume| key(SHOPPER).sign(consume)).await;
        is_claimed_elsewhere(&stage, pending).await;
    }
}

#[tokio::test]
async fn a_relay_that_says_that_the_code_was_consumed_before_is_an_alarm() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.captured("482913").await;
    stage.double.instead(|ask| match ask {
        Ask::Consume { .. } => Some(Reply::Refused {
            code: RefusalCode::AlreadyConsumed,
            message: "the code was consumed before".to_owned(),
        }),
        _ => None,
    });
    is_claimed_elsewhere(&stage, pending).await;
}

#[tokio::test]
async fn two_requests_of_one_id_cannot_be_decided_by_it() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    // Another agent, which the relay has told the id, asks under it.
    let request = stage.seen(pending.key()).await.request;
    let copied = RequestKey { agent: "booker".parse().unwrap(), ..pending.key().clone() };
    let heading = heading(&copied, BOOKER, request.heading.roster);
    let statement = key(BOOKER).sign(&Request { heading, ..request });
    stage.bus(BOOKER).await.call(&Ask::Request { statement }).await.unwrap();
    let error = refused(stage.approver.find(pending.key().request)).await;
    assert!(matches!(error, ApproverError::Doubled { .. }), "{error}");
    stage.alarm(PHONE, Some(pending.key()), "the requests of two agents have the id").await;
}

/// From now on the relay says that nothing was captured: for good, or only when it is asked first.
fn say_that_it_is_too_early(stage: &Stage, mut then: Option<Sealed>) {
    let mut is_first = true;
    stage.double.instead(move |ask| {
        let Ask::Consume { .. } = ask else { return None };
        let early =
            Reply::Refused { code: RefusalCode::OutOfTurn, message: "the request is approved".to_owned() };
        let served = then.take_if(|_| !std::mem::take(&mut is_first));
        Some(served.map_or(early, |sealed| Reply::Code { sealed }))
    });
}

/// Appends a claim under a nonce that is not the agent's.
async fn claim(stage: &Stage, key: &RequestKey, sign: impl FnOnce(&Consume) -> SignedStatement) {
    let captured = stage.events(key).await.pop().unwrap();
    let statement = captured.event.statement().unwrap();
    let roster = said::<Capture>(statement).heading.roster;
    let consume = Consume {
        heading: heading(key, SHOPPER, roster),
        capture: statement.digest(),
        claim: Nonce::new(clock::random()).digest(),
    };
    let event = Event::Consumed { statement: sign(&consume), claim: consume.claim };
    stage.double.store.append(&consume.heading, actor(SHOPPER), event).await;
}

async fn is_claimed_elsewhere(stage: &Stage, pending: Pending) {
    let key = pending.key().clone();
    let error = within(pending.wait()).await.unwrap_err();
    assert!(matches!(error, WaitError::ClaimedElsewhere), "{error}");
    stage.alarm(SHOPPER, Some(&key), "the code was claimed with another nonce").await;
}
