//! What the user decided: the relay can neither forge, alter, replay nor re-address it, widen what was asked, nor bring an
//! approval back; it can keep a denial back, for as long as the decision may be used.

use agent_otp_agent::{Asking, WaitError};
use agent_otp_domain::EventType::{Approved, Captured, Denied, Requested};
use agent_otp_domain::{Channels, Event, Filter, KeyId, Recorded, RequestKey, SignedStatement, Version};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{Ask, Reply};
use agent_otp_trust::{Decision, Nonce, Request, Verdict};

use crate::double::said;
use crate::forgery::{Forgery, mallory, statement_of, with_events};
use crate::stage::{ACME, DESK, PHONE, Stage, actor, asking, heading, key};
use crate::world::{eventually, within};

const SIGNATURE: &str = "the signature is wrong";
const DIFFERS: &str = "the event says another thing than its statement";

#[tokio::test]
async fn a_decision_that_the_user_did_not_make_is_obeyed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    for forgery in Forgery::SIGNED {
        nobody_obeys(&stage, forgery.told(), move |recorded| {
            rewrite(recorded, |statement| forgery.of::<Decision>(statement, |_| {}));
        })
        .await;
    }
}

#[tokio::test]
async fn a_decision_that_was_altered_is_obeyed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    let alterations: [fn(&mut Decision); 5] = [
        |decision| appoint(&mut decision.verdict, mallory().id()),
        |decision| decision.verdict = Verdict::Deny {},
        |decision| decision.expires_at = decision.expires_at.before(asking().ttl.as_duration()),
        |decision| decision.nonce = Nonce::new([0; 16]),
        |decision| decision.heading.made_at = clock::now().before(asking().ttl.as_duration()),
    ];
    for alter in alterations {
        nobody_obeys(&stage, SIGNATURE, move |recorded| {
            rewrite(recorded, |statement| Forgery::Kept.of(statement, alter));
        })
        .await;
    }
    // Only what the event repeats of it.
    nobody_obeys(&stage, DIFFERS, |recorded| {
        let Event::Approved { capturers, .. } = &mut recorded.event else { panic!("{recorded:?}") };
        capturers.push(mallory().id());
    })
    .await;
    nobody_obeys(&stage, DIFFERS, |recorded| recorded.actor = actor(DESK)).await;
}

#[tokio::test]
async fn a_decision_about_another_request_is_obeyed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    let other = stage.ask().await;
    stage.approve(other.key()).await;
    let approval = stage.events(other.key()).await[1].event.statement().unwrap().clone();
    // The user takes it back, so that no mail is for both.
    stage.deny(other.key()).await;
    let replayed = approval.clone();
    nobody_obeys(&stage, "the statement does not belong to what was requested", move |recorded| {
        rewrite(recorded, |_| replayed.clone());
    })
    .await;
    nobody_obeys(&stage, SIGNATURE, move |recorded| {
        let (request, digest) =
            (recorded.request, said::<Decision>(statement_of(&mut recorded.event)).request);
        rewrite(recorded, |_| {
            Forgery::Kept.of::<Decision>(&approval, |decision| {
                (decision.heading.request, decision.request) = (request, digest);
            })
        });
    })
    .await;
}

#[tokio::test]
async fn a_filter_that_was_widened_is_believed_by_nobody() {
    let stage = Box::pin(Stage::start()).await;
    let alterations: [fn(&mut Request); 3] = [
        |request| request.filter.sender = "evil.example".parse().unwrap(),
        |request| request.filter.channels = Channels::Any,
        |request| request.filter.content = "reset".parse().ok(),
    ];
    for alter in alterations {
        stage.double.write(move |recorded| rewrite(recorded, |statement| Forgery::Kept.of(statement, alter)));
        let pending = stage.ask().await;
        stage.double.behave();
        let key = pending.key().clone();
        stage.is_not_shown(&key, SIGNATURE).await;
        stage.alarm(DESK, Some(&key), SIGNATURE).await;
        stage.is_found_out(pending, SIGNATURE).await;
    }
}

#[tokio::test]
async fn a_narrowing_that_was_taken_away_is_missed() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let request = stage.seen(pending.key()).await;
    let narrowing = Filter { content: "payment".parse().ok(), ..asking().filter };
    let decision = Decision {
        heading: heading(pending.key(), PHONE, request.request.heading.roster),
        request: request.digest,
        verdict: Verdict::Approve { capturers: vec![key(DESK).id()], narrowing: Some(narrowing) },
        nonce: Nonce::new(clock::random()),
        expires_at: request.request.expires_at,
    };
    stage.double.write(|recorded| {
        rewrite(recorded, |statement| {
            Forgery::Kept.of::<Decision>(statement, |decision| {
                let Verdict::Approve { narrowing, .. } = &mut decision.verdict else { unreachable!() };
                *narrowing = None;
            })
        });
    });
    let statement = key(PHONE).sign(&decision);
    stage.bus(PHONE).await.call(&Ask::Approve { statement }).await.unwrap();
    stage.double.behave();
    stage.alarm(DESK, Some(pending.key()), SIGNATURE).await;
    stage.is_not_captured(pending.key()).await;
}

