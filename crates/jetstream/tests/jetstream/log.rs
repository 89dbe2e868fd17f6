//! The log: what is appended once stays, in order, whoever races and whatever is lost on the way.

use agent_otp_domain::{RequestKey, State, Version, causes, codec};
use agent_otp_jetstream::{AppendError, Connection, Feed, Log, Replay, Who};
use async_nats::{HeaderMap, jetstream};
use futures_util::StreamExt as _;
use futures_util::future::join_all;

use crate::events::{approved, captured, denied, request, requested};
use crate::network::{Fault, Network};
use crate::world::{World, within};

const RELAY: Who = Who::Operator("relay");

#[tokio::test]
async fn what_was_appended_is_loaded_byte_for_byte() {
    let world = World::start(&[]).await;
    let (log, key, other) = (log(&world).await, request(), request());
    let (first, second) = (requested(&key), approved(&key));
    assert_eq!(log.load(&key).await.unwrap().state(), State::Absent);

    let one = log.append(0, &first).await.unwrap().sequence;
    log.append(0, &requested(&other)).await.unwrap();
    let two = log.append(one, &second).await.unwrap().sequence;

    let loaded = log.load(&key).await.unwrap();
    assert_eq!((loaded.last(), loaded.version()), (two, Version(2)));
    assert_eq!(loaded.bytes, [codec::encode(&first), codec::encode(&second)]);
    assert_eq!(loaded.events, [first, second]);
    assert!(log.is_current(&key, two).await.unwrap());
    assert!(!log.is_current(&key, one).await.unwrap());
    assert!(log.is_current(&request(), 0).await.unwrap());
}

#[tokio::test]
async fn a_broker_that_answers_a_read_for_ever_is_not_listened_to_for_ever() {
    let world = World::bare(&[]).await;
    let broker = world.connect(&Who::Operator("broker")).await.client().clone();
    let mut reads = broker.subscribe("$JS.API.DIRECT.GET.OTP_LOG").await.unwrap();
    broker.flush().await.unwrap();
    let (log, key) = (log(&world).await, request());
    let endless = async {
        let inbox = reads.next().await.unwrap().reply.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Subject", format!("otp.v1.log.{key}.requested"));
        headers.insert("Nats-Sequence", "1");
        headers.insert("Nats-Time-Stamp", "2026-01-31T12:00:00Z");
        let body = codec::encode(&requested(&key));
        loop {
            let (inbox, headers) = (inbox.clone(), headers.clone());
            broker.publish_with_headers(inbox, headers, body.clone().into()).await.unwrap();
            broker.flush().await.unwrap();
        }
    };
    let error = within(async {
        tokio::select! {
            loaded = log.load(&key) => loaded.unwrap_err(),
            () = endless => unreachable!("it goes on for ever"),
        }
    })
    .await;
    assert!(causes(&error).contains("more than the 7 messages that were asked for"), "{}", causes(&error));
}

#[tokio::test]
async fn an_event_is_read_as_the_broker_stored_it_whatever_its_publisher_said_of_it() {
    let world = World::start(&[]).await;
    let connection = world.connect(&RELAY).await;
    let (log, replay, key) = (Log::new(connection.clone()), Replay::new(connection.clone()), request());
    let (subject, body) = (format!("otp.v1.log.{key}.requested"), codec::encode(&requested(&key)));
    let mut headers = HeaderMap::new();
    for name in ["Nats-Sequence", "nats-sequence", "Nats-Subject", "Nats-Time-Stamp", "Nats-Num-Pending"] {
        headers.insert(name, "x");
    }
    let (client, payload) = (connection.client(), body.clone().into());
    client.request_with_headers(subject.clone(), headers, payload).await.unwrap();
    let other = log.append(0, &requested(&request())).await.unwrap().sequence;
    let read = replay.from(1).await.unwrap();
    assert_eq!(read.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, other]);
    assert_eq!((&*read[0].subject, &*read[0].body), (&*subject, &*body));
    assert_eq!(log.load(&key).await.unwrap().sequences, [1]);
    assert_eq!(replay.last().await.unwrap(), other);
}

