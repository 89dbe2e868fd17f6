//! What is still to be fetched of a folder: small ones first, because a mail with a code is small, and each at most
//! twice, so that one that breaks the connection each time keeps no other from coming.

use std::time::Duration;

use agent_otp_domain::Timestamp;
use tracing::warn;

use crate::desk::{KEPT_FOR, KEPT_MAX};
use crate::source::smtp::MAIL_MAX;

use super::response::Listed;

/// By what sizes tell which is smaller: mails with codes are all alike, and come in the order in which they were received.
const STEP_OCTETS: u32 = 128 * 1_024;
/// How often a message is fetched at most.
const TRIES_MAX: u8 = 2;

/// The messages; they outlive a connection.
#[derive(Debug, Default)]
pub(super) struct Wanted(Vec<Message>);

/// A message that may still answer a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) uid: u32,
    /// When it was received, by this machine's clock.
    pub(super) received_at: Timestamp,
    octets: u32,
    /// How often it was tried to fetch it.
    tries: u8,
}

impl Wanted {
    /// Takes what is neither too old nor too large of what was listed at this time.
    pub(super) fn add(&mut self, listed: &[Listed], seen_at: Timestamp) {
        self.0.extend(listed.iter().filter_map(|listed| wanted(listed, seen_at)));
        self.0.sort_by_key(|message| message.uid);
        self.0.drain(..self.0.len().saturating_sub(KEPT_MAX));
    }

    /// The message that is to be fetched next, if there is one that is not too old by now.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Message> {
        self.0.retain(|message| now.since(message.received_at) < KEPT_FOR);
        let messages = self.0.iter().enumerate();
        let (place, _) = messages.min_by_key(|(_, message)| (message.tries, message.octets / STEP_OCTETS))?;
        Some(self.0.remove(place))
    }

    /// Takes a message back that was not given out.
    pub(super) fn put_back(&mut self, message: Message) {
        let Message { uid, octets, tries, .. } = message;
        if tries + 1 < TRIES_MAX {
            self.0.push(Message { tries: tries + 1, ..message });
        } else {
            warn!(uid, octets, "mail not fetched: it is gone, or the server does not give it out");
        }
    }

    /// Forgets all: the server numbers its messages anew.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A message that may still answer a request, if this is one.
fn wanted(listed: &Listed, seen_at: Timestamp) -> Option<Message> {
    let received_at = received_at(listed.internal_date?, seen_at);
    if seen_at.since(received_at) >= KEPT_FOR {
        return None;
    }
    let is_small = |octets: &u32| usize::try_from(*octets).is_ok_and(|octets| octets <= MAIL_MAX);
    let Some(octets) = listed.octets.filter(is_small) else {
        let limit = MAIL_MAX;
        warn!(octets = listed.octets, limit, "mail not fetched: it is too large to be one with a code");
        return None;
    };
    Some(Message { uid: listed.uid, received_at, octets, tries: 0 })
}

/// When a message was received, by this machine's clock: see [`super::folder`]. An INTERNALDATE is cut to whole seconds.
fn received_at(internal_date: Timestamp, seen_at: Timestamp) -> Timestamp {
    internal_date.after(Duration::from_millis(999)).min(seen_at)
}

#[cfg(test)]
mod tests {
    use agent_otp_jetstream::clock;

    use super::*;

    #[test]
    fn a_mail_is_received_when_it_is_seen_unless_its_server_had_it_earlier() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let seen_at = at("2026-01-31T12:00:00.500Z");
        for (internal_date, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.500Z"),
            ("2026-01-31T11:59:59Z", "2026-01-31T11:59:59.999Z"),
            ("2026-01-31T11:50:00Z", "2026-01-31T11:50:00.999Z"),
            ("2020-01-31T12:00:00Z", "2020-01-31T12:00:00.999Z"),
            ("2026-01-31T12:10:00Z", "2026-01-31T12:00:00.500Z"),
        ] {
            assert_eq!(received_at(at(internal_date), seen_at), at(expected), "{internal_date}");
        }
    }

    #[test]
    fn a_mail_that_is_old_large_or_undated_is_not_fetched() {
        let now = clock::now();
        let is_wanted = |age: Option<Duration>, octets| {
            let internal_date = age.map(|age| now.before(age));
            wanted(&Listed { uid: 1, internal_date, octets, body: None }, now).is_some()
        };
        let (new, octets) = (Some(Duration::from_mins(9)), Some(1_000));
        assert!(is_wanted(new, octets));
        assert!(!is_wanted(Some(Duration::from_mins(11)), octets));
        assert!(!is_wanted(None, octets));
        assert!(!is_wanted(new, None));
        assert!(!is_wanted(new, Some(10 * 1_024 * 1_024 + 1)));
    }

    #[test]
    fn a_small_one_comes_first_and_what_is_put_back_comes_last_and_once() {
        let now = clock::now();
        let mut wanted = Wanted::default();
        wanted.add(&[listed(1, 5_000_000, now), listed(2, 9_000, now), listed(3, 300, now)], now);
        let first = wanted.next(now).unwrap();
        wanted.put_back(first);
        wanted.add(&[listed(4, 9_000_000, now)], now);
        let rest: Vec<_> = std::iter::from_fn(|| wanted.next(now)).collect();
        let uids: Vec<u32> = rest.iter().map(|message| message.uid).collect();
        assert_eq!((first.uid, uids), (2, vec![3, 1, 4, 2]));
        wanted.put_back(rest[3]);
        assert!(wanted.next(now).is_none());
    }

    #[test]
    fn what_waited_too_long_or_is_one_too_many_is_not_fetched_any_more() {
        let now = clock::now();
        let mut wanted = Wanted::default();
        wanted.add(&[listed(1, 100, now)], now);
        assert!(wanted.next(now.after(KEPT_FOR + Duration::from_secs(1))).is_none());
        let many: Vec<Listed> = (1..=300).map(|uid| listed(uid, 100, now)).collect();
        wanted.add(&many, now);
        let rest: Vec<u32> = std::iter::from_fn(|| wanted.next(now)).map(|message| message.uid).collect();
        assert_eq!((rest.len(), rest[0]), (KEPT_MAX, 45));
    }

    fn listed(uid: u32, octets: u32, internal_date: Timestamp) -> Listed {
        Listed { uid, internal_date: Some(internal_date), octets: Some(octets), body: None }
    }
}