#[tokio::test]
async fn an_approval_that_was_kept_back_is_worth_nothing_after_a_denial() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    let (withheld, approval) = withhold_approval(&stage, &key).await;
    assert_eq!(stage.deny(&key).await, Some(Denied));
    stage.double.store.append(&said::<Decision>(&withheld).heading, actor(PHONE), approval).await;
    stage.alarm(DESK, Some(&key), "the history is not whole at version 3").await;
    stage.is_not_captured(&key).await;
    stage.is_doubted(&key, "the history is not whole at version 3").await;
    assert!(matches!(within(pending.wait()).await, Err(WaitError::Denied)));
}

#[tokio::test]
async fn a_denial_that_the_capturer_has_heard_of_wins_over_a_history_without_it() {
    let stage = Box::pin(Stage::start()).await;
    let pending = stage.ask().await;
    let key = pending.key().clone();
    let (_, approval) = withhold_approval(&stage, &key).await;
    assert_eq!(stage.deny(&key).await, Some(Denied));
    let denied = stage.events(&key).await[1].clone();
    let approved = Recorded { version: Version(2), event: approval, ..denied };
    let (target, instead) = (key.request, approved.clone());
    stage.double.lie(move |ask, reply| match ask {
        Ask::Get { request, .. } if *request == target => {
            with_events(reply, |events| events[1] = instead.clone())
        }
        _ => reply,
    });
    stage.publish(&approved).await;
    stage.alarm(DESK, Some(&key), "the request was served before with another history").await;
    stage.mail(ACME, "482913").await;
    stage.double.behave();
    stage.is_not_captured(&key).await;
}

#[tokio::test]
async fn a_denial_that_is_kept_back_from_the_capturer_changes_nothing_until_the_decision_expires() {
    let stage = Box::pin(Stage::start()).await;
    stage.double.instead(|ask| {
        let done = Reply::Done { phase: Denied.to_string(), version: Version(3) };
        matches!(ask, Ask::Deny { .. }).then_some(done)
    });
    let open = stage.ask().await;
    stage.approve(open.key()).await;
    assert_eq!(stage.deny(open.key()).await, Some(Denied), "so the relay says");
    stage.mail(ACME, "482913").await;
    stage.until(open.key(), Captured).await;
    assert_eq!(stage.history(open.key()).await, [Requested, Approved, Captured]);

    let asked = Asking { ttl: "2s".parse().unwrap(), ..asking() };
    let brief = within(stage.agent.request(asked)).await.unwrap();
    let (key, expires_at) = (brief.key().clone(), brief.expires_at());
    stage.approve(&key).await;
    assert_eq!(stage.deny(&key).await, Some(Denied));
    eventually(async || (clock::now() >= expires_at).then_some(())).await;
    stage.is_not_captured(&key).await;
}

/// The next approval is changed when it is stored: the capturer keeps an alarm and captures nothing, the agent finds it
/// out, the auditor doubts it.
async fn nobody_obeys(stage: &Stage, says: &str, change: impl FnMut(&mut Recorded) + Send + 'static) {
    let pending = stage.ask().await;
    let key = pending.key().clone();
    let request = stage.seen(&key).await;
    stage.double.write(change);
    assert_eq!(stage.approver.approve(&request).await.unwrap(), Some(Approved));
    stage.double.behave();
    stage.alarm(DESK, Some(&key), says).await;
    stage.is_not_captured(&key).await;
    stage.is_found_out(pending, says).await;
    stage.is_doubted(&key, says).await;
}

/// The user approves, and the relay says that it has stored that, and has not. What it keeps is returned.
async fn withhold_approval(stage: &Stage, key: &RequestKey) -> (SignedStatement, Event) {
    let (tell, told) = std::sync::mpsc::channel();
    stage.double.instead(move |ask| {
        let Ask::Approve { statement } = ask else { return None };
        tell.send(statement.clone()).unwrap();
        Some(Reply::Done { phase: Approved.to_string(), version: Version(2) })
    });
    stage.approve(key).await;
    stage.double.behave();
    let statement: SignedStatement = told.recv().unwrap();
    let decision: Decision = said(&statement);
    let Verdict::Approve { capturers, .. } = decision.verdict else { unreachable!() };
    let event = Event::Approved { statement: statement.clone(), expires_at: decision.expires_at, capturers };
    (statement, event)
}

fn rewrite(recorded: &mut Recorded, rewrite: impl FnOnce(&SignedStatement) -> SignedStatement) {
    let statement = statement_of(&mut recorded.event);
    *statement = rewrite(statement);
}

fn appoint(verdict: &mut Verdict, capturer: KeyId) {
    let Verdict::Approve { capturers, .. } = verdict else { unreachable!() };
    capturers.push(capturer);
}
