//! Where the shells get what the rules take as arguments: the time, and dice.

use std::time::UNIX_EPOCH;

use agent_otp_domain::{EventId, RequestId, Timestamp};

/// The machine's clock.
#[must_use]
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where a shell asks its clock")]
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(since.as_millis().try_into().unwrap_or(i64::MAX))
}

/// Bytes from the system's generator.
///
/// # Panics
///
/// If the system has none: nothing here can be safe then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness every key and nonce would be guessable")]
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A name for a request that is made now.
#[must_use]
pub fn request_id() -> RequestId {
    RequestId::new(now(), random())
}

/// A name for a decision of a relay.
#[must_use]
pub fn event_id() -> EventId {
    EventId::new(random())
}
