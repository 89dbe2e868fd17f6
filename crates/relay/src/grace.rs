//! How long the sealed code of a consumed request stays for an agent whose relay died before it answered: by this relay's
//! own clock, from when it first heard of the end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_otp_domain::RequestKey;
use tokio::time::Instant;

/// How long it stays.
pub(crate) const CONSUMED_GRACE: Duration = Duration::from_secs(10);
/// For how long it is remembered that an end was heard of: a broker that was killed is back by then, or its vault is empty.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);

/// The ends that this relay has heard of.
#[derive(Debug, Default)]
pub(crate) struct Grace(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    since: BTreeMap<RequestKey, Instant>,
    order: VecDeque<(Instant, RequestKey)>,
}

impl Grace {
    /// How much longer the request's sealed code stays, now that its end is delivered for this time.
    ///
    /// A broker that was killed may deliver a second time and call it the first, so what counts is what this relay
    /// remembers; where it remembers nothing, a second delivery comes when another relay has given the code its time.
    pub(crate) fn left(&self, key: &RequestKey, deliveries: i64, now: Instant) -> Duration {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.forget(now);
        match heard.since.get(key) {
            Some(since) => CONSUMED_GRACE.saturating_sub(now.duration_since(*since)),
            None if deliveries > 1 => Duration::ZERO,
            None => {
                heard.since.insert(key.clone(), now);
                heard.order.push_back((now, key.clone()));
                CONSUMED_GRACE
            }
        }
    }
}

impl Heard {
    fn forget(&mut self, now: Instant) {
        let is_old = |since: &Instant| now.duration_since(*since) >= REMEMBERED_FOR;
        while let Some((_, key)) = self.order.pop_front_if(|(since, _)| is_old(since)) {
            self.since.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_otp_domain::RequestId;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_code_stays_ten_seconds_from_when_its_end_was_first_heard_of_however_often_it_is_told() {
        let (grace, key, now) = (Grace::default(), key(1), Instant::now());
        assert_eq!(grace.left(&key, 1, now), CONSUMED_GRACE);
        assert_eq!(
            grace.left(&key, 1, now + 4 * SECOND),
            6 * SECOND,
            "a broker that was killed calls it the first"
        );
        assert_eq!(grace.left(&key, 2, now + 4 * SECOND), 6 * SECOND);
        assert_eq!(grace.left(&key, 1, now + 10 * SECOND), Duration::ZERO);
    }

    #[test]
    fn what_another_relay_has_put_off_is_put_off_no_more() {
        let grace = Grace::default();
        assert_eq!(grace.left(&key(1), 2, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn what_was_heard_of_long_ago_is_forgotten() {
        let (grace, now) = (Grace::default(), Instant::now());
        grace.left(&key(1), 1, now);
        grace.left(&key(2), 1, now + REMEMBERED_FOR);
        let heard = grace.0.lock().unwrap();
        assert_eq!((heard.since.len(), heard.order.len()), (1, 1));
    }

    fn key(number: u128) -> RequestKey {
        RequestKey {
            owner: "m3qxx72p7nh6f64m3dc7sv3nsk4l7jaa".parse().unwrap(),
            agent: "shopper".parse().unwrap(),
            request: format!("019c13ec-9e00-7707-8707-{number:012}").parse::<RequestId>().unwrap(),
        }
    }
}
