//! One body: what kind of message it is, and what it says.

use agent_otp_domain::codec::{self, DecodeError};
use agent_otp_domain::{
    Actor, Digest, Event, EventId, EventType, MemberId, OwnerId, Recorded, RequestId, SignedStatement,
    Timestamp, Version, visible,
};
use agent_otp_trust::{Newer, Roster, Statement as _};
use data_encoding::{BASE64, HEXLOWER};
use rmpv::Value as Any;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::message::{Ask, OpenRequest, Reply, Sealed};
use crate::readable::{self, digest, time};
use crate::subject::Verb;
use crate::timers::Timer;
use crate::vault::Kept;

/// Why a whole MessagePack value is no message of ours.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Nothing in it says what it is.
    #[error("a value without a type")]
    Untyped,
    /// It says what it is, and is something else.
    #[error("no whole {kind}: {}", cause(source))]
    Malformed {
        /// What it says that it is.
        kind: String,
        /// What is wrong with it.
        source: DecodeError,
    },
}

fn cause(error: &DecodeError) -> String {
    match error {
        DecodeError::Shape(source) => visible(&source.to_string()),
        DecodeError::Trailing(_) => error.to_string(),
    }
}

/// What every event says, whatever has happened.
#[derive(Deserialize)]
struct Envelope {
    id: EventId,
    owner: OwnerId,
    agent: MemberId,
    request: RequestId,
    version: Version,
    time: Timestamp,
    actor: Actor,
}

/// Whether a map with these fields is a message, and no part of one: statements and what has happened begin alike.
pub(super) fn begins(fields: &[u8]) -> bool {
    let named = |name: &str, value: &str| {
        let field = [codec::encode(&name), codec::encode(&value)].concat();
        fields.starts_with(&field)
    };
    fields.starts_with(b"\xa2id\xd9\x24")
        || [Roster::TYPE, Newer::TYPE].into_iter().any(|kind| named("payload_type", kind))
        || [Timer::TYPE, Kept::TYPE].into_iter().chain(Reply::TYPES).any(|kind| named("type", kind))
        || Verb::ALL.iter().any(|verb| named("type", &verb.message_type()))
}

/// Whether this is a map whose keys are names, as all of ours are.
pub(super) fn has_names(any: &Any) -> bool {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    any.as_map().is_some_and(|fields| fields.iter().all(|(name, _)| name.as_str().is_some_and(is_name)))
}

/// What a body says.
pub(super) fn value(body: &[u8]) -> Result<Value, Unreadable> {
    let any = any(body)?;
    if let Some(kind) = field(&any, "payload_type").and_then(Any::as_str) {
        return Ok(told("statement", readable::whole_statement(&read(body, kind)?)).into());
    }
    if let Some(happened) = field(&any, "event") {
        return event(body, &any, happened);
    }
    let kind = field(&any, "type").and_then(Any::as_str).ok_or(Unreadable::Untyped)?;
    match kind {
        Timer::TYPE => known(body, &any, kind, "timer", timer),
        Kept::TYPE => known(body, &any, kind, "sealed code", |kept: &Kept| sealed(&kept.sealed)),
        _ if Verb::ALL.iter().any(|verb| verb.message_type() == kind) => {
            known(body, &any, kind, "command", ask)
        }
        _ if Reply::TYPES.contains(&kind) => known(body, &any, kind, "reply", reply),
        _ => Ok(told("unknown", readable::object(plain(&any))).into()),
    }
}

/// A message of a type that is known.
fn known<T: DeserializeOwned + Serialize>(
    body: &[u8],
    any: &Any,
    kind: &str,
    message: &str,
    tell: impl FnOnce(&T) -> Value,
) -> Result<Value, Unreadable> {
    let value: T = read(body, kind)?;
    let mut fields = told(message, readable::object(tell(&value)));
    fields.insert("type".to_owned(), kind.into());
    fields.extend(more(any, &value));
    Ok(fields.into())
}

fn event(body: &[u8], any: &Any, happened: &Any) -> Result<Value, Unreadable> {
    let kind = field(happened, "type").and_then(Any::as_str).ok_or(Unreadable::Untyped)?;
    let envelope: Envelope = read(body, kind)?;
    let mut fields = told(
        "event",
        readable::object(json!({
            "type": visible(kind),
            "id": envelope.id.to_string(),
            "owner": envelope.owner.to_string(),
            "agent": envelope.agent.to_string(),
            "request": envelope.request.to_string(),
            "version": envelope.version,
            "time": time(envelope.time),
            "actor": envelope.actor.to_string(),
        })),
    );
    let is_known = EventType::ALL.iter().any(|known| format!("{known}.v{}", Event::SCHEMA_VERSION) == kind);
    if !is_known {
        // A newer version wrote it: what it says is told as it stands.
        fields.insert("data".to_owned(), plain(happened));
        return Ok(fields.into());
    }
    let recorded: Recorded = read(body, kind)?;
    let data = readable::event_with(&recorded.event, |signed| readable::whole_statement(signed).into());
    fields.insert("data".to_owned(), data);
    fields.extend(more(any, &recorded));
    Ok(fields.into())
}

