//! Two relays side by side: whoever races, one wins, and the log is whole.

use std::collections::BTreeSet;

use agent_otp_domain::EventType;
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::{RefusalCode, Reply, Sealed};
use futures_util::future::join_all;

use crate::home::Home;
use crate::world::within;

#[tokio::test(flavor = "multi_thread")]
async fn of_thirty_two_racing_claims_one_gets_the_code() {
    let home = side_by_side().await;
    for _ in 0..5 {
        let said = home.said();
        home.bring(&said, EventType::Captured).await;
        let claims: Vec<_> = (0..32).map(|_| said.consume_with(clock::random())).collect();
        let replies = within(join_all(claims.iter().map(|ask| home.shopper.call(ask)))).await;
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert_eq!(
            won.into_iter().next().unwrap().unwrap(),
            Reply::Code { sealed: Sealed(said.sealed.clone()) }
        );
        let lost: BTreeSet<_> =
            lost.into_iter().map(|lost| format!("{:?}", lost.unwrap_err().refusal())).collect();
        assert_eq!(lost, BTreeSet::from([format!("{:?}", Some(RefusalCode::AlreadyConsumed))]));
        assert_eq!(home.history(&said.key).await.len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_claim_sent_many_times_at_once_is_one_claim() {
    let home = side_by_side().await;
    let said = home.said();
    home.bring(&said, EventType::Captured).await;
    let claim = said.consume();
    let replies = within(join_all((0..8).map(|_| home.shopper.call_once(&claim)))).await;
    for reply in &replies {
        match reply {
            Ok(reply) => assert_eq!(*reply, Reply::Code { sealed: Sealed(said.sealed.clone()) }),
            // The first answer has left, and the code is erased.
            Err(error) => assert_eq!(error.refusal(), Some(RefusalCode::Unavailable)),
        }
    }
    assert!(replies.iter().any(Result::is_ok));
    assert_eq!(home.history(&said.key).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_everyone_ends_at_once_ends_once() {
    let home = side_by_side().await;
    for _ in 0..10 {
        let said = home.said();
        home.bring(&said, EventType::Approved).await;
        let (capture, consume, deny, cancel) = (said.capture(), said.consume(), said.deny(), said.cancel());
        let claim = async {
            drop(home.capturer.call(&capture).await);
            home.shopper.call(&consume).await
        };
        let (claimed, denied, cancelled) =
            within(async { tokio::join!(claim, home.phone.call(&deny), home.shopper.call(&cancel)) }).await;
        let history = home.history(&said.key).await;
        let ends = [
            (EventType::Consumed, claimed.is_ok()),
            (EventType::Denied, denied.is_ok()),
            (EventType::Cancelled, cancelled.is_ok()),
        ];
        let ended: Vec<_> = ends.into_iter().filter(|(_, ended)| *ended).map(|(end, _)| end).collect();
        assert_eq!(ended.as_slice(), history.last().into_iter().copied().collect::<Vec<_>>(), "{history:?}");
        home.until_erased(&said).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_overtakes_its_approval_is_refused_or_kept_whole() {
    let home = side_by_side().await;
    let rounds = (0..100).map(async |_| {
        let said = home.said();
        home.bring(&said, EventType::Requested).await;
        let (approve, capture) = (said.approve(), said.capture());
        let (approved, captured) = tokio::join!(home.phone.call(&approve), home.capturer.call(&capture));
        approved.unwrap();
        let kept = home.vault().read(&said.key, &said.digest()).await.unwrap();
        assert_eq!(kept.is_some(), captured.is_ok());
        assert_eq!(home.history(&said.key).await.contains(&EventType::Captured), captured.is_ok());
    });
    within(join_all(rounds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_lives_at_once_gets_its_own_code() {
    let home = side_by_side().await;
    let lives = (0..40).map(async |_| {
        let said = home.said();
        home.bring(&said, EventType::Captured).await;
        let reply = home.shopper.call(&said.consume()).await.unwrap();
        assert_eq!(reply, Reply::Code { sealed: Sealed(said.sealed.clone()) });
        home.until_erased(&said).await;
        assert_eq!(home.history(&said.key).await.len(), 4);
    });
    within(join_all(lives)).await;
    assert_eq!(home.event_count().await, 160);
}

async fn side_by_side() -> Home {
    let mut home = Home::start().await;
    home.serve().await;
    home
}
