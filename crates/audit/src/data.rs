//! An event as JSON for people and programs: times as RFC 3339, digests and keys as text, nothing left to decode.

use agent_otp_domain::{Digest, Event, Filter, KeyId, Recorded, SignedStatement, Timestamp, visible};
use agent_otp_trust::{Evidence, Heading, Recipient, Request, Verdict};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use crate::fact::Said;

/// What the event says beyond its type, with what its statement says.
pub(crate) fn readable(recorded: &Recorded) -> Value {
    let statement = |signed| statement(signed, Said::by(&recorded.event).as_ref());
    match &recorded.event {
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

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn statement(signed: &SignedStatement, said: Option<&Said>) -> Value {
    let mut fields = said.map_or_else(Map::new, |said| heading(said.heading()));
    fields.insert("type".to_owned(), visible(&signed.payload_type).into());
    fields.insert("digest".to_owned(), digest(signed.digest()));
    fields.insert("key".to_owned(), signed.key.to_string().into());
    if let Some(Value::Object(body)) = said.map(body) {
        fields.extend(body);
    }
    fields.into()
}

fn heading(heading: &Heading) -> Map<String, Value> {
    let checkpoint = heading.checkpoint.as_ref();
    let fields = [
        ("about", heading.key().to_string().into()),
        ("signer", heading.signer.to_string().into()),
        ("roster", json!({ "number": heading.roster.number, "digest": digest(heading.roster.digest) })),
        ("made_at", time(heading.made_at)),
        ("checkpoint", json!(checkpoint.map(|seen| json!({ "size": seen.size, "root": digest(seen.root) })))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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
        Said::Cancel(cancel) => json!({ "request": digest(cancel.request) }),
    }
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
    })
}

fn recipient_key(recipient: &Recipient) -> Value {
    json!({ "suite": recipient.suite, "public_key": HEXLOWER.encode(&recipient.public_key) })
}

fn digest(digest: Digest) -> Value {
    digest.to_string().into()
}

fn keys(keys: &[KeyId]) -> Value {
    keys.iter().map(ToString::to_string).collect()
}

fn time(time: Timestamp) -> Value {
    time.to_string().into()
}
