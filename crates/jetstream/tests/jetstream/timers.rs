//! Timers: each fires once, at its time or as soon as the broker is there again.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use agent_otp_domain::{RequestKey, Timestamp};
use agent_otp_jetstream::{Due, Log, StoreError, Timers, Who, clock};
use futures_util::future::join_all;
use futures_util::{FutureExt as _, Stream, StreamExt as _};

use crate::events::{denied, other_owner, owner, request, request_of, requested};
use crate::world::{World, eventually, within};

const RELAY: Who = Who::Operator("relay");

#[tokio::test]
async fn a_timer_fires_at_its_time_and_not_before() {
    let world = World::start(&[]).await;
    let (timers, key) = (timers(&world).await, request());
    let at = soon(300);
    timers.arm(&key, at).await.unwrap();
    let mut fired = pin!(timers.fired().await.unwrap());
    let due = next(&mut fired).await;
    assert!(clock::now() >= at);
    assert_eq!((due.request.as_ref(), due.deliveries), (Some(&key), 1));
    due.done().await.unwrap();
    let armed = timers.armed(&owner(), None).await.unwrap();
    assert!(armed.requests.is_empty(), "{armed:?}");
}

#[tokio::test]
async fn a_timer_that_is_armed_again_stays_as_it_is_and_fires_once() {
    let world = World::start(&[]).await;
    let (timers, key, other) = (timers(&world).await, request(), request());
    timers.arm(&key, soon(200)).await.unwrap();
    timers.arm(&key, soon(60_000)).await.unwrap();
    timers.arm(&other, soon(400)).await.unwrap();
    assert_eq!(timers.armed(&owner(), None).await.unwrap().requests, [key.clone(), other.clone()]);
    let mut fired = pin!(timers.fired().await.unwrap());
    let first = next(&mut fired).await;
    assert_eq!(first.request, Some(key));
    first.done().await.unwrap();
    assert_eq!(next(&mut fired).await.request, Some(other));
}

#[tokio::test]
async fn a_timer_that_was_due_while_the_broker_was_down_fires_after_its_return() {
    let mut world = World::start(&[]).await;
    let (timers, key) = (timers(&world).await, request());
    let at = soon(500);
    timers.arm(&key, at).await.unwrap();
    world.stop().await;
    eventually(async || (clock::now() > at).then_some(())).await;
    world.resume().await;
    let mut fired = pin!(eventually(async || timers.fired().await.ok()).await);
    assert_eq!(next(&mut fired).await.request, Some(key));
}

#[tokio::test]
async fn two_relays_share_the_timers_and_none_fires_for_both() {
    let world = World::start(&[]).await;
    let relays = [timers(&world).await, timers(&world).await];
    let mut armed: BTreeSet<RequestKey> = BTreeSet::new();
    for _ in 0..40 {
        let key = request();
        relays[0].arm(&key, soon(100)).await.unwrap();
        armed.insert(key);
    }
    let (mut one, mut two) = (pin!(relays[0].fired().await.unwrap()), pin!(relays[1].fired().await.unwrap()));
    let mut fired = Vec::new();
    while fired.len() < armed.len() {
        let due = tokio::select! { due = next(&mut one) => due, due = next(&mut two) => due };
        due.done().await.unwrap();
        fired.push(due.request.unwrap());
    }
    assert_eq!(fired.into_iter().collect::<BTreeSet<_>>(), armed);
    assert!(one.next().now_or_never().is_none() && two.next().now_or_never().is_none());
}

#[tokio::test]
async fn what_is_put_back_comes_again_after_its_delay() {
    let world = World::start(&[]).await;
    let (timers, key) = (timers(&world).await, request());
    timers.arm(&key, soon(50)).await.unwrap();
    let mut fired = pin!(timers.fired().await.unwrap());
    let first = next(&mut fired).await;
    let put_back = clock::now();
    let delay = Duration::from_millis(300);
    first.again_after(delay).await.unwrap();
    let second = next(&mut fired).await;
    assert!(clock::now() >= put_back.after(delay));
    assert_eq!((second.request, second.deliveries), (Some(key), 2));
}

#[tokio::test]
async fn armed_timers_are_listed_page_by_page_and_only_their_owners() {
    let world = World::start(&[]).await;
    let timers = timers(&world).await;
    let mine: Vec<RequestKey> = (0..Timers::PAGE + 44).map(|_| request()).collect();
    let foreign = request_of(&other_owner(), "shopper");
    timers.arm(&foreign, soon(60_000)).await.unwrap();
    join_all(mine.iter().map(async |key| timers.arm(key, soon(60_000)).await.unwrap())).await;

    let first = timers.armed(&owner(), None).await.unwrap();
    assert_eq!(first.requests.len(), Timers::PAGE);
    let second = timers.armed(&owner(), first.next).await.unwrap();
    assert_eq!((second.requests.len(), second.next), (44, None));
    let listed: BTreeSet<RequestKey> = first.requests.into_iter().chain(second.requests).collect();
    assert_eq!(listed, mine.into_iter().collect());
    assert_eq!(timers.armed(&other_owner(), None).await.unwrap().requests, [foreign]);
    assert_eq!(timers.armed(&"a".repeat(32).parse().unwrap(), None).await.unwrap().requests, []);
}

#[tokio::test]
async fn a_full_last_page_is_followed_by_an_empty_one() {
    let world = World::start(&[]).await;
    let timers = timers(&world).await;
    let keys: Vec<RequestKey> = (0..Timers::PAGE).map(|_| request()).collect();
    join_all(keys.iter().map(async |key| timers.arm(key, soon(60_000)).await.unwrap())).await;
    let first = timers.armed(&owner(), None).await.unwrap();
    assert!(first.next.is_some());
    let second = timers.armed(&owner(), first.next).await.unwrap();
    assert_eq!((second.requests.len(), second.next), (0, None));
}

#[tokio::test]
async fn the_follower_of_ends_is_told_of_ends_alone() {
    let world = World::start(&[]).await;
    let connection = world.connect(&RELAY).await;
    let (timers, log, key) = (Timers::new(connection.clone()), Log::new(connection), request());
    let one = log.append(0, &requested(&key)).await.unwrap().sequence;
    log.append(one, &denied(&key)).await.unwrap();
    let mut ends = pin!(timers.ends().await.unwrap());
    let end = next(&mut ends).await;
    assert_eq!((end.request.as_ref(), end.deliveries), (Some(&key), 1));
    end.done().await.unwrap();
    assert!(ends.next().now_or_never().is_none());
}

async fn timers(world: &World) -> Timers {
    Timers::new(world.connect(&RELAY).await)
}

fn soon(ms: u64) -> Timestamp {
    clock::now().after(Duration::from_millis(ms))
}

async fn next(due: &mut (impl Stream<Item = Result<Due, StoreError>> + Unpin)) -> Due {
    within(due.next()).await.unwrap().unwrap()
}
