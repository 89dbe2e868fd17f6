//! The bus: who is asked what, how a refusal looks to NATS's own tools, and what garbage comes to.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_otp_domain::{Recorded, Role, Version, codec};
use agent_otp_jetstream::message::{Ask, OpenRequest, RefusalCode, Reply};
use agent_otp_jetstream::service::COMMAND_BYTES_MAX;
use agent_otp_jetstream::{Bus, CallError, Incoming, Service, Verb, Who, clock};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::events::{member, name, owner, request, requested, statement};
use crate::world::{World, within};

const RELAY: Who = Who::Operator("relay");
const MICRO: Who = Who::Operator("micro");

#[tokio::test]
async fn a_command_reaches_the_relay_with_its_caller_and_is_answered() {
    let (world, bus) = shopper().await;
    let mut service = Service::start(&world.connect(&RELAY).await).await.unwrap();
    let ask = Ask::Cancel { statement: statement("cancel") };
    let done = Reply::Done { phase: "cancelled".to_owned(), version: Version(2) };
    let relay = async {
        let incoming = service.next().await.unwrap();
        incoming.answer(&done).await;
        incoming
    };
    let (reply, incoming) = within(async { tokio::join!(bus.call(&ask), relay) }).await;
    assert_eq!(reply.unwrap(), done);
    assert_eq!((incoming.owner, incoming.role, incoming.member), (owner(), Role::Agent, name("shopper")));
    assert_eq!((incoming.verb, incoming.ask.unwrap()), (Verb::Cancel, ask));
}

#[tokio::test]
async fn a_refusal_stands_in_the_headers_as_it_does_in_the_body() {
    let (world, bus) = shopper().await;
    let refused = Reply::Refused { code: RefusalCode::OutOfTurn, message: "not\r\nX-Forged: now".to_owned() };
    let _relay = serve(&world, refused.clone()).await;
    let error = bus.call(&get()).await.unwrap_err();
    assert_eq!(error.refusal(), Some(RefusalCode::OutOfTurn));

    let subject = format!("otp.v1.cmd.{}.agent.shopper.get", owner());
    let client = bus.connection().client();
    let answer = client.request(subject, codec::encode(&get()).into()).await.unwrap();
    assert_eq!(codec::decode::<Reply>(&answer.payload).unwrap(), refused);
    let headers = answer.headers.unwrap();
    let mut headers: Vec<_> = headers.iter().map(|(name, values)| format!("{name}: {}", values[0])).collect();
    headers.sort();
    insta::assert_snapshot!(headers.join("\n"), @"
    Content-Type: application/msgpack
    Nats-Service-Error-Code: 409
    Nats-Service-Error: not<U+000D><U+000A>X-Forged: now
    ");
}

#[tokio::test]
async fn what_a_relay_says_of_a_refusal_acts_on_no_screen_and_has_an_end() {
    let (world, bus) = shopper().await;
    let message = format!("no\u{1b}[12A\u{202e}\u{1b}[8m\n{}", "x".repeat(70_000));
    let _relay = serve(&world, Reply::Refused { code: RefusalCode::Mismatch, message }).await;
    let told = bus.call(&get()).await.unwrap_err().to_string();
    assert!(told.starts_with("no<U+001B>[12A<U+202E><U+001B>[8m<U+000A>xxx"), "{told}");
    assert_eq!(told.chars().count(), 300);
}

/// The broker checks no reply subject, and the relay may publish where a member may not.
#[tokio::test]
async fn an_answer_is_sent_to_the_askers_own_inbox_and_nowhere_else() {
    let (world, bus) = shopper().await;
    let mut service = Service::start(&world.connect(&RELAY).await).await.unwrap();
    let client = bus.connection().client();
    let subject = format!("otp.v1.cmd.{}.agent.shopper.get", owner());
    let others = [
        format!("otp.v1.roster.{}.99999", owner()),
        format!("otp.v1.log.{}.shopper.{}.requested", owner(), request().request),
        format!("_INBOX.{}.approver.local.x", owner()),
        format!("_INBOX.{}.agent.shopper2.x", owner()),
    ];
    for other in others {
        client.publish_with_reply(subject.clone(), other, codec::encode(&get()).into()).await.unwrap();
    }
    client.publish(subject, codec::encode(&get()).into()).await.unwrap();
    // What was asked for elsewhere came first, so the first that is handed out is the one that is asked properly.
    let own = get();
    let events = Reply::Events { events: Vec::new(), now: None };
    let relay = async {
        let incoming = service.next().await.unwrap();
        incoming.answer(&events).await;
        incoming
    };
    let (reply, incoming) = within(async { tokio::join!(bus.call(&own), relay) }).await;
    assert_eq!((reply.unwrap(), incoming.ask.unwrap()), (events, own));
}

#[tokio::test]
async fn a_bus_without_a_relay_says_so_at_once() {
    let (_world, bus) = shopper().await;
    let error = bus.call_once(&get()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)), "{error}");
    insta::assert_snapshot!(error, @"the relay does not answer; is it running?");
}

