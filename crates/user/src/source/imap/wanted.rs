//! What is still to be fetched of a folder: small ones first, because a mail with a code is small, and those that were
//! tried last of all, so that one that breaks the connection each time keeps no other from coming.
//!
//! What the server does not give out is tried twice. Where the connection broke, the network may be to blame, which loses
//! no small mail: it is tried, more and more seldom, until it is too old to answer. A large one is tried twice then, too.

use std::time::Duration;

use agent_otp_domain::Timestamp;
use tracing::warn;

use crate::desk::{KEPT_FOR, KEPT_MAX};
use crate::source::smtp::MAIL_MAX;

use super::response::Listed;

/// By what sizes tell which is smaller: mails with codes are all alike, and come in the order in which they were received.
const STEP_OCTETS: u32 = 128 * 1_024;
/// How often a message is fetched at most that the server does not give out, or that is large.
const TRIES_MAX: u8 = 2;
/// How long a message waits that was tried in vain, at first and at most. Only after the first time that the connection
/// broke it does not: it has waited for the next one.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

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
    /// How often the server answered without it.
    refusals: u8,
    /// When it may be tried again.
    again_at: Timestamp,
}

/// Why a message was not given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The server answered, and it was not there.
    Answered,
    /// The connection broke.
    Broken,
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
        // What is further ahead than anything waits was noted before the clock was set back.
        let may_be_tried =
            |message: &Message| message.again_at <= now || message.again_at > now.after(AGAIN_AFTER.1);
        let messages = self.0.iter().enumerate().filter(|(_, message)| may_be_tried(message));
        let (place, _) = messages.min_by_key(|(_, message)| (message.tries, message.octets / STEP_OCTETS))?;
        Some(self.0.remove(place))
    }

    /// Takes a message back that was not given out.
    pub(super) fn put_back(&mut self, message: Message, failed: Failed, now: Timestamp) {
        let Message { uid, octets, .. } = message;
        let tries = message.tries.saturating_add(1);
        let refusals = message.refusals + u8::from(failed == Failed::Answered);
        let is_hopeless = refusals >= TRIES_MAX || (octets >= STEP_OCTETS && tries >= TRIES_MAX);
        if is_hopeless {
            warn!(uid, octets, "mail not fetched: it is gone, or the server does not give it out");
        } else {
            self.0.push(Message { tries, refusals, again_at: now.after(pause(failed, tries)), ..message });
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
    Some(Message { uid: listed.uid, received_at, octets, tries: 0, refusals: 0, again_at: seen_at })
}

/// How long a message waits that was tried so often.
fn pause(failed: Failed, tries: u8) -> Duration {
    let (first, longest) = AGAIN_AFTER;
    match (failed, u32::from(tries)) {
        (Failed::Broken, ..=1) => Duration::ZERO,
        (Failed::Broken, tries) => first.saturating_mul(1 << (tries - 2).min(10)).min(longest),
        (Failed::Answered, _) => first,
    }
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
    fn a_small_one_comes_first_and_what_is_not_given_out_comes_last_and_once() {
        let now = clock::now();
        let mut wanted = Wanted::default();
        wanted.add(&[listed(1, 5_000_000, now), listed(2, 9_000, now), listed(3, 300, now)], now);
        let first = wanted.next(now).unwrap();
        wanted.put_back(first, Failed::Answered, now);
        wanted.add(&[listed(4, 9_000_000, now)], now);
        let later = now.after(AGAIN_AFTER.0);
        let rest: Vec<_> = std::iter::from_fn(|| wanted.next(later)).collect();
        let uids: Vec<u32> = rest.iter().map(|message| message.uid).collect();
        assert_eq!((first.uid, uids), (2, vec![3, 1, 4, 2]));
        wanted.put_back(rest[3], Failed::Answered, later);
        assert!(wanted.next(later.after(AGAIN_AFTER.1)).is_none());
    }

    #[test]
    fn what_the_server_does_not_give_out_is_not_asked_for_again_at_once() {
        let now = clock::now();
        let mut wanted = Wanted::default();
        wanted.add(&[listed(1, 300, now)], now);
        let message = wanted.next(now).unwrap();
        wanted.put_back(message, Failed::Answered, now);
        assert!(wanted.next(now).is_none());
        assert!(wanted.next(now.after(AGAIN_AFTER.0)).is_some());
    }

    #[test]
    fn where_the_connection_breaks_a_small_one_is_tried_until_it_is_too_old_and_a_large_one_twice() {
        for (octets, expected) in [(STEP_OCTETS - 1, vec![0, 0, 2, 6, 14, 30, 62]), (STEP_OCTETS, vec![0, 0])]
        {
            let now = clock::now();
            let mut wanted = Wanted::default();
            wanted.add(&[listed(1, octets, now)], now);
            let mut tried_at = Vec::new();
            for second in 0..2 * KEPT_FOR.as_secs() {
                let now = now.after(Duration::from_secs(second));
                while let Some(message) = wanted.next(now) {
                    wanted.put_back(message, Failed::Broken, now);
                    tried_at.push(second);
                }
            }
            let within_a_minute: Vec<u64> =
                tried_at.iter().copied().take_while(|second| *second < 64).collect();
            assert_eq!(within_a_minute, expected, "{octets} octets");
            let last = *tried_at.last().unwrap();
            assert!(last < KEPT_FOR.as_secs() && (octets >= STEP_OCTETS || last >= 500), "{tried_at:?}");
        }
    }

    #[test]
    fn a_server_that_answers_without_a_small_one_is_asked_twice_however_often_the_connection_broke() {
        let now = clock::now();
        let mut wanted = Wanted::default();
        wanted.add(&[listed(1, 300, now)], now);
        for failed in [Failed::Broken, Failed::Answered, Failed::Broken, Failed::Answered] {
            let message = wanted.next(now.after(AGAIN_AFTER.1)).unwrap();
            wanted.put_back(message, failed, now);
        }
        assert!(wanted.next(now.after(AGAIN_AFTER.1)).is_none());
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
