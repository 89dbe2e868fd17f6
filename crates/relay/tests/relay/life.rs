//! A request's life by the bus: each reply, each stored event, and every command once more.

use agent_otp_domain::{Actor, Event, EventType, Role, Version};
use agent_otp_jetstream::message::{Ask, OpenRequest, RefusalCode, Reply, Sealed};
use agent_otp_jetstream::{Bus, Feed};
use agent_otp_trust::Nonce;

use crate::home::{Home, name, phase, refusal};
use crate::said::Said;
use crate::world::within;

type Speak = fn(&Said) -> Ask;
type Speaker = fn(&Home) -> &Bus;

#[tokio::test]
async fn a_code_goes_from_the_capturer_to_the_agent_that_asked() {
    let home = Home::start().await;
    let said = home.said();
    let mut feed = Feed::of_request(home.shopper.connection(), &said.key).await.unwrap();
    let asks =
        [(&home.shopper, said.request()), (&home.phone, said.approve()), (&home.capturer, said.capture())];
    for ((version, kind), (bus, ask)) in (1..).zip(EventType::ALL).zip(&asks) {
        let reply = bus.call(ask).await.unwrap();
        assert_eq!(reply, Reply::Done { phase: kind.to_string(), version: Version(version) });
        assert_eq!(within(feed.next()).await.unwrap().recorded.event.kind(), kind);
    }
    let open = OpenRequest { agent: said.key.agent.clone(), request: said.key.request };
    assert_eq!(home.phone.open().await.unwrap(), [open]);

    let reply = home.shopper.call(&said.consume()).await.unwrap();
    assert_eq!(reply, Reply::Code { sealed: Sealed(said.sealed.clone()) });
    assert_eq!(within(feed.next()).await.unwrap().recorded.event.kind(), EventType::Consumed);
    assert_eq!(home.capturer.open().await.unwrap(), []);
    home.until_erased(&said).await;

    let stored = home.events(&said.key).await;
    assert_eq!(
        stored.iter().map(|recorded| &recorded.event).collect::<Vec<_>>(),
        events(&said).iter().collect::<Vec<_>>()
    );
    let actors = [
        (Role::Agent, "shopper"),
        (Role::Approver, "phone"),
        (Role::Capturer, "home"),
        (Role::Agent, "shopper"),
    ];
    assert_eq!(
        stored.iter().map(|recorded| (recorded.version, recorded.actor.clone())).collect::<Vec<_>>(),
        (1..)
            .zip(actors)
            .map(|(version, (role, member))| (Version(version), Actor { role, member: name(member) }))
            .collect::<Vec<_>>(),
    );
    home.history(&said.key).await;
}

#[tokio::test]
async fn whoever_gets_a_request_gets_the_very_bytes_that_are_stored() {
    let home = Home::start().await;
    let said = home.said();
    assert_eq!(home.shopper.get(&said.key).await.unwrap(), []);
    home.bring(&said, EventType::Captured).await;
    let stored = home.log().load(&said.key).await.unwrap();
    for bus in [&home.shopper, &home.phone, &home.capturer] {
        let Reply::Events { events, .. } = bus.call(&said.get()).await.unwrap() else { panic!() };
        assert_eq!(events.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>(), stored.bytes);
        assert_eq!(bus.get(&said.key).await.unwrap(), stored.events);
    }
}

#[tokio::test]
async fn every_command_may_be_sent_again_at_any_later_time_and_appends_nothing() {
    let home = Home::start().await;
    let said = home.said();
    let asks = [
        (EventType::Requested, &home.shopper, said.request()),
        (EventType::Approved, &home.phone, said.approve()),
        (EventType::Captured, &home.capturer, said.capture()),
    ];
    for (count, (reached, _, _)) in (1..).zip(&asks) {
        for (_, bus, ask) in asks.get(..count).unwrap().iter().chain(asks.get(..count).unwrap()) {
            bus.call(ask).await.unwrap();
        }
        assert_eq!((home.event_count().await, home.history(&said.key).await.last()), (count, Some(reached)));
    }
    home.shopper.call(&said.consume()).await.unwrap();
    home.until_erased(&said).await;
    for (_, bus, ask) in &asks {
        assert_eq!(phase(&bus.call(ask).await.unwrap()), "consumed");
    }
    assert_eq!(refusal(home.shopper.call_once(&said.consume()).await), RefusalCode::Unavailable);
    assert_eq!(home.event_count().await, 4);
    let kept = home.vault().read(&said.key, &said.digest()).await.unwrap();
    assert_eq!(kept, None, "a capture that is offered again after the end is not kept");
}