#[tokio::test]
async fn a_call_waits_for_a_relay_that_is_about_to_come() {
    let (world, bus) = shopper().await;
    let calling = tokio::spawn(async move { bus.call(&get()).await });
    let _relay = serve(&world, Reply::Events { events: Vec::new(), now: None }).await;
    assert_eq!(within(calling).await.unwrap().unwrap(), Reply::Events { events: Vec::new(), now: None });
}

#[tokio::test]
async fn a_call_is_made_again_while_the_relay_has_trouble_with_its_store() {
    let (world, bus) = shopper().await;
    let mut service = Service::start(&world.connect(&RELAY).await).await.unwrap();
    let calling = tokio::spawn(async move { bus.call(&get()).await });
    let unavailable = Reply::Refused { code: RefusalCode::Unavailable, message: "not now".to_owned() };
    for reply in [&unavailable, &unavailable, &Reply::Events { events: Vec::new(), now: None }] {
        within(service.next()).await.unwrap().answer(reply).await;
    }
    assert_eq!(within(calling).await.unwrap().unwrap(), Reply::Events { events: Vec::new(), now: None });
}

#[tokio::test]
async fn when_a_request_was_stored_is_told_by_the_askers_own_clock() {
    let (world, bus) = shopper().await;
    let key = request();
    let stored = requested(&key);
    let events = vec![codec::encode(&stored).into()];
    // The relay's clock is a day off, and the request was stored 70 s ago.
    let day = Duration::from_hours(24);
    let age = Duration::from_secs(70);
    let off = Recorded { time: stored.time.after(day), ..stored.clone() };
    let now = Some(off.time.after(age));
    let relay = serve(&world, Reply::Events { events: vec![codec::encode(&off).into()], now }).await;
    let (earliest, (_, stored_at)) = (clock::now(), bus.get_dated(&key).await.unwrap());
    let asked_at = stored_at.unwrap().after(age);
    assert!((earliest..=clock::now()).contains(&asked_at), "{asked_at}");

    drop(relay);
    let _silent = serve(&world, Reply::Events { events, now: None }).await;
    assert_eq!(within(bus.get_dated(&key)).await.unwrap(), (vec![stored], None));
}

#[tokio::test]
async fn a_list_of_open_requests_ends_although_the_relay_has_always_another_page() {
    let (world, bus) = asker(Role::Approver, "phone").await;
    let mut service = Service::start(&world.connect(&RELAY).await).await.unwrap();
    let (agent, request) = (name("shopper"), request().request);
    let page = |length| vec![OpenRequest { agent: agent.clone(), request }; length];
    let answer = async |service: &mut Service, requests, next| {
        service.next().await.unwrap().answer(&Reply::Open { requests, next: Some(next) }).await;
    };
    let endless = async {
        for next in 1..=64 {
            answer(&mut service, page(256), next).await;
        }
    };
    let (listed, ()) = within(async { tokio::join!(bus.open(), endless) }).await;
    assert_eq!(listed.unwrap().len(), 16_384);

    let round = async {
        answer(&mut service, Vec::new(), 7).await;
        answer(&mut service, Vec::new(), 7).await;
    };
    let (listed, ()) = within(async { tokio::join!(bus.open(), round) }).await;
    assert!(matches!(listed, Err(CallError::Unreadable(_))), "{listed:?}");
    let (listed, ()) = within(async { tokio::join!(bus.open(), answer(&mut service, page(257), 1)) }).await;
    assert!(matches!(listed, Err(CallError::Unreadable(_))), "{listed:?}");
}

