//! The open requests that this relay saw last, as it saw them: it need not read what it has just written.
//!
//! Another relay may have gone on since. So what is decided from here is believed only once it was appended, because the
//! append fails if anything was stored meanwhile; whatever else is concluded is first held against the log's leader.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use agent_otp_domain::{RequestKey, State};
use agent_otp_jetstream::Loaded;

/// How many requests are remembered; the first that came goes first.
const REMEMBERED_MAX: usize = 1_024;

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Requests>);

#[derive(Debug, Default)]
struct Requests {
    known: BTreeMap<RequestKey, Loaded>,
    order: VecDeque<RequestKey>,
}

impl Recent {
    pub(crate) fn recall(&self, key: &RequestKey) -> Option<Loaded> {
        self.requests(|requests| requests.known.get(key).cloned())
    }

    /// Remembers a request that is open, and forgets one that has ended: nothing more is appended to it.
    pub(crate) fn remember(&self, key: &RequestKey, loaded: &Loaded) {
        match loaded.state() {
            State::Open(_) => self.requests(|requests| requests.insert(key, loaded)),
            State::Absent | State::Ended(..) => self.forget(key),
        }
    }

    pub(crate) fn forget(&self, key: &RequestKey) {
        self.requests(|requests| drop(requests.known.remove(key)));
    }

    fn requests<T>(&self, work: impl FnOnce(&mut Requests) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Requests {
    fn insert(&mut self, key: &RequestKey, loaded: &Loaded) {
        if self.known.insert(key.clone(), loaded.clone()).is_none() {
            self.order.push_back(key.clone());
        }
        // Those that ended are in the order still, and leave with it.
        while self.order.len() > REMEMBERED_MAX {
            if let Some(first) = self.order.pop_front() {
                self.known.remove(&first);
            }
        }
    }
}
