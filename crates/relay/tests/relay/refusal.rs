//! What the relay refuses before it decides, so that the log holds no garbage.

use std::time::Duration;

use agent_otp_domain::{Digest, EventType, SignedStatement, codec};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply};
use agent_otp_trust::{Decision, Heading, Request, Revocation, RosterRef, Verdict};

use crate::home::{BOOKER, Home, PHONE, SHOPPER, STRANGER, enrol, key, owner, refusal};
use crate::said::{Said, sign};

#[tokio::test]
async fn a_request_that_is_not_what_it_says_is_refused_and_not_stored() {
    let home = Home::start().await;
    let said = home.said();
    let by = |seed| Request { heading: said.heading(seed), ..said.a_request() };
    let under = |roster| Request { heading: Heading { roster, ..said.heading(SHOPPER) }, ..said.a_request() };
    let forged = SignedStatement { signature: [1; 64], ..said.request.clone() };
    let altered = SignedStatement { payload: sign(SHOPPER, &by(PHONE)).payload, ..said.request.clone() };
    let garbage = SignedStatement { payload: b"\xc1".to_vec(), ..said.request.clone() };
    let of_type = |payload_type: &str| SignedStatement {
        payload_type: payload_type.to_owned(),
        ..said.request.clone()
    };
    let other = RosterRef { digest: Digest::of(&[b"another"]), ..said.roster };
    let missing = RosterRef { number: 7, ..said.roster };
    let table = [
        ("another key", sign(STRANGER, &by(STRANGER)), RefusalCode::Untrusted),
        ("another's name", sign(STRANGER, &by(SHOPPER)), RefusalCode::Untrusted),
        ("another role", sign(PHONE, &by(PHONE)), RefusalCode::Untrusted),
        ("another agent", sign(BOOKER, &by(BOOKER)), RefusalCode::Untrusted),
        ("a forged signature", forged, RefusalCode::Untrusted),
        ("altered bytes", altered, RefusalCode::Untrusted),
        ("garbage", garbage, RefusalCode::Untrusted),
        ("another type", said.cancel.clone(), RefusalCode::Untrusted),
        (
            "a type that would break a header",
            of_type("a\r\nNats-Service-Error-Code: 200"),
            RefusalCode::Untrusted,
        ),
        ("another roster of this number", sign(SHOPPER, &under(other)), RefusalCode::Untrusted),
        ("a roster that is not there", sign(SHOPPER, &under(missing)), RefusalCode::Untrusted),
    ];
    for (what, statement, expected) in table {
        let error = home.shopper.call(&Ask::Request { statement }).await.unwrap_err();
        assert_eq!(error.refusal(), Some(expected), "{what}: {error}");
    }
    assert_eq!(home.event_count().await, 0);
    home.shopper.call(&said.request()).await.unwrap();
}

#[tokio::test]
async fn a_request_whose_times_are_off_is_refused_and_not_stored() {
    let home = Home::start().await;
    let made = |at, ttl| Said::about(home.said().key, home.roster_ref(), at, ttl).request();
    let (now, minutes) = (clock::now(), Duration::from_mins(5));
    let table = [
        ("long ago", made(now.before(Duration::from_secs(70)), minutes), RefusalCode::ClockSkew),
        ("ahead", made(now.after(Duration::from_secs(70)), minutes), RefusalCode::ClockSkew),
        ("lapsed", made(now.before(Duration::from_secs(30)), Duration::from_secs(20)), RefusalCode::Expired),
        ("too long", made(now, Duration::from_secs(3_601)), RefusalCode::Malformed),
        ("too short", made(now, Duration::from_millis(999)), RefusalCode::Malformed),
    ];
    for (what, ask, expected) in table {
        assert_eq!(refusal(home.shopper.call(&ask).await), expected, "{what}");
    }
    assert_eq!(home.event_count().await, 0);
    assert_eq!(home.phone.open().await.unwrap(), []);
}

