//! Requests as their events tell them, commands by what matters to a test, and the words to say what follows.

use agent_otp_domain::{Command, Digest, Event, KeyId, Rejection, SignedStatement, State, Timestamp};

/// The deadline of the request, in milliseconds after it was made.
pub(crate) const DEADLINE: i64 = 50_000;

/// What has happened.
pub(crate) struct Given(State);

/// What has happened, and when a command comes.
pub(crate) struct At(State, Timestamp);

/// What the rules answered.
pub(crate) struct Answer(Result<Option<Event>, Rejection>);

pub(crate) fn given(history: impl IntoIterator<Item = Event>) -> Given {
    Given(history.into_iter().fold(State::Absent, |state, event| state.evolve(&event)))
}

impl Given {
    pub(crate) fn at(self, now: i64) -> At {
        At(self.0, ms(now))
    }
}

impl At {
    pub(crate) fn when(self, command: Command) -> Answer {
        Answer(self.0.decide(&command, self.1))
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn then(self, event: Event) {
        assert_eq!(self.0, Ok(Some(event)));
    }

    #[track_caller]
    pub(crate) fn then_nothing(self) {
        assert_eq!(self.0, Ok(None));
    }

    #[track_caller]
    pub(crate) fn then_refused(self, rejection: Rejection) {
        assert_eq!(self.0, Err(rejection));
    }
}

/// Gives each command of the story to each state of the table, and compares the answers.
pub(crate) fn check(table: &str, now: i64) {
    let mut lines = table.lines().filter(|line| !line.is_empty());
    let commands: Vec<&str> = lines.next().map(|line| line.split_whitespace().collect()).unwrap_or_default();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (history, answers) = words.split_at(words.len() - commands.len());
        for (name, answer) in commands.iter().zip(answers) {
            let (command, event) = of_the_story(name);
            let state =
                given(history.iter().filter(|name| **name != "absent").map(|name| event_named(name))).0;
            let phase = state.phase();
            let expected = match (*answer, phase) {
                ("event", _) => Ok(Some(event)),
                ("same", _) => Ok(None),
                ("unknown", _) => Err(Rejection::Unknown),
                ("turn", Some(phase)) => Err(Rejection::OutOfTurn { phase }),
                ("early", _) => Err(Rejection::NotYet { expires_at: ms(DEADLINE) }),
                ("late", _) => Err(Rejection::Expired { expires_at: ms(DEADLINE) }),
                (word, _) => panic!("no answer is called {word}"),
            };
            assert_eq!(state.decide(&command, ms(now)), expected, "{name} at {now} after {history:?}");
        }
    }
}

/// A command of the story, and what it leads to where it is in turn.
fn of_the_story(name: &str) -> (Command, Event) {
    match name {
        "request" => (request(0, DEADLINE), requested()),
        "approve" => (approve("decision", "request", DEADLINE), approved()),
        "deny" => (deny(Key::Approver, "denial", "request"), denied()),
        "capture" => (capture(Key::Capturer, "capture", "decision"), captured()),
        "consume" => (consume(Key::Agent, "capture", "nonce"), consumed()),
        "cancel" => (cancel(Key::Agent, "request"), cancelled()),
        "expire" => (Command::Expire, Event::Expired),
        _ => panic!("no command is called {name}"),
    }
}

fn event_named(name: &str) -> Event {
    match name {
        "requested" => requested(),
        "approved" => approved(),
        "captured" => captured(),
        "consumed" => consumed(),
        "denied" => denied(),
        "expired" => Event::Expired,
        "cancelled" => cancelled(),
        _ => panic!("no event is called {name}"),
    }
}

/// The story so far, at each of its points, and with each of its ends.
pub(crate) fn histories() -> Vec<Vec<Event>> {
    let story = [requested(), approved(), captured()];
    let ends = [denied(), Event::Expired, cancelled()];
    let open = (1..=story.len()).map(|length| story.iter().take(length).cloned().collect::<Vec<_>>());
    open.flat_map(|open| {
        let ended = ends.clone().map(|end| [open.clone(), vec![end]].concat());
        [vec![open], ended.into()].concat()
    })
    .chain([vec![requested(), approved(), captured(), consumed()]])
    .collect()
}

#[derive(Clone, Copy)]
pub(crate) enum Key {
    Agent,
    OtherAgent,
    Approver,
    OtherApprover,
    Capturer,
    OtherCapturer,
}

impl Key {
    pub(crate) fn id(self) -> KeyId {
        KeyId::of(&[self as u8; 32])
    }
}

pub(crate) fn ms(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

/// As in a real statement, the payload names the signer's key.
pub(crate) fn signed(key: Key, text: &str) -> SignedStatement {
    SignedStatement {
        payload_type: "text/plain".to_owned(),
        payload: format!("{text}, signed by {}", key.id()).into_bytes(),
        key: key.id(),
        signature: [0; 64],
    }
}

pub(crate) fn request(made_at: i64, expires_at: i64) -> Command {
    Command::Request {
        statement: signed(Key::Agent, "request"),
        made_at: ms(made_at),
        expires_at: ms(expires_at),
    }
}

pub(crate) fn approve(text: &str, request: &str, expires_at: i64) -> Command {
    Command::Approve {
        statement: signed(Key::Approver, text),
        request: signed(Key::Agent, request).digest(),
        made_at: ms(0),
        expires_at: ms(expires_at),
        capturers: vec![Key::Capturer.id()],
    }
}

pub(crate) fn deny(key: Key, text: &str, request: &str) -> Command {
    Command::Deny { statement: signed(key, text), request: signed(Key::Agent, request).digest() }
}

pub(crate) fn capture(key: Key, text: &str, decision: &str) -> Command {
    Command::Capture {
        statement: signed(key, text),
        decision: signed(Key::Approver, decision).digest(),
        sealed: Digest::of(&[b"sealed"]),
    }
}

pub(crate) fn consume(key: Key, capture: &str, nonce: &str) -> Command {
    Command::Consume {
        statement: signed(key, "claim"),
        capture: signed(Key::Capturer, capture).digest(),
        claim: Digest::of(&[nonce.as_bytes()]),
    }
}

pub(crate) fn cancel(key: Key, request: &str) -> Command {
    Command::Cancel { statement: signed(key, "cancellation"), request: signed(Key::Agent, request).digest() }
}

pub(crate) fn requested() -> Event {
    Event::Requested { statement: signed(Key::Agent, "request"), expires_at: ms(DEADLINE) }
}

pub(crate) fn approved() -> Event {
    Event::Approved {
        statement: signed(Key::Approver, "decision"),
        expires_at: ms(DEADLINE),
        capturers: vec![Key::Capturer.id()],
    }
}

pub(crate) fn captured() -> Event {
    Event::Captured { statement: signed(Key::Capturer, "capture"), sealed: Digest::of(&[b"sealed"]) }
}

pub(crate) fn consumed() -> Event {
    Event::Consumed { statement: signed(Key::Agent, "claim"), claim: Digest::of(&[b"nonce"]) }
}

pub(crate) fn denied() -> Event {
    Event::Denied { statement: signed(Key::Approver, "denial") }
}

pub(crate) fn cancelled() -> Event {
    Event::Cancelled { statement: signed(Key::Agent, "cancellation") }
}
