//! What the real rules say: histories and commands in short, and `decide` and `evolve` behind them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use agent_otp_domain::{Command, Digest, Event, KeyId, Open, Rejection, SignedStatement, State, Timestamp};

/// An event of the one request, by what tells it from others of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fact {
    Requested,
    Approved,
    Captured(Capturer),
    Consumed(Claim),
    Denied,
    Expired,
    Cancelled,
}

/// What is asked of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ask {
    Request,
    Approve,
    Capture(Capturer),
    /// A claim names the capture that stands.
    Consume(Claim, Capturer),
    Deny,
    Cancel,
    /// By a timer that has fired.
    Expire,
}

/// The two capturers that the approval names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Capturer {
    Home,
    Phone,
}

/// The agent's claim, and that of somebody else who holds its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Claim {
    Own,
    Rival,
}

/// How late it is, by every clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Clock {
    BeforeDeadline,
    /// What is in the vault may lapse too.
    AfterDeadline,
}

/// The events of the request, as the log has them.
pub(crate) type Log = Vec<Fact>;

/// How the request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Absent,
    Open,
    Ended,
}

/// What the rules answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Event(Fact),
    Nothing,
    Refused(Why),
}

/// As far as a relay acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    Unknown,
    Otherwise,
}

/// What is known of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) phase: Phase,
    pub(crate) captured: Option<Capturer>,
    pub(crate) is_approved: bool,
}

thread_local! {
    /// The rules are pure, so what they once answered they answer again: hashing statements is most of their work.
    static ANSWERS: RefCell<BTreeMap<(Log, Ask, Clock), Answer>> = const { RefCell::new(BTreeMap::new()) };
    static STATES: RefCell<BTreeMap<Log, Known>> = const { RefCell::new(BTreeMap::new()) };
}

/// What a command changes.
pub(crate) fn decide(log: &[Fact], ask: Ask, clock: Clock) -> Answer {
    let known = ANSWERS.with_borrow(|answers| answers.get(&(log.to_vec(), ask, clock)).copied());
    known.unwrap_or_else(|| {
        let answer = match state(log).decide(&command(ask), clock.now()) {
            Ok(Some(event)) => Answer::Event(fact(ask, &event)),
            Ok(None) => Answer::Nothing,
            Err(Rejection::Unknown) => Answer::Refused(Why::Unknown),
            Err(_) => Answer::Refused(Why::Otherwise),
        };
        ANSWERS.with_borrow_mut(|answers| answers.insert((log.to_vec(), ask, clock), answer));
        answer
    })
}

/// How a request with this history stands.
pub(crate) fn known(log: &[Fact]) -> Known {
    let known = STATES.with_borrow(|states| states.get(log).copied());
    known.unwrap_or_else(|| {
        let state = state(log);
        let captured = state.progress().and_then(Open::capture).and_then(|capture| {
            [Capturer::Home, Capturer::Phone]
                .into_iter()
                .find(|capturer| statement(Ask::Capture(*capturer)).digest() == capture.digest)
        });
        let known = Known {
            phase: match &state {
                State::Absent => Phase::Absent,
                State::Open(_) => Phase::Open,
                State::Ended(..) => Phase::Ended,
            },
            captured,
            is_approved: state.progress().and_then(Open::approval).is_some(),
        };
        STATES.with_borrow_mut(|states| states.insert(log.to_vec(), known));
        known
    })
}

impl Ask {
    /// Whose code it is about.
    pub(crate) fn capturer(self) -> Option<Capturer> {
        match self {
            Self::Capture(capturer) | Self::Consume(_, capturer) => Some(capturer),
            Self::Request | Self::Approve | Self::Deny | Self::Cancel | Self::Expire => None,
        }
    }

    /// With whose nonce it is claimed.
    pub(crate) fn claim(self) -> Option<Claim> {
        match self {
            Self::Consume(claim, _) => Some(claim),
            Self::Request | Self::Approve | Self::Capture(_) | Self::Deny | Self::Cancel | Self::Expire => {
                None
            }
        }
    }
}

