//! Finds the requests that a message may answer by its sender, however many are open.

use std::collections::{BTreeMap, BTreeSet};

use agent_otp_domain::{RequestKey, Sender, SenderKey, SenderPattern, Senders};

/// Requests by the sender that each names.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_sender: BTreeMap<SenderKey, BTreeSet<RequestKey>>,
}

impl Index {
    pub(super) fn insert(&mut self, senders: &Senders, key: &RequestKey) {
        for sender in senders.iter().map(SenderPattern::key) {
            self.by_sender.entry(sender).or_default().insert(key.clone());
        }
    }

    pub(super) fn remove(&mut self, senders: &Senders, key: &RequestKey) {
        for sender in senders.iter().map(SenderPattern::key) {
            if let Some(keys) = self.by_sender.get_mut(&sender) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_sender.remove(&sender);
                }
            }
        }
    }

    /// Whether there is a request whose filter may admit this sender.
    pub(super) fn names(&self, sender: &Sender) -> bool {
        sender.keys().any(|sender| self.by_sender.contains_key(&sender))
    }

    /// The requests whose filter may admit this sender.
    pub(super) fn of(&self, sender: &Sender) -> BTreeSet<RequestKey> {
        sender.keys().filter_map(|sender| self.by_sender.get(&sender)).flatten().cloned().collect()
    }
}
