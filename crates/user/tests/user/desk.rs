//! The desk: every way in which a message, or two, can meet a request, or two.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_otp_domain::{CLOCK_SKEW_MAX, Channel, Channels, EventType, Filter, Purpose, Sender, Wanted};
use agent_otp_trust::VerifiedRequest;
use agent_otp_user::Message;
use agent_otp_user::desk::{Desk, KEPT_BYTES_MAX, KEPT_FOR, KEPT_MAX, Outcome};

use crate::at_the_desk::{CODE, OTHER, asking, desk, settled, stranger};
use crate::given::{
    MS, TTL, approve, approved, at, captured, capturer, decision_of, ended, filter, key, mail, requested,
};

#[test]
fn a_message_that_satisfies_the_filter_answers_the_request() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    let outcomes = desk.settle(at(2));
    let [Outcome::Release(release)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!((&release.request.key, release.code.expose()), (&key(1), "482913"));
    assert_eq!(release.decision, decision_of(&approved(1)));
    assert_eq!((release.evidence.source.as_str(), release.evidence.received_at), ("smtp", at(1)));
    assert!(desk.settle(at(3)).is_empty());
}

#[test]
fn a_message_that_came_before_its_approval_answers_it_then() {
    let mut desk = desk([requested(1)]);
    desk.receive(mail(CODE));
    assert!(desk.settle(at(2)).is_empty());
    desk.learn(approved(1));
    assert_eq!(settled(&mut desk, at(60)), ["1: 482913"]);
}

#[test]
fn a_message_must_satisfy_every_part_of_the_filter() {
    let asked = filter("acme.example");
    let sms =
        || Message { channel: Channel::Sms, sender: Sender::SenderId("Acme".parse().unwrap()), ..mail(CODE) };
    let from = |address: &str| Message { sender: Sender::Address(address.parse().unwrap()), ..mail(CODE) };
    let table: [(&str, Filter, Message, bool); 17] = [
        ("one of several", filter("acme.test, acme.example"), from("a@acme.test"), true),
        ("an address and its domain", filter("acme.example, a@acme.example"), from("a@acme.example"), true),
        ("none of several", filter("acme.test, other.example"), mail(CODE), false),
        ("a subdomain", asked.clone(), from("a@mail.acme.example"), true),
        ("another domain", asked.clone(), from("no-reply@acme.test"), false),
        ("a domain that looks alike", asked.clone(), from("no-reply@acme.example.evil.test"), false),
        ("another address", filter("codes@acme.example"), mail(CODE), false),
        ("an SMS for an e-mail", asked.clone(), sms(), false),
        ("an SMS", Filter { channels: Channels::Any, ..filter("Acme") }, sms(), true),
        ("an e-mail for an SMS", Filter { channels: Channels::Sms, ..filter("Acme") }, mail(CODE), false),
        ("the pattern", Filter { content: "LOGIN code".parse().ok(), ..asked.clone() }, mail(CODE), true),
        ("another pattern", Filter { content: "reset".parse().ok(), ..asked.clone() }, mail(CODE), false),
        ("the shape", Filter { shape: "digits:6".parse().ok(), ..asked.clone() }, mail(CODE), true),
        ("another length", Filter { shape: "digits:8".parse().ok(), ..asked.clone() }, mail(CODE), false),
        ("another alphabet", Filter { shape: "letters:6".parse().ok(), ..asked.clone() }, mail(CODE), false),
        ("no code", asked.clone(), mail("Welcome to Acme."), false),
        ("a code for a link", Filter { wanted: Wanted::Link, ..asked }, mail(CODE), false),
    ];
    for (case, filter, message, answers) in table {
        let mut desk = desk([approve(asking(requested(1), filter), None, at(TTL), vec![capturer()])]);
        desk.receive(message);
        let expected: &[&str] = if answers { &["1: 482913"] } else { &[] };
        assert_eq!(settled(&mut desk, at(2)), expected, "{case}");
    }
}

#[test]
fn a_link_answers_a_request_for_one_on_the_senders_domain_alone() {
    for (sender, text, expected) in [
        ("acme.example", "Sign in to Acme: https://acme.example/login?token=a1b2c3d4e5f6", true),
        ("acme.example", "Sign in to Acme: https://evil.test/login?token=a1b2c3d4e5f6", false),
    ] {
        let wanted = Filter { wanted: Wanted::Link, ..filter(sender) };
        let mut desk = desk([approve(asking(requested(1), wanted), None, at(TTL), vec![capturer()])]);
        desk.receive(mail(text));
        assert_eq!(settled(&mut desk, at(2)).len(), usize::from(expected), "{text}");
    }
}

#[test]
fn a_message_counts_from_a_minute_before_the_request_until_the_decision_lapses() {
    let lapses_at = at(120);
    for (received_at, answers) in [
        (at(0).before(CLOCK_SKEW_MAX).before(MS), false),
        (at(0).before(CLOCK_SKEW_MAX), true),
        (lapses_at.before(MS), true),
        (lapses_at, false),
    ] {
        let mut desk = desk([approve(requested(1), None, lapses_at, vec![capturer()])]);
        desk.receive(Message { received_at, ..mail(CODE) });
        let now = received_at.max(at(0)).min(lapses_at.before(MS));
        let is_answer = settled(&mut desk, now).contains(&"1: 482913".to_owned());
        assert_eq!(is_answer, answers, "{received_at}");
    }
}

