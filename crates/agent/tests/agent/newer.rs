//! A code that comes after the one that the agent has: it replaces nothing, and the agent hears of it.

use agent_otp_domain::{RequestKey, SignedStatement, codec};
use agent_otp_jetstream::{Who, clock};
use agent_otp_trust::{Heading, IdentityKey, Newer, VerifiedRequest};

use crate::home::{DESK, Home, PHONE, briefly, key};
use crate::world::within;

const ACME: &str = "Acme <no-reply@acme.example>";

#[tokio::test]
async fn an_agent_hears_that_another_code_came_and_gets_it_by_asking_again() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    home.approve(pending.key()).await;
    let newer = pending.newer().await.unwrap();
    home.mail(ACME, "Your login code is 482913.").await;
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
    home.mail(ACME, "Your login code is 550127.").await;
    assert!(within(newer.came()).await);

    let again = home.ask().await;
    home.approve(again.key()).await;
    assert_eq!(within(again.wait()).await.unwrap().expose(), "550127");
}

#[tokio::test]
async fn an_agent_believes_whoever_captured_its_code_and_nobody_else() {
    let home = Box::pin(Home::start()).await;
    let (pending, other) = (home.ask().await, home.ask().await);
    let (asked, other) = (home.seen(pending.key()).await, home.seen(other.key()).await);
    home.deny(&other.key).await;
    home.approve(&asked.key).await;
    let newer = pending.newer().await.unwrap();
    home.mail(ACME, "Your login code is 482913.").await;
    within(pending.wait()).await.unwrap();

    let waiting = tokio::spawn(newer.came());
    let stranger = IdentityKey::from_seed(&[77; 32].into());
    tell(&home, &asked.key, &notice(&asked, &stranger)).await;
    tell(&home, &asked.key, &notice(&asked, &key(PHONE))).await;
    tell(&home, &asked.key, &notice(&other, &key(DESK))).await;
    home.alarms(3).await;
    assert!(!waiting.is_finished());
    tell(&home, &asked.key, &notice(&asked, &key(DESK))).await;
    assert!(within(waiting).await.unwrap());
}

#[tokio::test]
async fn forged_notices_are_put_aside_without_asking_the_relay() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    home.approve(pending.key()).await;
    let (asked, newer) = (home.seen(pending.key()).await, pending.newer().await.unwrap());
    home.mail(ACME, "Your login code is 482913.").await;
    within(pending.wait()).await.unwrap();
    let before = answers(&home).await;
    let waiting = tokio::spawn(newer.came());
    let stranger = IdentityKey::from_seed(&[77; 32].into());
    for _ in 0..20 {
        tell(&home, &asked.key, &notice(&asked, &stranger)).await;
    }
    tell(&home, &asked.key, &notice(&asked, &key(DESK))).await;
    assert!(within(waiting).await.unwrap());
    let asked = answers(&home).await - before;
    assert!(asked < 5, "the relay was asked {asked} times");
}

#[tokio::test]
async fn after_the_deadline_nothing_is_waited_for() {
    let home = Box::pin(Home::start()).await;
    let pending = home.agent.request(briefly()).await.unwrap();
    assert!(!within(pending.newer().await.unwrap().came()).await);
}

/// That another code came for this request, as whoever has this key says.
fn notice(request: &VerifiedRequest, signer: &IdentityKey) -> SignedStatement {
    let heading = Heading { signer: signer.id(), made_at: clock::now(), ..request.request.heading.clone() };
    signer.sign(&Newer { heading, request: request.digest })
}

/// Tells the agent about this request, as a broker could.
async fn tell(home: &Home, key: &RequestKey, notice: &SignedStatement) {
    let broker = home.world.connect(&Who::Operator("broker")).await;
    let subject = format!("otp.v1.notice.{key}");
    broker.client().publish(subject, codec::encode(notice).into()).await.unwrap();
    broker.flush().await;
}

/// How many commands and queries the relay has answered, as NATS's own tools count them.
async fn answers(home: &Home) -> u64 {
    let micro = home.world.connect(&Who::Operator("micro")).await;
    let stats = micro.client().request("$SRV.STATS", "".into()).await.unwrap();
    let stats = String::from_utf8(stats.payload.to_vec()).unwrap();
    let counts = stats.split("\"num_requests\":").skip(1);
    counts.map(|count| count.split([',', '}']).next().unwrap().trim().parse::<u64>().unwrap()).sum()
}