#[tokio::test]
async fn a_decision_that_does_not_fit_its_request_is_refused_and_not_stored() {
    let home = Home::start().await;
    let (said, other) = (home.said(), home.said());
    home.bring(&said, EventType::Requested).await;
    home.bring(&other, EventType::Requested).await;
    let approve = |seed, decision: Decision| Ask::Approve { statement: sign(seed, &decision) };
    let an_approval = || said.an_approval();
    let nobody = Verdict::Approve { capturers: Vec::new(), narrowing: None };
    let narrowing =
        Some(agent_otp_domain::Filter { sender: "example.com".parse().unwrap(), ..said.a_request().filter });
    let contradiction = Verdict::Approve { capturers: vec![key(crate::home::HOME).id()], narrowing };
    let later = said.expires_at.after(Duration::from_secs(1));
    let table = [
        ("a denial", Ask::Approve { statement: said.denial.clone() }, RefusalCode::Mismatch),
        ("an approval", Ask::Deny { statement: said.approval.clone() }, RefusalCode::Mismatch),
        (
            "another request",
            approve(PHONE, Decision { request: other.request.digest(), ..an_approval() }),
            RefusalCode::Mismatch,
        ),
        (
            "nobody to act",
            approve(PHONE, Decision { verdict: nobody, ..an_approval() }),
            RefusalCode::Malformed,
        ),
        (
            "nothing to find",
            approve(PHONE, Decision { verdict: contradiction, ..an_approval() }),
            RefusalCode::Malformed,
        ),
        (
            "a longer life",
            approve(PHONE, Decision { expires_at: later, ..an_approval() }),
            RefusalCode::Mismatch,
        ),
        (
            "a past one",
            approve(PHONE, Decision { expires_at: said.made_at, ..an_approval() }),
            RefusalCode::Mismatch,
        ),
        (
            "the agent's own",
            approve(SHOPPER, Decision { heading: said.heading(SHOPPER), ..an_approval() }),
            RefusalCode::Untrusted,
        ),
        (
            "another's denial",
            Ask::Deny {
                statement: sign(
                    PHONE,
                    &Decision { verdict: Verdict::Deny {}, request: other.request.digest(), ..an_approval() },
                ),
            },
            RefusalCode::Mismatch,
        ),
    ];
    for (what, ask, expected) in table {
        let error = home.phone.call(&ask).await.unwrap_err();
        assert_eq!(error.refusal(), Some(expected), "{what}: {error}");
    }
    assert_eq!(home.event_count().await, 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_as_malformed() {
    let home = Home::start().await;
    let said = home.said();
    let long =
        Ask::Request { statement: SignedStatement { payload: vec![0; 70_000], ..said.request.clone() } };
    let table = [
        Vec::new(),
        b"\xc1".to_vec(),
        b"not MessagePack".to_vec(),
        codec::encode(&said.cancel()),
        codec::encode(&long),
        [codec::encode(&said.request()), vec![0xc0]].concat(),
    ];
    for payload in table {
        let subject = format!("otp.v1.cmd.{}.agent.shopper.request", owner());
        let answer = home.shopper.connection().client().request(subject, payload.into()).await.unwrap();
        let Reply::Refused { code, .. } = codec::decode(&answer.payload).unwrap() else { panic!() };
        assert_eq!(code, RefusalCode::Malformed);
        assert_eq!(answer.headers.unwrap().get("Nats-Service-Error-Code").unwrap().as_str(), "400");
    }
    assert_eq!(home.event_count().await, 0);
}

#[tokio::test]
async fn a_member_whose_key_was_revoked_is_heard_no_more() {
    let home = Home::start().await;
    let (said, earlier) = (home.said(), home.said());
    home.bring(&earlier, EventType::Captured).await;
    let mut next = home.roster.renewed(home.roster_ref().digest, clock::now());
    next.revoked.push(Revocation { key: key(SHOPPER).id(), at: clock::now() });
    home.phone.call(&enrol(&next)).await.unwrap();
    for ask in [said.request(), earlier.consume(), earlier.cancel()] {
        let error = home.shopper.call(&ask).await.unwrap_err();
        assert_eq!(error.refusal(), Some(RefusalCode::Untrusted), "{error}");
    }
    assert_eq!(home.event_count().await, 3);
    // The others go on, by the roster that they know.
    home.phone.call(&earlier.deny()).await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_no_more_than_it_must() {
    let home = Home::start().await;
    let said = home.said();
    let refused = async |ask: Ask| home.shopper.call(&ask).await.unwrap_err().to_string();
    insta::assert_snapshot!(refused(said.cancel()).await, @"there is no such request");
    insta::assert_snapshot!(refused(Ask::Request { statement: said.approval.clone() }).await, @"a statement of type application/vnd.agent-otp.decision.v1+msgpack stands where application/vnd.agent-otp.request.v1+msgpack belongs");
    home.bring(&said, EventType::Requested).await;
    insta::assert_snapshot!(refused(said.consume()).await, @"this is out of turn: the request was requested");
    home.phone.call(&said.approve()).await.unwrap();
    home.capturer.call(&said.capture()).await.unwrap();
    home.shopper.call(&said.consume()).await.unwrap();
    insta::assert_snapshot!(refused(said.consume_with([0; 16])).await, @"the code was consumed before");
}
