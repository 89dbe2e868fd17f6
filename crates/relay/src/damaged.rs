//! The requests that this relay could not read: each is told of once, because it is asked for again and again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use agent_otp_domain::{RequestKey, causes};
use agent_otp_jetstream::StoreError;
use tracing::warn;

/// How many are remembered; the first that came goes first, and is told of again if it is still asked for.
const REMEMBERED_MAX: usize = 256;

/// Those that were told of.
#[derive(Debug, Default)]
pub(crate) struct Damaged(Mutex<VecDeque<RequestKey>>);

impl Damaged {
    /// Logs that this request cannot be read, and why; once.
    pub(crate) fn tell(&self, key: &RequestKey, error: &StoreError) {
        if self.is_new(key) {
            warn!(request = %key, error = causes(error), "a request is passed over that a newer relay may be able to read");
        }
    }

    fn is_new(&self, key: &RequestKey) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(key) {
            return false;
        }
        if told.len() >= REMEMBERED_MAX {
            told.pop_front();
        }
        told.push_back(key.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use agent_otp_domain::{RequestId, Timestamp};

    use super::*;

    #[test]
    fn a_damaged_request_is_told_of_once_and_not_for_ever() {
        let damaged = Damaged::default();
        let key = |number: i64| RequestKey {
            owner: "z".repeat(32).parse().unwrap(),
            agent: "shopper".parse().unwrap(),
            request: RequestId::new(Timestamp::from_unix_ms(number), [7; 10]),
        };
        assert!(damaged.is_new(&key(0)));
        assert!(!damaged.is_new(&key(0)));
        assert!((1..).take(REMEMBERED_MAX).all(|number| damaged.is_new(&key(number))));
        assert!(damaged.is_new(&key(0)));
    }
}