impl Clock {
    fn now(self) -> Timestamp {
        Timestamp::from_unix_ms(match self {
            Self::BeforeDeadline => 10_000,
            Self::AfterDeadline => DEADLINE,
        })
    }
}

const DEADLINE: i64 = 50_000;

fn state(log: &[Fact]) -> State {
    State::replay(&log.iter().map(|fact| event(*fact)).collect::<Vec<_>>())
}

/// The fact that an event is, which has to be the one that the command is about.
fn fact(ask: Ask, decided: &Event) -> Fact {
    let fact = match ask {
        Ask::Request => Fact::Requested,
        Ask::Approve => Fact::Approved,
        Ask::Capture(capturer) => Fact::Captured(capturer),
        Ask::Consume(claim, _) => Fact::Consumed(claim),
        Ask::Deny => Fact::Denied,
        Ask::Cancel => Fact::Cancelled,
        Ask::Expire => Fact::Expired,
    };
    assert_eq!(event(fact), *decided, "{ask:?}");
    fact
}

fn event(fact: Fact) -> Event {
    let expires_at = Timestamp::from_unix_ms(DEADLINE);
    match fact {
        Fact::Requested => Event::Requested { statement: statement(Ask::Request), expires_at },
        Fact::Approved => {
            let capturers = vec![key("home"), key("phone")];
            Event::Approved { statement: statement(Ask::Approve), expires_at, capturers }
        }
        Fact::Captured(capturer) => {
            Event::Captured { statement: statement(Ask::Capture(capturer)), sealed: sealed(capturer) }
        }
        Fact::Consumed(claim) => {
            Event::Consumed { statement: statement(Ask::Consume(claim, Capturer::Home)), claim: nonce(claim) }
        }
        Fact::Denied => Event::Denied { statement: statement(Ask::Deny) },
        Fact::Expired => Event::Expired,
        Fact::Cancelled => Event::Cancelled { statement: statement(Ask::Cancel) },
    }
}

fn command(ask: Ask) -> Command {
    let (made_at, expires_at) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(DEADLINE));
    let request = statement(Ask::Request).digest();
    let statement = statement(ask);
    match ask {
        Ask::Request => Command::Request { statement, made_at, expires_at },
        Ask::Approve => {
            let capturers = vec![key("home"), key("phone")];
            Command::Approve { statement, request, made_at, expires_at, capturers }
        }
        Ask::Capture(capturer) => {
            let decision = self::statement(Ask::Approve).digest();
            Command::Capture { statement, decision, sealed: sealed(capturer) }
        }
        Ask::Consume(claim, capturer) => {
            let capture = self::statement(Ask::Capture(capturer)).digest();
            Command::Consume { statement, capture, claim: nonce(claim) }
        }
        Ask::Deny => Command::Deny { statement, request },
        Ask::Cancel => Command::Cancel { statement, request },
        Ask::Expire => Command::Expire,
    }
}

fn statement(ask: Ask) -> SignedStatement {
    // Which capture a claim names, the rules are told beside the statement.
    let ask = ask.claim().map_or(ask, |claim| Ask::Consume(claim, Capturer::Home));
    let signer = match ask {
        Ask::Request | Ask::Consume(..) | Ask::Cancel | Ask::Expire => "agent",
        Ask::Approve | Ask::Deny => "approver",
        Ask::Capture(Capturer::Home) => "home",
        Ask::Capture(Capturer::Phone) => "phone",
    };
    SignedStatement {
        payload_type: "text/plain".to_owned(),
        payload: format!("{ask:?}").into_bytes(),
        key: key(signer),
        signature: [0; 64],
    }
}

fn sealed(capturer: Capturer) -> Digest {
    Digest::of(&[b"sealed", format!("{capturer:?}").as_bytes()])
}

fn nonce(claim: Claim) -> Digest {
    Digest::of(&[b"nonce", format!("{claim:?}").as_bytes()])
}

fn key(name: &str) -> KeyId {
    KeyId::of(Digest::of(&[name.as_bytes()]).as_bytes())
}
