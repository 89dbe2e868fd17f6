//! Finds the requests that a message may answer by its sender, however many are open.

use std::collections::{BTreeMap, BTreeSet};

use agent_otp_domain::{RequestKey, Sender, SenderKey};

/// Requests by the sender that each names.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_sender: BTreeMap<SenderKey, BTreeSet<RequestKey>>,
}

impl Index {
    pub(super) fn insert(&mut self, sender: SenderKey, key: RequestKey) {
        self.by_sender.entry(sender).or_default().insert(key);
    }

    pub(super) fn remove(&mut self, sender: &SenderKey, key: &RequestKey) {
        if let Some(keys) = self.by_sender.get_mut(sender) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_sender.remove(sender);
            }
        }
    }

    /// The requests whose filter may admit this sender.
    pub(super) fn of(&self, sender: &Sender) -> Vec<RequestKey> {
        sender.keys().filter_map(|sender| self.by_sender.get(&sender)).flatten().cloned().collect()
    }
}