#[tokio::test]
async fn an_append_that_expects_another_sequence_conflicts() {
    let world = World::start(&[]).await;
    let (log, key) = (log(&world).await, request());
    let one = log.append(0, &requested(&key)).await.unwrap().sequence;
    for expected in [0, one + 1] {
        let refused = log.append(expected, &approved(&key)).await;
        assert!(
            matches!(refused, Err(AppendError::Conflict { expected: e }) if e == expected),
            "{refused:?}"
        );
    }
    assert_eq!(log.load(&key).await.unwrap().last(), one);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_racing_writers_exactly_one_wins_each_of_fifty_rounds() {
    let world = World::start(&[]).await;
    let writers = join_all((0..8).map(|_| log(&world))).await;
    for round in 0..50 {
        let key = request();
        let racing = writers.iter().cloned().map(|log| {
            let recorded = requested(&key);
            tokio::spawn(async move { (recorded.id, log.append(0, &recorded).await) })
        });
        let outcomes: Vec<_> = join_all(racing).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).collect();
        let conflicts =
            outcomes.iter().filter(|(_, outcome)| matches!(outcome, Err(AppendError::Conflict { .. })));
        assert_eq!((winners.len(), conflicts.count()), (1, 7), "round {round}: {outcomes:?}");
        let stored = writers[0].load(&key).await.unwrap().events;
        assert_eq!(stored.iter().map(|recorded| recorded.id).collect::<Vec<_>>(), [winners[0].0]);
    }
}

#[tokio::test]
async fn the_same_append_sent_again_is_found_by_its_id() {
    let world = World::start(&[]).await;
    let (log, key) = (log(&world).await, request());
    let recorded = requested(&key);
    let first = log.append(0, &recorded).await.unwrap();
    assert_eq!(log.append(0, &recorded).await.unwrap(), first);
    let second = log.append(first.sequence, &approved(&key)).await.unwrap();
    assert_eq!(log.append(0, &recorded).await.unwrap(), first, "found although another event followed");
    assert_eq!(log.load(&key).await.unwrap().last(), second.sequence);
}

#[tokio::test]
async fn whatever_the_network_does_to_an_append_it_is_stored_once() {
    let world = World::start(&[]).await;
    let login = world.login(&RELAY);
    let faults = [Fault::AcknowledgementLost, Fault::AppendLost, Fault::AppendLate];
    let settled = faults.map(async |fault| {
        let network = Network::to(&login).await;
        let connection = Connection::open(&network.through(login.clone()), &RELAY).await.unwrap();
        let (log, key) = (Log::new(connection), request());
        let first = log.append(0, &requested(&key)).await.unwrap().sequence;

        network.will(fault);
        let recorded = approved(&key);
        let appended = within(log.append(first, &recorded)).await.unwrap().sequence;
        assert!(network.has_failed(), "{fault:?}");
        let loaded = log.load(&key).await.unwrap();
        assert_eq!((loaded.last(), &loaded.events[1..]), (appended, &[recorded][..]), "{fault:?}");
    });
    join_all(settled).await;
    let replayed = Replay::new(world.connect(&RELAY).await).from(1).await.unwrap();
    assert_eq!(replayed.len(), 2 * faults.len(), "no event stands twice");
}

