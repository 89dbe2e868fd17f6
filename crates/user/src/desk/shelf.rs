//! The messages of the last ten minutes, in memory alone: bounded in number, in bytes and in time.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_otp_domain::{Purpose, RequestKey, Sender, Timestamp, Wanted};
use tracing::warn;

use super::fit::Fit;
use crate::extract::{self, Findings};
use crate::message::Message;

/// How long a message is kept for an approval that comes after it.
pub const KEPT_FOR: Duration = Duration::from_mins(10);
/// How many messages are kept.
pub const KEPT_MAX: usize = 256;
/// How many bytes of text they may hold together.
pub const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The number of a message, in the order in which they came.
pub(super) type Number = u64;

/// The messages.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    messages: BTreeMap<Number, Kept>,
    received: Number,
    bytes: usize,
    dropped: u64,
    /// Whether what is known of each message's sender holds: whom open requests name changes.
    are_known: bool,
}

/// A message, and what it is to each request that it lays claim to.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) message: Message,
    /// When it came to the desk, by this machine's clock: its own time may be earlier.
    pub(super) came_at: Option<Timestamp>,
    pub(super) fits: BTreeMap<RequestKey, Fit>,
    /// The requests that it fitted at the same time as another.
    pub(super) contested: BTreeSet<RequestKey>,
    /// Whether an open request names its sender.
    is_named: bool,
    findings: OnceCell<Findings>,
}

impl Kept {
    fn new(message: Message) -> Self {
        let (fits, contested) = (BTreeMap::new(), BTreeSet::new());
        Self { message, came_at: None, fits, contested, is_named: false, findings: OnceCell::new() }
    }

    /// What the message holds: worked out when the first request asks that it may answer, and never again.
    pub(super) fn findings(&self) -> &Findings {
        self.findings.get_or_init(|| Findings::of(&self.message.text))
    }

    /// What the message says that its code, or its link, is for.
    pub(super) fn purpose(&self, wanted: Wanted) -> Option<Purpose> {
        match wanted {
            Wanted::Code => self.findings().purpose(),
            Wanted::Link => extract::link_purpose(&self.message.text),
        }
    }
}

impl Shelf {
    /// Takes a message. Where there are too many, one goes; `is_named` says whose messages an open request may wait for.
    pub(super) fn put(&mut self, message: Message, is_named: impl Fn(&Sender) -> bool) -> Number {
        self.received = self.received.saturating_add(1);
        self.bytes = self.bytes.saturating_add(message.text.bytes());
        let is_of_interest = is_named(&message.sender);
        self.messages.insert(self.received, Kept { is_named: is_of_interest, ..Kept::new(message) });
        while self.messages.len() > KEPT_MAX || (self.bytes > KEPT_BYTES_MAX && self.messages.len() > 1) {
            if !std::mem::replace(&mut self.are_known, true) {
                self.messages.values_mut().for_each(|kept| kept.is_named = is_named(&kept.message.sender));
            }
            let Some(number) = self.least_wanted() else { break };
            drop(self.take(number));
            self.dropped = self.dropped.saturating_add(1);
            if self.dropped.is_power_of_two() {
                warn!(dropped = self.dropped, kept = KEPT_MAX, "too many messages: the oldest are dropped");
            }
        }
        self.received
    }

    /// The oldest that no open request may wait for, be it the one that has just come; without one, the oldest other that
    /// fits nothing; and if each fits, the oldest other.
    fn least_wanted(&self) -> Option<Number> {
        let others = || self.messages.range(..self.received);
        let unfit = |(_, kept): &(&Number, &Kept)| kept.fits.is_empty();
        let unnamed = self.messages.iter().filter(unfit).find(|(_, kept)| !kept.is_named);
        let found = unnamed.or_else(|| others().find(unfit)).or_else(|| others().next());
        found.map(|(number, _)| *number)
    }

    /// Takes it that open requests name other senders from now on.
    pub(super) fn others_are_named(&mut self) {
        self.are_known = false;
    }

    pub(super) fn get(&self, number: Number) -> Option<&Kept> {
        self.messages.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Kept> {
        self.messages.get_mut(&number)
    }

    pub(super) fn take(&mut self, number: Number) -> Option<Kept> {
        let kept = self.messages.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(kept.message.text.bytes());
        Some(kept)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Kept> {
        self.messages.values()
    }

    pub(super) fn numbers(&self) -> Vec<Number> {
        self.messages.keys().copied().collect()
    }

    /// How many messages had to go before their time.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Drops what is past its time.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.messages.retain(|_, kept| now.since(kept.message.received_at) < KEPT_FOR);
        self.bytes = self.messages.values().map(|kept| kept.message.text.bytes()).sum();
    }
}
