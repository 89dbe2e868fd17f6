//! The messages that were taken lately, so that one that is delivered again is not taken again.

use std::collections::{BTreeSet, VecDeque};

use agent_otp_domain::Digest;

/// How many are remembered; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 4_096;

/// The ids of messages.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

impl Seen {
    pub(super) fn holds(&self, id: &Digest) -> bool {
        self.known.contains(id)
    }

    pub(super) fn remember(&mut self, id: Digest) {
        if !self.known.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_too_many_is_forgotten_and_no_other() {
        let id = |number: usize| Digest::of(&[&number.to_be_bytes()]);
        let mut seen = Seen::default();
        for number in 0..=REMEMBERED_MAX {
            seen.remember(id(number));
            seen.remember(id(number));
        }
        assert!(!seen.holds(&id(0)));
        assert!((1..=REMEMBERED_MAX).all(|number| seen.holds(&id(number))));
        assert_eq!((seen.known.len(), seen.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }
}