#[tokio::test]
async fn only_what_was_stored_is_published_and_with_its_headers() {
    let world = World::start(&[]).await;
    let dashboard = world.connect(&Who::Operator("dashboard")).await;
    let mut raw = dashboard.client().subscribe("otp.v1.event.>").await.unwrap();
    let mut feed = Feed::of_all(&dashboard).await.unwrap();
    let (log, key) = (log(&world).await, request());

    let stored = requested(&key);
    let one = log.append(0, &stored).await.unwrap().sequence;
    log.append(0, &approved(&key)).await.unwrap_err();
    log.append(one + 7, &denied(&key)).await.unwrap_err();
    let last = captured(&key);
    log.append(one, &last).await.unwrap();

    assert_eq!(within(feed.next()).await.unwrap().recorded, stored);
    assert_eq!(within(feed.next()).await.unwrap().recorded, last, "what was refused was published");
    let published = within(raw.next()).await.unwrap();
    assert_eq!(published.subject.as_str(), format!("otp.v1.event.{key}.requested"));
    let headers = published.headers.unwrap();
    let mut headers: Vec<_> = headers.iter().map(|(name, values)| format!("{name}: {}", values[0])).collect();
    headers.sort();
    insta::with_settings!({filters => FILTERS.to_vec()}, {
        insta::assert_snapshot!(headers.join("\n"), @"
        Content-Type: application/msgpack
        Nats-Expected-Last-Subject-Sequence-Subject: otp.v1.log.[owner].shopper.[id].>
        Nats-Expected-Last-Subject-Sequence: 0
        Nats-Last-Sequence: 0
        Nats-Msg-Id: [id]
        Nats-Sequence: 1
        Nats-Stream: OTP_LOG
        Nats-Subject: otp.v1.log.[owner].shopper.[id].requested
        Nats-Time-Stamp: [time]
        Otp-Event-Type: requested
        Otp-Schema-Version: 1
        ");
    });
}

#[tokio::test]
async fn a_type_occurs_once_in_a_request() {
    let world = World::start(&[]).await;
    let (log, key) = (log(&world).await, request());
    let one = log.append(0, &requested(&key)).await.unwrap().sequence;
    log.append(one, &requested(&key)).await.unwrap_err();
    assert_eq!(log.load(&key).await.unwrap().last(), one);
}

#[tokio::test]
async fn even_the_administrator_can_neither_delete_nor_purge_an_event() {
    let world = World::start(&[]).await;
    let (log, key) = (log(&world).await, request());
    let one = log.append(0, &requested(&key)).await.unwrap().sequence;
    let administrator = world.connect(&Who::Operator("provision")).await;
    let jetstream = jetstream::new(administrator.client().clone());
    for stream in ["OTP_LOG", "OTP_ROSTER"] {
        let stream = jetstream.get_stream(stream).await.unwrap();
        let deleted = stream.delete_message(one).await.unwrap_err();
        assert!(deleted.to_string().contains("delete"), "{deleted}");
        stream.purge().await.unwrap_err();
    }
    assert_eq!(log.load(&key).await.unwrap().last(), one);
}

#[tokio::test]
async fn the_log_outlives_the_broker_and_its_readers_reconnect() {
    let mut world = World::start(&[]).await;
    let (log, key) = (log(&world).await, request());
    let one = log.append(0, &requested(&key)).await.unwrap().sequence;
    world.stop().await;
    log.load(&key).await.unwrap_err();
    world.resume().await;
    let loaded = crate::world::eventually(async || log.load(&key).await.ok()).await;
    assert_eq!(loaded.last(), one);
    log.append(one, &approved(&key)).await.unwrap();
}

#[tokio::test]
async fn a_replay_ends_and_knows_where() {
    let world = World::start(&[]).await;
    let connection = world.connect(&RELAY).await;
    let (log, replay) = (Log::new(connection.clone()), Replay::new(connection));
    assert_eq!(replay.last().await.unwrap(), 0);
    assert!(replay.from(1).await.unwrap().is_empty());
    let keys: Vec<RequestKey> = (0..=Replay::BATCH).map(|_| request()).collect();
    join_all(keys.iter().map(async |key| log.append(0, &requested(key)).await.unwrap())).await;

    let last = replay.last().await.unwrap();
    let first = replay.from(0).await.unwrap();
    let rest = replay.from(first.last().unwrap().sequence + 1).await.unwrap();
    let sequences: Vec<u64> = first.iter().chain(&rest).map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=last).collect::<Vec<_>>());
    assert_eq!((first.len(), rest.len()), (Replay::BATCH, 1));
    assert!(replay.from(last + 1).await.unwrap().is_empty());
}

async fn log(world: &World) -> Log {
    Log::new(world.connect(&RELAY).await)
}

/// What is another in every run.
const FILTERS: [(&str, &str); 3] = [
    (r"[0-9a-f]{8}-[0-9a-f-]{27}", "[id]"),
    (r"\b[a-z2-7]{32}\b", "[owner]"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]"),
];
