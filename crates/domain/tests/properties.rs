//! Laws that hold for every history, whatever is commanded and in whichever order.

use std::collections::BTreeSet;

use agent_otp_domain::{Command, Digest, Event, EventType, KeyId, SignedStatement, State, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_commanded_the_history_is_legal(commands in commands()) {
        let life = live(&commands);
        let kinds: Vec<EventType> = life.iter().map(|(_, _, event)| event.kind()).collect();
        prop_assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), kinds.len(), "{:?}", kinds);
        prop_assert!(is_legal(&kinds), "{:?}", kinds);
    }

    #[test]
    fn nothing_expires_before_its_deadline_and_nothing_else_happens_after_it(commands in commands()) {
        let life = live(&commands);
        let deadline = life.iter().find_map(|(_, _, event)| match event {
            Event::Requested { expires_at, .. } => Some(*expires_at),
            Event::Approved { .. } | Event::Captured { .. } | Event::Consumed { .. } => None,
            Event::Denied { .. } | Event::Expired | Event::Cancelled { .. } => None,
        });
        for (now, _, event) in &life {
            prop_assert_eq!(*event == Event::Expired, *now >= deadline.unwrap());
        }
    }

    #[test]
    fn a_command_that_took_effect_takes_effect_once_and_never_fails(commands in commands(), later in 0..HOUR) {
        let life = live(&commands);
        let state = replay(&life);
        let end = commands.last().map_or(0, |(now, _)| *now);
        for (_, command, _) in &life {
            prop_assert_eq!(state.decide(command, ms(end + later)), Ok(None), "{:?}", command);
        }
    }

    #[test]
    fn an_event_changes_the_state_that_decided_it(commands in commands()) {
        let life = live(&commands);
        for index in 0..life.len() {
            let (before, rest) = life.split_at(index);
            let (_, _, event) = rest.first().unwrap();
            let after = replay(before).evolve(event);
            prop_assert_eq!(after.phase(), Some(event.kind()));
        }
    }

    #[test]
    fn replay_gives_the_state_that_was_decided_in(commands in commands()) {
        let (mut state, mut history) = (State::Absent, Vec::new());
        for (now, command) in &commands {
            if let Ok(Some(event)) = state.decide(command, ms(*now)) {
                state = state.evolve(&event);
                history.push(event);
            }
            prop_assert_eq!(&State::replay(&history), &state);
        }
    }

    #[test]
    fn any_events_in_any_order_add_up_to_a_state_and_nothing_follows_an_end(
        events in prop::collection::vec(event(), 0..12),
        command in command(),
        now in 0..HOUR,
    ) {
        let mut state = State::Absent;
        for event in &events {
            let before = state.clone();
            state = state.evolve(event);
            if matches!(before, State::Ended(..)) {
                prop_assert_eq!(&state, &before);
            }
        }
        if matches!(state, State::Ended(..)) {
            prop_assert!(!matches!(state.decide(&command, ms(now)), Ok(Some(_))));
        }
    }
}

/// The laws above say something only if the commands get somewhere.
#[test]
fn the_commands_of_these_laws_reach_every_event() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let reached: BTreeSet<EventType> = (0..2_000)
        .flat_map(|_| live(&commands().new_tree(&mut runner).unwrap().current()))
        .map(|(_, _, event)| event.kind())
        .collect();
    assert_eq!(reached, BTreeSet::from(EventType::ALL));
}

const HOUR: i64 = 3_600_000;

/// Decides and evolves; what took effect, with its time and its command.
fn live(commands: &[(i64, Command)]) -> Vec<(Timestamp, Command, Event)> {
    let mut state = State::Absent;
    let mut life = Vec::new();
    for (now, command) in commands {
        if let Ok(Some(event)) = state.decide(command, ms(*now)) {
            state = state.evolve(&event);
            life.push((ms(*now), command.clone(), event));
        }
    }
    life
}

fn replay(life: &[(Timestamp, Command, Event)]) -> State {
    State::replay(life.iter().map(|(_, _, event)| event))
}