#[test]
fn a_message_in_the_window_answers_until_the_decision_lapses_and_not_then() {
    for (now, answers) in [(at(120).before(MS), true), (at(120), false)] {
        let mut desk = desk([approve(requested(1), None, at(120), vec![capturer()])]);
        desk.receive(mail(CODE));
        assert_eq!(settled(&mut desk, now).len(), usize::from(answers), "{now}");
    }
    for (now, answers) in [(at(TTL).before(MS), true), (at(TTL), false)] {
        let mut desk = desk([approved(1)]);
        desk.receive(mail(CODE));
        assert_eq!(settled(&mut desk, now).len(), usize::from(answers), "{now}");
    }
}

#[test]
fn a_request_that_does_not_await_a_code_gets_none() {
    let ends = [EventType::Denied, EventType::Expired, EventType::Consumed, EventType::Cancelled];
    let ended = ends.map(|end| ended(approved(1), end));
    let others =
        [requested(1), captured(approved(1)), approve(requested(1), None, at(TTL), vec![stranger()])];
    for request in ended.into_iter().chain(others) {
        let mut desk = desk([request.clone()]);
        desk.receive(mail(CODE));
        assert!(desk.settle(at(2)).is_empty(), "{request:?}");
    }
}

#[test]
fn a_message_must_satisfy_the_narrowing_as_well() {
    let asked = || asking(requested(1), Filter { content: "code".parse().ok(), ..filter("acme.example") });
    let narrowing = || Filter { content: "login".parse().ok(), ..filter("no-reply@acme.example") };
    let elsewhere = Message { sender: Sender::Address("other@acme.example".parse().unwrap()), ..mail(CODE) };
    for (case, message, answers) in [
        ("both", mail(CODE), true),
        ("the request's filter alone", mail("Your code is 482913."), false),
        ("the narrowing alone", mail("Use 482913 to login."), false),
        ("the request's sender alone", elsewhere, false),
    ] {
        let mut desk = desk([approve(asked(), Some(narrowing()), at(TTL), vec![capturer()])]);
        desk.receive(message);
        assert_eq!(settled(&mut desk, at(2)).len(), usize::from(answers), "{case}");
    }
}

#[test]
fn a_code_must_have_the_shape_of_the_request_and_of_the_narrowing() {
    let asked = || asking(requested(1), Filter { shape: "alnum:6-8".parse().ok(), ..filter("acme.example") });
    let narrowing = || Filter { shape: "digits:4-6".parse().ok(), ..filter("acme.example") };
    for (text, answers) in [
        ("Your login code is 482913.", true),
        ("Your login code is 4829.", false),
        ("Your login code is 48291355.", false),
        ("Your login code is R7K2M9.", false),
    ] {
        let mut desk = desk([approve(asked(), Some(narrowing()), at(TTL), vec![capturer()])]);
        desk.receive(mail(text));
        assert_eq!(settled(&mut desk, at(2)).len(), usize::from(answers), "{text}");
    }
}

#[test]
fn a_decision_is_acted_on_once_whatever_comes_later() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    // The relay has not taken the capture, so the request still looks open.
    desk.learn(approved(1));
    desk.receive(mail(OTHER));
    assert_eq!(settled(&mut desk, at(3)), ["1: Newer?"]);
}

#[test]
fn a_decision_that_was_acted_on_before_a_restart_is_not_acted_on_after_it() {
    let spent = BTreeSet::from([decision_of(&approved(1))]);
    let mut desk = Desk::new(capturer(), spent);
    desk.learn(approved(1));
    desk.receive(mail(CODE));
    assert!(desk.settle(at(2)).is_empty());
    desk.learn(approved(2));
    assert_eq!(settled(&mut desk, at(3)), ["2: 482913"]);
}

#[test]
fn a_history_without_the_denial_that_was_learnt_of_contradicts_it_unless_it_is_older() {
    let desk = desk([ended(requested(1), EventType::Denied)]);
    let table = [
        (requested(1), false),
        (ended(requested(1), EventType::Denied), false),
        (ended(requested(1), EventType::Cancelled), true),
        (approved(1), true),
        (captured(approved(1)), true),
        (requested(2), false),
    ];
    for (request, is_contradiction) in table {
        assert_eq!(desk.is_contradicted_by(&request), is_contradiction, "{request:?}");
    }
}

#[test]
fn what_is_older_than_what_is_known_changes_nothing() {
    let mut desk = desk([ended(approved(1), EventType::Cancelled)]);
    desk.learn(approved(1));
    desk.receive(mail(CODE));
    assert!(desk.settle(at(2)).is_empty());
}

#[test]
fn a_denial_wins_over_everything_else_that_the_relay_says() {
    let denied = ended(requested(1), EventType::Denied);
    let mut late = desk([approved(1)]);
    late.learn(denied.clone());
    let mut early = desk([denied]);
    early.learn(VerifiedRequest { version: 9, ..approved(1) });
    for mut desk in [late, early] {
        desk.receive(mail(CODE));
        assert!(desk.settle(at(2)).is_empty());
    }
}

