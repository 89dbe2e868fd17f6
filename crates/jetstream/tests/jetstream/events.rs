//! One owner, and events of its requests. What they say is made up: nothing here verifies it.

use agent_otp_domain::{
    Actor, Digest, Event, KeyId, MemberId, OwnerId, Recorded, RequestKey, Role, SignedStatement, Version,
};
use agent_otp_jetstream::{Who, clock};

pub(crate) fn owner() -> OwnerId {
    OwnerId::of(&KeyId::of(&[1; 32]))
}

pub(crate) fn other_owner() -> OwnerId {
    OwnerId::of(&KeyId::of(&[2; 32]))
}

pub(crate) fn name(text: &str) -> MemberId {
    text.parse().unwrap()
}

pub(crate) fn member(role: Role, text: &str) -> Who {
    Who::Member { owner: owner(), role, name: name(text) }
}

/// A new request of the agent `shopper`.
pub(crate) fn request() -> RequestKey {
    request_of(&owner(), "shopper")
}

pub(crate) fn request_of(owner: &OwnerId, agent: &str) -> RequestKey {
    RequestKey { owner: owner.clone(), agent: name(agent), request: clock::request_id() }
}

pub(crate) fn statement(text: &str) -> SignedStatement {
    SignedStatement {
        payload_type: "application/vnd.agent-otp.test".to_owned(),
        payload: text.as_bytes().to_vec(),
        key: KeyId::of(&[3; 32]),
        signature: [4; 64],
    }
}

pub(crate) fn requested(key: &RequestKey) -> Recorded {
    let expires_at = clock::now().after(std::time::Duration::from_mins(5));
    recorded(key, 1, Event::Requested { statement: statement("request"), expires_at })
}

pub(crate) fn approved(key: &RequestKey) -> Recorded {
    let expires_at = clock::now().after(std::time::Duration::from_mins(5));
    recorded(key, 2, Event::Approved { statement: statement("decision"), expires_at, capturers: Vec::new() })
}

pub(crate) fn captured(key: &RequestKey) -> Recorded {
    recorded(key, 3, Event::Captured { statement: statement("capture"), sealed: Digest::of(&[b"sealed"]) })
}

pub(crate) fn denied(key: &RequestKey) -> Recorded {
    recorded(key, 4, Event::Denied { statement: statement("denial") })
}

fn recorded(key: &RequestKey, version: u64, event: Event) -> Recorded {
    Recorded {
        id: clock::event_id(),
        owner: key.owner.clone(),
        agent: key.agent.clone(),
        request: key.request,
        version: Version(version),
        time: clock::now(),
        actor: Actor::relay(),
        event,
    }
}