#[tokio::test]
async fn garbage_and_excess_reach_the_relay_as_unreadable() {
    let (world, bus) = shopper().await;
    let mut service = Service::start(&world.connect(&RELAY).await).await.unwrap();
    subscribed(&bus, &mut service).await;
    let long = Ask::Cancel { statement: statement(&"x".repeat(COMMAND_BYTES_MAX)) };
    let trailing = [codec::encode(&get()), vec![0xc0]].concat();
    let table = [Vec::new(), b"\xc1".to_vec(), b"{}".to_vec(), trailing, codec::encode(&long)];
    for payload in table {
        let subject = format!("otp.v1.cmd.{}.agent.shopper.get", owner());
        let client = bus.connection().client();
        client.publish_with_reply(subject, client.new_inbox(), payload.clone().into()).await.unwrap();
        let incoming = within(service.next()).await.unwrap();
        assert!(incoming.ask.is_err(), "{} bytes were read", payload.len());
        assert_eq!(incoming.verb, Verb::Get);
    }
}

#[tokio::test]
async fn what_is_larger_than_the_broker_takes_is_refused_before_it_leaves() {
    let (_world, bus) = shopper().await;
    let huge = Ask::Cancel { statement: statement(&"x".repeat(2 * 1024 * 1024)) };
    assert_eq!(bus.call_once(&huge).await.unwrap_err().refusal(), Some(RefusalCode::Malformed));
}

#[tokio::test]
async fn two_relays_share_the_commands_and_the_one_that_stops_leaves_them_to_the_other() {
    let (world, bus) = shopper().await;
    let one = Service::start(&world.connect(&RELAY).await).await.unwrap();
    let two = serve(&world, Reply::Events { events: Vec::new(), now: None }).await;
    one.stop().await;
    for _ in 0..20 {
        within(bus.call(&get())).await.unwrap();
    }
    drop(two);
}

#[tokio::test]
async fn nats_own_tools_find_the_relay_and_count_what_it_answers() {
    let (world, bus) = shopper().await;
    let _relay = serve(&world, Reply::Events { events: Vec::new(), now: None }).await;
    bus.call(&get()).await.unwrap();
    let micro = world.connect(&MICRO).await;
    let ask = async |subject: &'static str| {
        let answer = micro.client().request(subject, "".into()).await.unwrap();
        serde_json::from_slice::<Value>(&answer.payload).unwrap()
    };
    let info = ask("$SRV.INFO.agent-otp-relay").await;
    let listed: BTreeSet<_> = endpoints(&info, |endpoint| {
        let text = |key: &str| endpoint[key].as_str().unwrap().to_owned();
        (text("name"), text("subject"), text("queue_group"))
    });
    let expected = Verb::ALL
        .map(Verb::as_str)
        .map(|verb| (verb.to_owned(), format!("otp.v1.cmd.*.*.*.{verb}"), "relay".to_owned()));
    assert_eq!(listed, BTreeSet::from(expected));
    let stats = ask("$SRV.STATS").await;
    let counted = endpoints(&stats, |endpoint| {
        (endpoint["name"].as_str().unwrap().to_owned(), endpoint["num_requests"].as_u64().unwrap())
    });
    assert!(counted.contains(&("get".to_owned(), 1)) && counted.contains(&("consume".to_owned(), 0)));
    assert_eq!(ask("$SRV.PING").await["name"], "agent-otp-relay");
}

/// A world with the agent `shopper`, and its bus.
async fn shopper() -> (World, Bus) {
    asker(Role::Agent, "shopper").await
}

/// A world with one member, and its bus.
async fn asker(role: Role, text: &str) -> (World, Bus) {
    let who = member(role, text);
    let world = World::start(std::slice::from_ref(&who)).await;
    let bus = Bus::new(world.connect(&who).await, owner(), role, name(text));
    (world, bus)
}

/// A relay that answers everything alike, until it is dropped.
async fn serve(world: &World, reply: Reply) -> JoinSet<()> {
    let connection = world.connect(&RELAY).await;
    let mut service = Service::start(&connection).await.unwrap();
    let mut relay = JoinSet::new();
    relay.spawn(async move {
        while let Some(incoming) = service.next().await {
            Incoming::answer(&incoming, &reply).await;
        }
    });
    relay
}

/// Waits until the broker knows of the service.
async fn subscribed(bus: &Bus, service: &mut Service) {
    let ask = get();
    let answer = async {
        service.next().await.unwrap().answer(&Reply::Events { events: Vec::new(), now: None }).await;
    };
    let (called, ()) = within(async { tokio::join!(bus.call(&ask), answer) }).await;
    called.unwrap();
}

fn get() -> Ask {
    let key = request();
    Ask::Get { agent: key.agent, request: key.request }
}

fn endpoints<T: Ord>(answer: &Value, read: impl Fn(&Value) -> T) -> BTreeSet<T> {
    answer["endpoints"].as_array().unwrap().iter().map(read).collect()
}