#[tokio::test]
async fn an_early_end_is_possible_at_every_point_and_erases_what_was_captured() {
    let home = Home::start().await;
    let ends: [(EventType, Speak, Speaker); 2] = [
        (EventType::Denied, Said::deny, |home| &home.phone),
        (EventType::Cancelled, Said::cancel, |home| &home.shopper),
    ];
    for (end, ask, bus) in ends {
        for reached in [EventType::Requested, EventType::Approved, EventType::Captured] {
            let said = home.said();
            home.bring(&said, reached).await;
            for _ in 0..2 {
                assert_eq!(phase(&bus(&home).call(&ask(&said)).await.unwrap()), end.as_str());
            }
            home.until_erased(&said).await;
            let history = home.history(&said.key).await;
            assert_eq!(history.last(), Some(&end));
            assert_eq!(history.get(history.len() - 2), Some(&reached));
            assert_eq!(refusal(home.shopper.call(&said.consume()).await), RefusalCode::OutOfTurn);
        }
    }
    assert_eq!(home.phone.open().await.unwrap(), []);
}

#[tokio::test]
async fn nothing_happens_out_of_turn() {
    let home = Home::start().await;
    let said = home.said();
    let (capture, consume) = (said.capture(), said.consume());
    for (bus, ask) in [
        (&home.phone, said.approve()),
        (&home.phone, said.deny()),
        (&home.capturer, capture.clone()),
        (&home.shopper, consume.clone()),
        (&home.shopper, said.cancel()),
    ] {
        assert_eq!(refusal(bus.call(&ask).await), RefusalCode::Unknown, "{}", ask.verb().as_str());
    }
    home.bring(&said, EventType::Requested).await;
    assert_eq!(refusal(home.capturer.call(&capture).await), RefusalCode::OutOfTurn);
    assert_eq!(refusal(home.shopper.call(&consume).await), RefusalCode::OutOfTurn);
    home.phone.call(&said.approve()).await.unwrap();
    assert_eq!(refusal(home.shopper.call(&consume).await), RefusalCode::OutOfTurn);
    assert_eq!(home.event_count().await, 2);
}

#[tokio::test]
async fn an_id_that_is_taken_by_another_request_stays_with_it() {
    let home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Requested).await;
    let other = Said::about(said.key.clone(), said.roster, said.made_at, std::time::Duration::from_mins(6));
    assert_eq!(refusal(home.shopper.call(&other.request()).await), RefusalCode::Taken);
    // Another agent's request of the same id is another request.
    assert_eq!(home.booker.get(&said.key).await.unwrap(), []);
    assert_eq!(home.event_count().await, 1);
}

#[tokio::test]
async fn open_requests_are_listed_over_pages_and_ended_ones_are_not() {
    let home = Home::start().await;
    let all: Vec<Said> = (0..300).map(|_| home.said()).collect();
    let asking = all.iter().map(async |said| home.shopper.call(&said.request()).await.unwrap());
    futures_util::future::join_all(asking).await;
    for said in all.get(..5).unwrap() {
        home.phone.call(&said.deny()).await.unwrap();
    }
    let mut open = home.capturer.open().await.unwrap();
    open.sort_by_key(|open| open.request);
    let mut expected: Vec<_> = all.get(5..).unwrap().iter().map(|said| said.key.request).collect();
    expected.sort();
    assert_eq!(open.iter().map(|open| open.request).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_keeps_back_nothing_but_itself() {
    let home = Home::start().await;
    let (damaged, whole) = (home.said(), home.said());
    for said in [&damaged, &whole] {
        home.bring(said, EventType::Requested).await;
    }
    home.damage(&damaged.key).await;
    let open = OpenRequest { agent: whole.key.agent.clone(), request: whole.key.request };
    assert_eq!(home.phone.open().await.unwrap(), [open]);
    home.phone.call(&whole.approve()).await.unwrap();
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_leaves_nothing_unanswered_and_the_next_one_goes_on() {
    let mut home = Home::start().await;
    let said = home.said();
    home.bring(&said, EventType::Approved).await;
    home.stop_serving().await;
    home.shopper.call_once(&said.get()).await.unwrap_err();
    home.serve().await;
    home.capturer.call(&said.capture()).await.unwrap();
    home.shopper.call(&said.consume()).await.unwrap();
    assert_eq!(home.history(&said.key).await.len(), 4);
}

/// The four events of a whole life, each with the statement as it was sent.
fn events(said: &Said) -> [Event; 4] {
    let Ask::Consume { statement: consume, nonce } = said.consume() else { panic!() };
    let capturers = vec![crate::home::key(crate::home::HOME).id()];
    [
        Event::Requested { statement: said.request.clone(), expires_at: said.expires_at },
        Event::Approved { statement: said.approval.clone(), expires_at: said.expires_at, capturers },
        Event::Captured { statement: said.capture.clone(), sealed: said.digest() },
        Event::Consumed { statement: consume, claim: Nonce::new(nonce).digest() },
    ]
}