#[test]
fn of_too_many_messages_the_oldest_go() {
    let elsewhere = || Message { sender: Sender::Address("a@evil.test".parse().unwrap()), ..mail(OTHER) };
    for (others, answers) in [(KEPT_MAX - 1, true), (KEPT_MAX, false)] {
        let mut desk = desk([]);
        desk.receive(mail(CODE));
        for _ in 0..others {
            desk.receive(elsewhere());
        }
        desk.learn(approved(1));
        assert_eq!(settled(&mut desk, at(2)).len(), usize::from(answers), "{others}");
    }
}

#[test]
fn of_too_many_messages_those_that_fit_nothing_go_first() {
    let elsewhere = || Message { sender: Sender::Address("a@evil.test".parse().unwrap()), ..mail(OTHER) };
    let mut desk = desk([approved(1), approved(2)]);
    desk.receive(mail(CODE));
    assert_eq!(settled(&mut desk, at(2)), ["1: Requests?", "2: Requests?"]);
    for _ in 0..2 * KEPT_MAX {
        desk.receive(elsewhere());
    }
    assert_eq!(desk.dropped(), u64::try_from(KEPT_MAX + 1).unwrap());
    desk.learn(ended(approved(1), EventType::Denied));
    assert_eq!(settled(&mut desk, at(3)), ["2: 482913"]);
}

#[test]
fn of_too_many_messages_those_that_no_open_request_waits_for_go_first() {
    let elsewhere =
        |text: &str| Message { sender: Sender::Address("a@evil.test".parse().unwrap()), ..mail(text) };
    let large = "x".repeat(KEPT_BYTES_MAX / 64);
    let too_large = "x".repeat(KEPT_BYTES_MAX);
    for (text, times) in [(OTHER, 2 * KEPT_MAX), (&large, 128), (&too_large, 2)] {
        let mut desk = desk([requested(1)]);
        desk.receive(mail(CODE));
        for _ in 0..times {
            desk.receive(elsewhere(text));
            assert!(desk.settle(at(2)).is_empty());
        }
        assert!(desk.dropped() > 0);
        desk.learn(approved(1));
        assert_eq!(settled(&mut desk, at(3)), ["1: 482913"], "{} bytes", text.len());
    }
}

#[test]
fn what_a_request_waited_for_that_is_over_is_kept_no_longer_than_other_messages() {
    for (end, now) in [(Some(ended(requested(1), EventType::Expired)), at(2)), (None, at(TTL))] {
        let mut desk = desk([requested(1)]);
        desk.receive(Message { received_at: at(TTL - 1), ..mail(CODE) });
        if let Some(end) = end {
            desk.learn(end);
        }
        desk.forget(now);
        for _ in 0..KEPT_MAX {
            desk.receive(Message {
                sender: Sender::Address("a@evil.test".parse().unwrap()),
                received_at: at(TTL - 1),
                ..mail(OTHER)
            });
        }
        let mut later = approve(requested(2), None, at(2 * TTL), vec![capturer()]);
        later.request.expires_at = at(2 * TTL);
        desk.learn(later);
        assert!(desk.settle(now).is_empty());
    }
}

#[test]
fn messages_are_bounded_in_bytes() {
    let large = || mail(&"x".repeat(KEPT_BYTES_MAX / 4));
    let mut desk = desk([]);
    desk.receive(mail(CODE));
    for _ in 0..4 {
        desk.receive(large());
    }
    assert_eq!(desk.dropped(), 1);
    desk.learn(approved(1));
    assert!(desk.settle(at(2)).is_empty());
}

#[test]
fn what_a_message_says_that_its_code_is_for_stands_in_the_evidence() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    let outcomes = desk.settle(at(2));
    let [Outcome::Release(release)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(release.evidence.purpose, Some(Purpose::Login));
}

#[test]
fn a_message_is_kept_for_ten_minutes() {
    assert_eq!(KEPT_FOR, Duration::from_mins(10));
    for (now, answers) in [(at(1).after(KEPT_FOR).before(MS), true), (at(1).after(KEPT_FOR), false)] {
        let mut request = approve(requested(1), None, at(3_600), vec![capturer()]);
        request.request.expires_at = at(3_600);
        let mut desk = desk([]);
        desk.receive(mail(CODE));
        desk.forget(now);
        desk.learn(request);
        assert_eq!(settled(&mut desk, now).len(), usize::from(answers), "{now}");
    }
}

#[test]
fn the_debug_of_a_desk_shows_no_code_and_no_text() {
    let mut desk = desk([approved(1), approved(2)]);
    desk.receive(mail(CODE));
    desk.settle(at(2));
    desk.learn(ended(approved(1), EventType::Denied));
    let outcomes = desk.settle(at(3));
    assert_eq!(outcomes.len(), 1);
    let shown = format!("{desk:?} {outcomes:?}");
    assert!(!shown.contains("482913") && !shown.contains("login"), "{shown}");
}
