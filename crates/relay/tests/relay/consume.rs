//! Claim before release: who gets the code, who gets it again, and who learns nothing.

use std::time::Duration;

use agent_otp_domain::{Actor, Event, EventType, Recorded, Role, Version};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply, Sealed};
use agent_otp_trust::{Cancel, Consume, Heading, Nonce};

use crate::home::{BOOKER, Home, SHOPPER, name, refusal};
use crate::said::{Said, sign};
use crate::world::eventually;

/// How long a code stays for an agent whose relay died before it answered.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn who_claimed_a_code_gets_it_again_while_it_is_there_and_nobody_else_does() {
    let home = Home::start().await;
    let said = home.said();
    consumed_by_a_relay_that_died(&home, &said).await;
    let other = said.consume_with(clock::random());
    assert_eq!(refusal(home.shopper.call(&other).await), RefusalCode::AlreadyConsumed);
    assert_eq!(refusal(home.booker.call(&said.consume()).await), RefusalCode::Unknown);

    let reply = home.shopper.call(&said.consume()).await.unwrap();
    assert_eq!(reply, Reply::Code { sealed: Sealed(said.sealed.clone()) });
    home.until_erased(&said).await;
    assert_eq!(refusal(home.shopper.call_once(&said.consume()).await), RefusalCode::Unavailable);
    assert_eq!(refusal(home.shopper.call(&other).await), RefusalCode::AlreadyConsumed);
    assert_eq!(home.event_count().await, 4);
}

#[tokio::test]
async fn a_code_whose_relay_died_is_erased_after_the_grace_and_not_before() {
    let home = Home::start().await;
    let said = home.said();
    let consumed = consumed_by_a_relay_that_died(&home, &said).await;
    home.until_erased(&said).await;
    let stayed = clock::now().since(consumed.time);
    assert!(stayed >= GRACE, "{stayed:?}");
}

#[tokio::test]
async fn a_claim_that_may_have_waited_is_served_again_whatever_the_agents_clock_says() {
    let home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Captured).await;
    eventually(async || (clock::now() > said.made_at.after(Duration::from_secs(2))).then_some(())).await;
    let ahead = Heading { made_at: clock::now().after(Duration::from_secs(5)), ..said.heading(SHOPPER) };
    let statement = sign(SHOPPER, &Consume { heading: ahead, ..said.a_consume(said.nonce) });
    let claim = Ask::Consume { statement, nonce: said.nonce };
    for _ in 0..2 {
        let reply = home.shopper.call_once(&claim).await.unwrap();
        assert_eq!(reply, Reply::Code { sealed: Sealed(said.sealed.clone()) });
    }
    home.until_erased(&said).await;
}

#[tokio::test]
async fn an_ended_request_is_erased_although_the_relay_that_ended_it_died() {
    let home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Captured).await;
    let denied = Event::Denied { statement: said.denial.clone() };
    append(&home, &said, Actor { role: Role::Approver, member: name("phone") }, denied).await;
    home.until_erased(&said).await;
}

#[tokio::test]
async fn without_its_ciphertext_a_request_is_not_consumed_until_the_capturer_brings_it_again() {
    let mut home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Captured).await;
    home.world.stop().await;
    home.world.resume().await;

    // The broker has lost its memory, and the relay makes the vault again by itself.
    let refused =
        eventually(async || home.shopper.call_once(&said.consume()).await.unwrap_err().refusal()).await;
    assert_eq!(refused, RefusalCode::Unavailable);
    assert_eq!(home.history(&said.key).await.last(), Some(&EventType::Captured), "nothing was appended");
    home.capturer.call(&said.capture()).await.unwrap();
    let reply = home.shopper.call(&said.consume()).await.unwrap();
    assert_eq!(reply, Reply::Code { sealed: Sealed(said.sealed.clone()) });
    assert_eq!(home.history(&said.key).await.len(), 4);
}

#[tokio::test]
async fn a_nonce_must_be_the_one_that_was_signed() {
    let home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Captured).await;
    let Ask::Consume { statement, .. } = said.consume() else { panic!() };
    let ask = Ask::Consume { statement, nonce: [0; 16] };
    assert_eq!(refusal(home.shopper.call(&ask).await), RefusalCode::Mismatch);
    let elsewhere = Said { capture: said.approval.clone(), ..said.clone() };
    assert_eq!(refusal(home.shopper.call(&elsewhere.consume()).await), RefusalCode::Mismatch);
    assert_eq!(home.event_count().await, 3, "a claim that fails burns nothing");
    home.shopper.call(&said.consume()).await.unwrap();
}

#[tokio::test]
async fn to_another_agent_a_request_does_not_exist_whatever_its_state() {
    let home = Home::start().await;
    let said = home.said();
    learns_nothing(&home, &said).await;
    for reached in [EventType::Requested, EventType::Approved, EventType::Captured, EventType::Consumed] {
        home.bring(&said, reached).await;
        learns_nothing(&home, &said).await;
    }
    let denied = home.said();
    home.bring(&denied, EventType::Requested).await;
    home.phone.call(&denied.deny()).await.unwrap();
    learns_nothing(&home, &denied).await;
    let expired = home.briefly();
    home.bring(&expired, EventType::Requested).await;
    home.until(&expired.key, EventType::Expired).await;
    learns_nothing(&home, &expired).await;
    assert_eq!(home.event_count().await, 4 + 2 + 2);
}

/// Another agent tries all that it can: its own words about the request, and the owner's own repeated.
async fn learns_nothing(home: &Home, said: &Said) {
    let about = |agent: &str| Heading { agent: name(agent), ..said.heading(BOOKER) };
    let nonce = said.nonce;
    let consume = |heading| Consume { heading, ..said.a_consume(nonce) };
    let cancel = |heading| Cancel { heading, request: said.request.digest() };
    let asks = [
        said.consume(),
        said.cancel(),
        said.get(),
        Ask::Consume { statement: sign(BOOKER, &consume(about("shopper"))), nonce },
        Ask::Consume { statement: sign(BOOKER, &consume(about("booker"))), nonce },
        Ask::Consume { statement: sign(SHOPPER, &consume(about("booker"))), nonce },
        Ask::Cancel { statement: sign(BOOKER, &cancel(about("shopper"))) },
        Ask::Cancel { statement: sign(BOOKER, &cancel(about("booker"))) },
    ];
    for (number, ask) in asks.iter().enumerate() {
        let error = home.booker.call(ask).await.unwrap_err();
        let expected = if number == 5 { RefusalCode::Untrusted } else { RefusalCode::Unknown };
        assert_eq!(error.refusal(), Some(expected), "{number}: {error}");
    }
}

/// Stores `consumed` as a relay does, and then neither answers nor erases.
pub(crate) async fn consumed_by_a_relay_that_died(home: &Home, said: &Said) -> Recorded {
    home.bring(said, EventType::Captured).await;
    let Ask::Consume { statement, nonce } = said.consume() else { panic!() };
    let consumed = Event::Consumed { statement, claim: Nonce::new(nonce).digest() };
    append(home, said, Actor { role: Role::Agent, member: name("shopper") }, consumed).await
}

async fn append(home: &Home, said: &Said, actor: Actor, event: Event) -> Recorded {
    let recorded = Recorded {
        id: clock::event_id(),
        owner: said.key.owner.clone(),
        agent: said.key.agent.clone(),
        request: said.key.request,
        version: Version(4),
        time: clock::now(),
        actor,
        event,
    };
    let last = home.log().load(&said.key).await.unwrap().last();
    home.log().append(last, &recorded).await.unwrap();
    recorded
}
