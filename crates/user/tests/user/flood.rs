//! Messages that come in numbers, and messages that come again after a restart.

use std::collections::BTreeSet;

use agent_otp_domain::{Digest, EventType, KeyId, Sender, Timestamp};
use agent_otp_user::Message;
use agent_otp_user::desk::{Desk, Doubt, KEPT_MAX, Outcome, Question};

use crate::given::{approve, approved, at, captured, capturer, ended, mail, requested};

const CODE: &str = "Your Acme login code is 482913.";

#[test]
fn a_flood_of_other_messages_pushes_out_none_that_answers_a_request() {
    let mut desk = empty();
    // Two codes fit, so the message that answers stays on the desk.
    desk.learn(approved(1));
    desk.receive(mail(CODE));
    desk.receive(mail("Your Acme login code is 550127."));
    assert!(matches!(&desk.settle(at(2))[..], [Outcome::Ask(Question { doubt: Doubt::Codes, .. })]));
    for _ in 0..KEPT_MAX * 2 {
        desk.receive(Message { sender: Sender::Address("a@evil.test".parse().unwrap()), ..mail(CODE) });
        assert!(desk.settle(at(2)).is_empty());
    }
    assert_eq!(desk.dropped(), KEPT_MAX as u64 + 2);
    // Both are there still: a request that asks for the first of them by its content gets it.
    let mut narrow = requested(2);
    narrow.request.filter.content = Some("482913".parse().unwrap());
    desk.learn(ended(approved(1), EventType::Denied));
    desk.learn(approve(narrow, None, at(300), vec![capturer()]));
    assert!(matches!(&desk.settle(at(3))[..], [Outcome::Release(_)]));
}

#[test]
fn a_message_that_was_released_before_a_restart_answers_nothing_after_it() {
    let name = Digest::of(&[b"<1@acme.example>"]);
    let named = || Message { id: Some(name), ..mail(CODE) };
    let mut before = empty();
    before.learn(approved(1));
    before.receive(named());
    let outcomes = before.settle(at(2));
    let [Outcome::Release(release)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(release.message, Some(name));

    let mut after = empty();
    after.remember(release.message, at(4));
    after.learn(approved(2));
    after.receive(named());
    assert!(matches!(&after.settle(at(5))[..], [Outcome::Ask(Question { doubt: Doubt::Copy, .. })]));
}

#[test]
fn a_request_is_open_until_it_ends_is_captured_or_lapses() {
    let mut desk = empty();
    assert_eq!(desk.open_until(), None);
    desk.learn(requested(1));
    assert_eq!(desk.open_until(), Some(at(300)));
    let mut long = approved(2);
    long.request.expires_at = at(900);
    desk.learn(long.clone());
    assert_eq!(desk.open_until(), Some(at(900)));
    desk.learn(captured(long));
    assert_eq!(desk.open_until(), Some(at(300)));
    desk.learn(ended(requested(1), EventType::Denied));
    assert_eq!(desk.open_until(), None::<Timestamp>);
}

fn empty() -> Desk {
    let capturer: KeyId = capturer();
    Desk::new(capturer, BTreeSet::new())
}