/// Requested, then approved, then captured, then consumed; in place of any but the first an early end; nothing more.
fn is_legal(kinds: &[EventType]) -> bool {
    let story = [EventType::Requested, EventType::Approved, EventType::Captured, EventType::Consumed];
    match kinds.split_last() {
        None => true,
        Some((EventType::Denied | EventType::Expired | EventType::Cancelled, before)) => {
            !before.is_empty() && before.len() < story.len() && story.starts_with(before)
        }
        Some(_) => story.starts_with(kinds),
    }
}

/// Commands at times that never go back, most of them about the same request.
fn commands() -> impl Strategy<Value = Vec<(i64, Command)>> {
    prop::collection::vec((prop_oneof![4 => 0_i64..1_000, 1 => 0_i64..120_000], command()), 0..40).prop_map(
        |steps| {
            steps
                .into_iter()
                .scan(0, |now, (step, command)| {
                    *now += step;
                    Some((*now, command))
                })
                .collect()
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (signed("request"), 0..60_000_i64, 1_000..200_000_i64).prop_map(|(statement, made_at, ttl)| {
            Command::Request { statement, made_at: ms(made_at), expires_at: ms(made_at + ttl) }
        }),
        (signed("decision"), digest("request"), 0..60_000_i64, 0..200_000_i64, capturers()).prop_map(
            |(statement, request, made_at, expires_at, capturers)| {
                let (made_at, expires_at) = (ms(made_at), ms(expires_at));
                Command::Approve { statement, request, made_at, expires_at, capturers }
            }
        ),
        (signed("denial"), digest("request"))
            .prop_map(|(statement, request)| Command::Deny { statement, request }),
        (signed("capture"), digest("decision"), digest("sealed"))
            .prop_map(|(statement, decision, sealed)| Command::Capture { statement, decision, sealed }),
        (signed("claim"), digest("capture"), digest("nonce"))
            .prop_map(|(statement, capture, claim)| Command::Consume { statement, capture, claim }),
        (signed("cancellation"), digest("request"))
            .prop_map(|(statement, request)| Command::Cancel { statement, request }),
        Just(Command::Expire),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let moment = || any::<i64>().prop_map(ms);
    prop_oneof![
        (signed("request"), moment())
            .prop_map(|(statement, expires_at)| Event::Requested { statement, expires_at }),
        (signed("decision"), moment(), capturers()).prop_map(|(statement, expires_at, capturers)| {
            Event::Approved { statement, expires_at, capturers }
        }),
        (signed("capture"), digest("sealed"))
            .prop_map(|(statement, sealed)| Event::Captured { statement, sealed }),
        (signed("claim"), digest("nonce"))
            .prop_map(|(statement, claim)| Event::Consumed { statement, claim }),
        signed("denial").prop_map(|statement| Event::Denied { statement }),
        Just(Event::Expired),
        signed("cancellation").prop_map(|statement| Event::Cancelled { statement }),
    ]
}

/// Mostly the first of a few, so that statements often fit each other.
fn number() -> impl Strategy<Value = u8> {
    prop_oneof![12 => Just(0), 1 => 1..4_u8]
}

fn key() -> impl Strategy<Value = KeyId> {
    number().prop_map(|number| KeyId::of(&[number; 32]))
}

fn capturers() -> impl Strategy<Value = Vec<KeyId>> {
    prop::collection::vec(key(), 0..3)
}

fn digest(of: &'static str) -> impl Strategy<Value = Digest> {
    signed(of).prop_map(|statement| statement.digest())
}

/// As in a real statement, the payload names the signer's key.
fn signed(text: &'static str) -> impl Strategy<Value = SignedStatement> {
    (number(), key()).prop_map(move |(number, key)| SignedStatement {
        payload_type: "text/plain".to_owned(),
        payload: format!("{text} {number}, signed by {key}").into_bytes(),
        key,
        signature: [0; 64],
    })
}

fn ms(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}
