//! Claims that race, and commands that come twice.

use agent_otp_domain::{Event, EventType, SealedCode};
use agent_otp_jetstream::CallError;
use agent_otp_jetstream::message::{Ask, RefusalCode, Reply, Sealed};
use agent_otp_tests::{Place, Shopper, eventually, strings};
use futures_util::future::join_all;

const FROM: &str = "noreply@github.com";
const TEXT: &str = "Your GitHub verification code is 482913.";

#[tokio::test]
async fn of_thirty_two_racing_claims_exactly_one_is_served() {
    let place = Place::new();
    let _up = place.up().await;
    let mut watch = place.watch().await;
    let shopper = Shopper::of(&place).await;
    let (key, statement) = shopper.request().await;
    shopper.bus().call(&Ask::Request { statement }).await.unwrap();
    place.approve(&key.request.to_string()).await;
    place.mail(FROM, TEXT).await;
    let captured = watch.until_key(&key, EventType::Captured).await;

    let claims = join_all((0..32).map(|nonce| shopper.consume(&captured, [nonce; 16]))).await;
    let answers = join_all(claims.iter().map(|claim| shopper.bus().call(claim))).await;
    let served: Vec<usize> =
        (0..).zip(&answers).filter(|(_, answer)| is_code(answer)).map(|(at, _)| at).collect();
    let [winner] = served[..] else { panic!("{} were served", served.len()) };
    for (at, answer) in answers.iter().enumerate().filter(|(at, _)| *at != winner) {
        assert_eq!(refusal(answer), RefusalCode::AlreadyConsumed, "{at}");
    }
    assert_eq!(
        place.history(&key.request.to_string()).await,
        strings(["requested", "approved", "captured", "consumed"])
    );

    let other = shopper.bus().call(&shopper.consume(&captured, [99; 16]).await).await;
    assert_eq!(refusal(&other), RefusalCode::AlreadyConsumed);
    eventually("the vault to be empty", async || place.in_vault(&captured).await.is_none().then_some(()))
        .await;
    // The winner's own claim once more: what is erased cannot be served again.
    let again = shopper.bus().call_once(claims.get(winner).unwrap()).await;
    assert_eq!(refusal(&again), RefusalCode::Unavailable);
}

#[tokio::test]
async fn a_command_that_comes_twice_is_stored_once() {
    let place = Place::new();
    let _up = place.up().await;
    let mut watch = place.watch().await;
    let shopper = Shopper::of(&place).await;
    let (key, statement) = shopper.request().await;
    let id = key.request.to_string();
    let request = Ask::Request { statement };
    for _ in 0..2 {
        assert_eq!(phase(&shopper.bus().call(&request).await), "requested");
    }
    place.approve(&id).await;
    assert_eq!(place.approve(&id).await.stdout, format!("{id} was approved before\n"));
    let approved = watch.until(&id, EventType::Approved).await;
    let user = place.member("approver:local").await;
    let approve = Ask::Approve { statement: approved.event.statement().unwrap().clone() };
    assert_eq!(phase(&user.call(&approve).await), "approved");

    place.mail(FROM, TEXT).await;
    let captured = watch.until(&id, EventType::Captured).await;
    let sealed = place.in_vault(&captured).await.unwrap();
    let capturing = place.member("capturer:local").await;
    let capture = Ask::Capture {
        statement: captured.event.statement().unwrap().clone(),
        sealed: Sealed(SealedCode::new(sealed.as_bytes().to_vec())),
    };
    for (bus, ask) in [(shopper.bus(), &request), (&user, &approve), (&capturing, &capture)] {
        assert_eq!(phase(&bus.call(ask).await), "captured");
    }
    let consume = shopper.consume(&captured, [7; 16]).await;
    assert_eq!(shopper.bus().call(&consume).await.unwrap(), Reply::Code { sealed: Sealed(sealed) });
    for (bus, ask) in [(shopper.bus(), &request), (&user, &approve), (&capturing, &capture)] {
        assert_eq!(phase(&bus.call(ask).await), "consumed");
    }
    assert_eq!(place.history(&id).await, strings(["requested", "approved", "captured", "consumed"]));
    assert_eq!(place.in_vault(&captured).await, None, "what comes again after the end is not kept");
}

#[tokio::test]
async fn an_early_end_that_comes_twice_is_stored_once() {
    let place = Place::new();
    let _up = place.up().await;
    let mut watch = place.watch().await;
    let shopper = Shopper::of(&place).await;
    let (cancelled, statement) = shopper.request().await;
    shopper.bus().call(&Ask::Request { statement }).await.unwrap();
    let cancel = shopper.cancel(&watch.until_key(&cancelled, EventType::Requested).await).await;
    for _ in 0..2 {
        assert_eq!(phase(&shopper.bus().call(&cancel).await), "cancelled");
    }
    assert_eq!(place.history(&cancelled.request.to_string()).await, strings(["requested", "cancelled"]));

    let (denied, statement) = shopper.request().await;
    shopper.bus().call(&Ask::Request { statement }).await.unwrap();
    place.deny(&denied.request.to_string()).await;
    let Event::Denied { statement } = watch.until_key(&denied, EventType::Denied).await.event else {
        panic!()
    };
    let approver = place.member("approver:local").await;
    assert_eq!(phase(&approver.call(&Ask::Deny { statement }).await), "denied");
    assert_eq!(place.history(&denied.request.to_string()).await, strings(["requested", "denied"]));
}

fn is_code(answer: &Result<Reply, CallError>) -> bool {
    matches!(answer, Ok(Reply::Code { .. }))
}

fn phase(answer: &Result<Reply, CallError>) -> &str {
    match answer {
        Ok(Reply::Done { phase, .. }) => phase,
        other => panic!("{other:?}"),
    }
}

fn refusal(answer: &Result<Reply, CallError>) -> RefusalCode {
    match answer {
        Err(error) => error.refusal().unwrap_or_else(|| panic!("{error}")),
        Ok(reply) => panic!("{reply:?}"),
    }
}
