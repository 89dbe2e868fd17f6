//! What has left lately, so that a copy of it answers nothing more: in memory alone, and neither code nor text.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use agent_otp_domain::{Channel, Code, Digest, Timestamp};

use super::{KEPT_FOR, digest};
use crate::message::Message;

/// Within what time of each other two text messages of one sender with one code are one message, which two gateways
/// deliver: each has a name of its own for it, and words of its own around it.
const TEXTED_TWICE: Duration = Duration::from_mins(2);

/// The codes that have left, and the messages that they stood in.
#[derive(Debug, Default)]
pub(super) struct Released {
    /// The codes' digests, each with when it left.
    codes: BTreeMap<Digest, Timestamp>,
    /// The names of the messages, each with when its code left.
    messages: BTreeMap<Digest, Timestamp>,
    /// The text messages by sender and code, and when they were received, each with when its code left.
    texted: BTreeMap<(u64, Timestamp), Timestamp>,
    /// What the senders and codes are hashed with; another one in each process.
    key: RandomState,
}

impl Released {
    /// Takes it that these messages were released before.
    pub(super) fn remember(&mut self, messages: impl IntoIterator<Item = Digest>, now: Timestamp) {
        self.messages.extend(messages.into_iter().map(|message| (message, now)));
    }

    /// Takes it that this code leaves.
    pub(super) fn note(&mut self, message: &Message, code: &Code, now: Timestamp) {
        self.codes.insert(digest(code), now);
        self.remember(message.id, now);
        if message.channel == Channel::Sms {
            self.texted.insert((self.hash(message, code), message.received_at), now);
        }
    }

    /// Whether the message is one whose code has left, delivered once more. A service that sends the same code again,
    /// because it is asked again, sends another message after the new request was made.
    pub(super) fn is_copy(&self, message: &Message, code: &Code, asked_at: Option<Timestamp>) -> bool {
        let came_before = asked_at.is_none_or(|asked_at| message.received_at < asked_at);
        let is_same = message.id.is_some_and(|id| self.messages.contains_key(&id));
        is_same
            || (came_before && self.codes.contains_key(&digest(code)))
            || (message.channel == Channel::Sms && self.was_texted(message, code))
    }

    /// Drops what is past use.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let is_recent = |at: &Timestamp| now.since(*at) < KEPT_FOR;
        self.codes.retain(|_, at| is_recent(at));
        self.messages.retain(|_, at| is_recent(at));
        self.texted.retain(|_, at| is_recent(at));
    }

    fn was_texted(&self, message: &Message, code: &Code) -> bool {
        let (hash, at) = (self.hash(message, code), message.received_at);
        let about = (hash, at.before(TEXTED_TWICE))..=(hash, at.after(TEXTED_TWICE));
        self.texted.range(about).next().is_some()
    }

    fn hash(&self, message: &Message, code: &Code) -> u64 {
        let senders = message.sender.keys().map(|sender| format!("{sender:?}"));
        self.key.hash_one((senders.collect::<Vec<_>>(), digest(code).as_bytes()))
    }
}
