//! Events and statements as JSON for people and programs: times as RFC 3339, digests and keys as text. Verifies nothing.

use agent_otp_domain::{Digest, Event, Filter, KeyId, Recorded, SignedStatement, Timestamp, codec, visible};
use agent_otp_trust::{
    Cancel, Capture, Consume, Decision, Evidence, Heading, Member, Newer, PublicKey, Recipient, Request,
    Revocation, Roster, Statement, Succession, Verdict,
};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};

/// What a statement about a request says, whoever signed it.
#[derive(Debug)]
pub enum Said {
    /// An agent asks for a code.
    Request(Request),
    /// The user approves or denies.
    Decision(Decision),
    /// A capturer has sealed the code.
    Capture(Capture),
    /// The agent claims the code.
    Consume(Consume),
    /// The agent takes its request back.
    Cancel(Cancel),
    /// The capturer tells of another code.
    Newer(Newer),
}

impl Said {
    /// Reads a statement by its type; none if it is of another type, or not what its type says.
    #[must_use]
    pub fn of(signed: &SignedStatement) -> Option<Self> {
        let payload = &signed.payload;
        match signed.payload_type.as_str() {
            Request::TYPE => codec::decode(payload).ok().map(Self::Request),
            Decision::TYPE => codec::decode(payload).ok().map(Self::Decision),
            Capture::TYPE => codec::decode(payload).ok().map(Self::Capture),
            Consume::TYPE => codec::decode(payload).ok().map(Self::Consume),
            Cancel::TYPE => codec::decode(payload).ok().map(Self::Cancel),
            Newer::TYPE => codec::decode(payload).ok().map(Self::Newer),
            _ => None,
        }
    }

    /// Reads the statement of an event; none if it has none that can be read.
    #[must_use]
    pub fn by(event: &Event) -> Option<Self> {
        event.statement().and_then(Self::of)
    }

    /// What it begins with.
    #[must_use]
    pub fn heading(&self) -> &Heading {
        match self {
            Self::Request(request) => request.heading(),
            Self::Decision(decision) => decision.heading(),
            Self::Capture(capture) => capture.heading(),
            Self::Consume(consume) => consume.heading(),
            Self::Cancel(cancel) => cancel.heading(),
            Self::Newer(newer) => newer.heading(),
        }
    }
}

/// What an event says beyond its type, with what its statement says. The bytes that were signed, and the signature, are
/// not repeated.
#[must_use]
pub fn event(recorded: &Recorded) -> Value {
    event_with(&recorded.event, |signed| statement(signed).into())
}

/// The same, with its statement as `statement` tells it.
pub(crate) fn event_with(event: &Event, statement: impl Fn(&SignedStatement) -> Value) -> Value {
    match event {
        Event::Requested { statement: signed, expires_at } => {
            json!({ "expires_at": time(*expires_at), "statement": statement(signed) })
        }
        Event::Approved { statement: signed, expires_at, capturers } => json!({
            "expires_at": time(*expires_at),
            "capturers": keys(capturers),
            "statement": statement(signed),
        }),
        Event::Captured { statement: signed, sealed } => {
            json!({ "sealed": digest(*sealed), "statement": statement(signed) })
        }
        Event::Consumed { statement: signed, claim } => {
            json!({ "claim": digest(*claim), "statement": statement(signed) })
        }
        Event::Denied { statement: signed } => json!({ "statement": statement(signed) }),
        Event::Expired => json!({}),
        Event::Cancelled { statement: signed } => json!({ "statement": statement(signed) }),
    }
}

/// What a statement says, by whom, under which digest.
fn statement(signed: &SignedStatement) -> Map<String, Value> {
    let mut fields = said(signed).unwrap_or_default();
    fields.insert("type".to_owned(), visible(&signed.payload_type).into());
    fields.insert("digest".to_owned(), digest(signed.digest()));
    fields.insert("key".to_owned(), signed.key.to_string().into());
    fields
}

/// The same with nothing left out: signature and nonce too, and where the payload cannot be read, its bytes.
pub(crate) fn whole_statement(signed: &SignedStatement) -> Map<String, Value> {
    let mut fields = statement(signed);
    fields.insert("signature".to_owned(), BASE64.encode(&signed.signature).into());
    if let Some(Said::Decision(decision)) = Said::of(signed) {
        fields.insert("nonce".to_owned(), HEXLOWER.encode(decision.nonce.as_bytes()).into());
    }
    if said(signed).is_none() {
        fields.insert("payload".to_owned(), BASE64.encode(&signed.payload).into());
    }
    fields
}

