//! A reader gets what it asks for: by agent, by type or state, by time, and all of it together.

use agent_otp_audit::{Filter, Trail};
use agent_otp_domain::EventType;

use crate::stage::{Stage, at, foreign, life, name};

#[tokio::test]
async fn a_filter_admits_what_has_all_of_it() {
    let stage = Stage::set().await;
    // Events 1 to 4, 5 and 6, 7.
    stage.append(life(7)).await;
    stage.append(life(8).into_iter().take(2)).await;
    stage.append([foreign(1)]).await;
    stage.projector().await.catch_up().await.unwrap();
    let agents =
        |names: &[&str]| Filter { agents: names.iter().copied().map(name).collect(), ..Filter::default() };
    let types = |types: &[EventType]| Filter { types: types.to_vec(), ..Filter::default() };
    let time = |since, until| Filter { since, until, ..Filter::default() };
    let table: [(Filter, &[u64], usize); 10] = [
        (Filter::default(), &[1, 2, 3, 4, 5, 6, 7], 3),
        (agents(&["shopper"]), &[1, 2, 3, 4, 5, 6], 2),
        (agents(&["shopper", "stranger"]), &[1, 2, 3, 4, 5, 6, 7], 3),
        (agents(&["nobody"]), &[], 0),
        (types(&[EventType::Approved]), &[2, 6], 1),
        (types(&[EventType::Consumed, EventType::Expired]), &[4, 7], 2),
        (time(Some(at(10)), None), &[2, 3, 4, 6, 7], 3),
        (time(None, Some(at(10))), &[1, 5], 0),
        (time(Some(at(10)), Some(at(30))), &[2, 3, 6], 1),
        (
            Filter {
                since: Some(at(5)),
                until: Some(at(15)),
                ..types(&[EventType::Approved, EventType::Requested])
            },
            &[2, 6],
            1,
        ),
    ];
    let mut trail = stage.trail().await;
    for (filter, expected, requests) in table {
        assert_eq!(positions(&mut trail, &filter, 0).await, expected, "{filter:?}");
        assert_eq!(trail.requests(&filter, 10).await.unwrap().len(), requests, "{filter:?}");
    }
}

#[tokio::test]
async fn the_last_few_are_those_that_the_filter_admits() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.append((1..=3).map(foreign)).await;
    stage.projector().await.catch_up().await.unwrap();
    let mut trail = stage.trail().await;
    let shopper = Filter { agents: vec![name("shopper")], ..Filter::default() };
    let nobody = Filter { agents: vec![name("nobody")], ..Filter::default() };
    let table: [(&Filter, u32, &[u64]); 4] = [
        (&Filter::default(), 2, &[6, 7]),
        (&shopper, 2, &[3, 4]),
        (&shopper, 9, &[1, 2, 3, 4]),
        (&nobody, 1, &[]),
    ];
    for (filter, count, expected) in table {
        let after = trail.before_last(filter, count).await.unwrap();
        assert_eq!(positions(&mut trail, filter, after).await, expected, "{filter:?}");
    }
}

async fn positions(trail: &mut Trail, filter: &Filter, after: u64) -> Vec<u64> {
    let entries = trail.events(filter, after, 100).await.unwrap();
    entries.iter().map(|entry| entry.position).collect()
}