fn ask(ask: &Ask) -> Value {
    match ask {
        Ask::Request { statement }
        | Ask::Approve { statement }
        | Ask::Deny { statement }
        | Ask::Cancel { statement }
        | Ask::Enrol { statement } => json!({ "statement": readable::whole_statement(statement) }),
        Ask::Capture { statement, sealed: code } => {
            json!({ "statement": readable::whole_statement(statement), "sealed": sealed(code) })
        }
        Ask::Consume { statement, nonce } => {
            json!({ "statement": readable::whole_statement(statement), "nonce": HEXLOWER.encode(nonce) })
        }
        Ask::Get { agent, request } => json!({ "agent": agent.to_string(), "request": request.to_string() }),
        Ask::Open { from } => json!({ "from": from }),
        Ask::Roster { number } => json!({ "number": number }),
    }
}

fn reply(reply: &Reply) -> Value {
    match reply {
        Reply::Done { phase, version } => json!({ "phase": visible(phase), "version": version }),
        Reply::Code { sealed: code } => json!({ "sealed": sealed(code) }),
        Reply::Events { events, now } => {
            json!({ "events": events.iter().map(|body| inner(body)).collect::<Value>(), "now": now.map(time) })
        }
        Reply::Open { requests, next } => {
            json!({ "requests": requests.iter().map(open).collect::<Value>(), "next": next })
        }
        Reply::Roster { statement } => json!({ "statement": readable::whole_statement(statement) }),
        Reply::Refused { code, message } => json!({ "code": code, "message": visible(message) }),
    }
}

/// An event inside a reply; what is none is told as the bytes that it is.
fn inner(body: &[u8]) -> Value {
    let event = || {
        let any = any(body)?;
        event(body, &any, field(&any, "event").ok_or(Unreadable::Untyped)?)
    };
    event().unwrap_or_else(|error| json!({ "error": error.to_string(), "bytes": BASE64.encode(body) }))
}

fn open(open: &OpenRequest) -> Value {
    json!({ "agent": open.agent.to_string(), "request": open.request.to_string() })
}

fn timer(timer: &Timer) -> Value {
    json!({
        "owner": timer.owner.to_string(),
        "agent": timer.agent.to_string(),
        "request": timer.request.to_string(),
        "expires_at": time(timer.expires_at),
    })
}

/// How long a sealed code is, and which one: the bytes tell nobody anything but its agent.
fn sealed(Sealed(code): &Sealed) -> Value {
    json!({ "bytes": code.as_bytes().len(), "digest": digest(Digest::of(&[code.as_bytes()])) })
}

fn any(body: &[u8]) -> Result<Any, Unreadable> {
    rmpv::decode::read_value_with_max_depth(&mut &*body, super::DEPTH_MAX.into())
        .map_err(|_| Unreadable::Untyped)
}

fn read<T: DeserializeOwned>(body: &[u8], kind: &str) -> Result<T, Unreadable> {
    codec::decode(body).map_err(|source| Unreadable::Malformed { kind: visible(kind), source })
}

fn told(message: &str, mut fields: Map<String, Value>) -> Map<String, Value> {
    fields.insert("kind".to_owned(), message.into());
    fields
}

/// The fields that a later version added, as they stand, under `unknown`.
fn more<T: Serialize>(any: &Any, value: &T) -> Option<(String, Value)> {
    let known = self::any(&codec::encode(value)).ok()?;
    let unknown = unknown(any, &known);
    (!unknown.is_empty()).then(|| ("unknown".to_owned(), unknown.into()))
}

/// What stands in one map and not in the other, in the maps below them too.
fn unknown(any: &Any, known: &Any) -> Map<String, Value> {
    let fields = any.as_map().into_iter().flatten();
    fields
        .filter_map(|(name, value)| {
            let told = match name.as_str().and_then(|name| field(known, name)) {
                None => Some(plain(value)),
                Some(known) => Some(unknown(value, known)).filter(|below| !below.is_empty()).map(Value::from),
            };
            Some((text(name), told?))
        })
        .collect()
}

/// A value as it stands: bytes in base64, and a signed statement as what it says.
fn plain(any: &Any) -> Value {
    match any {
        Any::Nil => Value::Null,
        Any::Boolean(value) => (*value).into(),
        Any::Integer(value) => {
            value.as_i64().map(Value::from).or_else(|| value.as_u64().map(Value::from)).unwrap_or_default()
        }
        Any::F32(value) => (*value).into(),
        Any::F64(value) => (*value).into(),
        Any::String(_) => text(any).into(),
        Any::Binary(bytes) => BASE64.encode(bytes).into(),
        Any::Array(values) => values.iter().map(plain).collect(),
        Any::Map(fields) => match statement(any) {
            Some(signed) => readable::whole_statement(&signed).into(),
            None => fields.iter().map(|(name, value)| (text(name), plain(value))).collect(),
        },
        Any::Ext(kind, bytes) => json!({ "ext": kind, "bytes": BASE64.encode(bytes) }),
    }
}

fn statement(any: &Any) -> Option<SignedStatement> {
    field(any, "payload_type")?;
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, any).ok()?;
    codec::decode(&bytes).ok()
}

fn text(any: &Any) -> String {
    match any.as_str() {
        Some(text) => visible(text),
        None => visible(&any.to_string()),
    }
}

fn field<'a>(any: &'a Any, name: &str) -> Option<&'a Any> {
    let mut fields = any.as_map()?.iter();
    fields.find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}