/// What the payload says; none if it is not what its type says.
fn said(signed: &SignedStatement) -> Option<Map<String, Value>> {
    if signed.payload_type == Roster::TYPE {
        return codec::decode(&signed.payload).ok().map(|payload| object(roster(&payload)));
    }
    if signed.payload_type == Succession::TYPE {
        return codec::decode(&signed.payload).ok().map(|payload| object(succession(&payload)));
    }
    let said = Said::of(signed)?;
    let mut fields = heading(said.heading());
    fields.extend(object(body(&said)));
    Some(fields)
}

fn heading(heading: &Heading) -> Map<String, Value> {
    let checkpoint = heading.checkpoint.as_ref();
    object(json!({
        "about": heading.key().to_string(),
        "signer": heading.signer.to_string(),
        "roster": { "number": heading.roster.number, "digest": digest(heading.roster.digest) },
        "made_at": time(heading.made_at),
        "checkpoint": checkpoint.map(|seen| json!({ "size": seen.size, "root": digest(seen.root) })),
    }))
}

fn body(said: &Said) -> Value {
    match said {
        Said::Request(Request { reason, filter: wanted, recipient, expires_at, .. }) => json!({
            "reason": reason.to_string(),
            "filter": filter(wanted),
            "recipient": recipient_key(recipient),
            "expires_at": time(*expires_at),
        }),
        Said::Decision(decision) => match &decision.verdict {
            Verdict::Approve { capturers, narrowing } => json!({
                "request": digest(decision.request),
                "verdict": "approve",
                "capturers": keys(capturers),
                "narrowing": narrowing.as_ref().map(filter),
                "expires_at": time(decision.expires_at),
            }),
            Verdict::Deny {} => json!({ "request": digest(decision.request), "verdict": "deny" }),
        },
        Said::Capture(capture) => json!({
            "request": digest(capture.request),
            "decision": digest(capture.decision),
            "sealed": digest(capture.sealed),
            "evidence": evidence(&capture.evidence),
        }),
        Said::Consume(consume) => {
            json!({ "capture": digest(consume.capture), "claim": digest(consume.claim) })
        }
        Said::Cancel(Cancel { request, .. }) | Said::Newer(Newer { request, .. }) => {
            json!({ "request": digest(*request) })
        }
    }
}

fn roster(roster: &Roster) -> Value {
    json!({
        "owner": roster.owner.to_string(),
        "number": roster.number,
        "previous": roster.previous.map(digest),
        "owner_key": public_key(&roster.owner_key),
        "made_at": time(roster.made_at),
        "valid_until": time(roster.valid_until),
        "members": roster.members.iter().map(member).collect::<Value>(),
        "revoked": roster.revoked.iter().map(revocation).collect::<Value>(),
        "recovery": roster.recovery.as_ref().map(public_key),
        "succession": roster.succession.iter().map(whole_statement).map(Value::from).collect::<Value>(),
    })
}

fn succession(succession: &Succession) -> Value {
    json!({
        "owner": succession.owner.to_string(),
        "previous": succession.previous.map(digest),
        "number": succession.number,
        "owner_key": public_key(&succession.owner_key),
        "recovery": public_key(&succession.recovery),
    })
}

fn member(member: &Member) -> Value {
    json!({
        "key": member.key.to_string(),
        "role": member.role.to_string(),
        "name": member.name.to_string(),
        "public_key": public_key(&member.public_key),
        "limits": { "ttl_ms_max": member.limits.ttl_ms_max },
    })
}

fn revocation(revocation: &Revocation) -> Value {
    json!({ "key": revocation.key.to_string(), "at": time(revocation.at) })
}

fn filter(filter: &Filter) -> Value {
    json!({
        "channels": filter.channels.to_string(),
        "sender": visible(&filter.sender.to_string()),
        "content": filter.content.as_ref().map(|pattern| visible(&pattern.to_string())),
        "shape": filter.shape.map(|shape| shape.to_string()),
        "wanted": filter.wanted.to_string(),
        "purpose": filter.purpose.map(|purpose| purpose.to_string()),
    })
}

fn evidence(evidence: &Evidence) -> Value {
    json!({
        "channel": evidence.channel.to_string(),
        "source": visible(&evidence.source),
        "sender": evidence.sender,
        "received_at": time(evidence.received_at),
        "purpose": evidence.purpose.map(|purpose| purpose.to_string()),
    })
}

fn recipient_key(recipient: &Recipient) -> Value {
    json!({ "suite": recipient.suite, "public_key": HEXLOWER.encode(&recipient.public_key) })
}

fn public_key(key: &PublicKey) -> Value {
    HEXLOWER.encode(key.as_bytes()).into()
}

fn keys(keys: &[KeyId]) -> Value {
    keys.iter().map(ToString::to_string).collect()
}

pub(crate) fn digest(digest: Digest) -> Value {
    digest.to_string().into()
}

pub(crate) fn time(time: Timestamp) -> Value {
    time.to_string().into()
}

/// The fields of an object; none of anything else.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
