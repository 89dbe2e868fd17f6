//! A desk with requests, and what it settles.

use std::collections::BTreeSet;

use agent_otp_domain::{Digest, Filter, KeyId, Timestamp};
use agent_otp_trust::VerifiedRequest;
use agent_otp_user::desk::{Desk, Outcome, Question};

use crate::given::{capturer, key};

/// A message with one code.
pub(crate) const CODE: &str = "Your login code is 482913.";
/// One with another.
pub(crate) const OTHER: &str = "Your login code is 550192.";
/// One with both.
pub(crate) const TWO_CODES: &str = "Code 1: 482913\nCode 2: 550192";

/// A desk that has learnt of these requests.
pub(crate) fn desk<const N: usize>(requests: [VerifiedRequest; N]) -> Desk {
    let mut desk = Desk::new(capturer(), BTreeSet::<Digest>::new());
    for request in requests {
        desk.learn(request);
    }
    desk
}

/// What is to be done now, each as the request's number and the code or the doubt.
pub(crate) fn settled(desk: &mut Desk, now: Timestamp) -> Vec<String> {
    let number = |of: &agent_otp_domain::RequestKey| (1..=3).find(|number| key(*number) == *of).unwrap();
    let shown = |outcome| match outcome {
        Outcome::Release(release) => format!("{}: {}", number(&release.request.key), release.code.expose()),
        Outcome::Ask(Question { request, doubt, .. }) => format!("{}: {doubt:?}?", number(&request)),
    };
    desk.settle(now).into_iter().map(shown).collect()
}

pub(crate) fn asking(mut request: VerifiedRequest, filter: Filter) -> VerifiedRequest {
    request.request.filter = filter;
    request
}

/// The key of another capturer.
pub(crate) fn stranger() -> KeyId {
    KeyId::of(&[6; 32])
}
