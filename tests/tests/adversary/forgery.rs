//! The ways in which somebody without a member's key can change what the member said.

use agent_otp_domain::{Event, Recorded, SignedStatement, codec};
use agent_otp_jetstream::message::Reply;
use agent_otp_trust::{IdentityKey, Statement};

use crate::double::said;

/// The attacker's own identity key, which stands in no roster.
pub(crate) fn mallory() -> IdentityKey {
    IdentityKey::from_seed(&[66; 32].into())
}

/// How a changed statement is signed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Forgery {
    /// Not at all: the old signature stays.
    Kept,
    /// By the attacker, in the member's name.
    Posing,
    /// By the attacker, in its own name.
    Own,
}

impl Forgery {
    pub(crate) const ALL: [Self; 3] = [Self::Kept, Self::Posing, Self::Own];
    /// Those that make a statement out of nothing.
    pub(crate) const SIGNED: [Self; 2] = [Self::Posing, Self::Own];

    /// What whoever verifies it finds wrong.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Kept | Self::Posing => "the signature is wrong",
            Self::Own => "is in no roster of this owner",
        }
    }

    /// The statement, changed and signed so.
    pub(crate) fn of<S: Statement>(
        self,
        signed: &SignedStatement,
        change: impl FnOnce(&mut S),
    ) -> SignedStatement {
        let mut statement: S = said(signed);
        change(&mut statement);
        let forged = mallory().sign(&statement);
        match self {
            Self::Kept => SignedStatement { payload: forged.payload, ..signed.clone() },
            Self::Posing => SignedStatement { key: signed.key.clone(), ..forged },
            Self::Own => forged,
        }
    }
}

/// The statement of an event.
pub(crate) fn statement_of(event: &mut Event) -> &mut SignedStatement {
    match event {
        Event::Requested { statement, .. }
        | Event::Approved { statement, .. }
        | Event::Captured { statement, .. }
        | Event::Consumed { statement, .. }
        | Event::Denied { statement }
        | Event::Cancelled { statement } => statement,
        Event::Expired => panic!("nobody signs `expired`"),
    }
}

/// The same answer with other events.
pub(crate) fn with_events(reply: Reply, change: impl FnOnce(&mut Vec<Recorded>)) -> Reply {
    let Reply::Events { events, now } = reply else { return reply };
    let mut recorded = events.iter().map(|bytes| codec::decode_event(bytes).unwrap()).collect();
    change(&mut recorded);
    let events = recorded.iter().map(|recorded| codec::encode(recorded).into()).collect();
    Reply::Events { events, now }
}
