//! The desk where it is not clear what answers what: nothing leaves, and the user is asked.

use std::time::Duration;

use agent_otp_domain::{
    CLOCK_SKEW_MAX, Channel, Channels, Digest, EventType, Filter, Purpose, Sender, Timestamp, Wanted,
};
use agent_otp_trust::VerifiedRequest;
use agent_otp_user::desk::{Desk, Outcome};
use agent_otp_user::mail::authentication::NotAuthentic;
use agent_otp_user::{Message, Rejected};

use crate::at_the_desk::{CODE, OTHER, TWO_CODES, asking, desk, settled};
use crate::given::{MS, TTL, approve, approved, at, capturer, ended, filter, key, mail, requested};

#[test]
fn one_message_for_two_requests_goes_to_neither_and_each_is_asked_about_once() {
    let mut desk = desk([approved(1), approved(2)]);
    desk.receive(mail(CODE));
    assert_eq!(settled(&mut desk, at(2)), ["1: Requests?", "2: Requests?"]);
    assert!(desk.settle(at(3)).is_empty());
    desk.receive(mail(CODE));
    assert!(desk.settle(at(4)).is_empty());
}

#[test]
fn a_message_for_two_requests_goes_to_the_one_that_is_left_once_the_user_denies_the_other() {
    let mut desk = desk([approved(1), approved(2)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.learn(ended(approved(1), EventType::Denied));
    assert_eq!(settled(&mut desk, at(3)), ["2: 482913"]);
}

#[test]
fn of_three_requests_for_one_message_two_must_be_denied() {
    let mut desk = desk([approved(1), approved(2), approved(3)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.learn(ended(approved(1), EventType::Denied));
    assert!(desk.settle(at(3)).is_empty());
    desk.learn(ended(approved(3), EventType::Denied));
    assert_eq!(settled(&mut desk, at(4)), ["2: 482913"]);
}

#[test]
fn a_request_that_ends_otherwise_leaves_its_claim_behind() {
    for end in [EventType::Cancelled, EventType::Expired] {
        let mut desk = desk([approved(1), approved(2)]);
        desk.receive(mail(CODE));
        settled(&mut desk, at(2));
        desk.learn(ended(approved(1), end));
        assert!(desk.settle(at(3)).is_empty(), "{end}");
    }
    let mut desk = desk([approve(requested(1), None, at(60), vec![capturer()]), approved(2)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    assert!(desk.settle(at(61)).is_empty(), "its decision lapsed");
}

#[test]
fn a_copy_of_a_message_for_two_requests_is_for_two_requests() {
    let mut desk = desk([approved(1), approved(2)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.learn(ended(approved(1), EventType::Cancelled));
    desk.receive(mail(CODE));
    assert!(desk.settle(at(3)).is_empty());
}

#[test]
fn two_messages_for_two_requests_are_not_shared_out() {
    let mut desk = desk([approved(1), approved(2)]);
    desk.receive(mail(CODE));
    desk.receive(mail(OTHER));
    assert_eq!(settled(&mut desk, at(2)), ["1: Codes?", "2: Codes?"]);
    desk.learn(ended(approved(1), EventType::Denied));
    assert!(desk.settle(at(3)).is_empty());
}

#[test]
fn two_requests_that_ask_for_different_messages_do_not_hinder_each_other() {
    let mut desk = desk([
        approve(asking(requested(1), filter("acme.test")), None, at(TTL), vec![capturer()]),
        approved(2),
    ]);
    desk.receive(mail(CODE));
    desk.receive(Message { sender: Sender::Address("no-reply@acme.test".parse().unwrap()), ..mail(OTHER) });
    assert_eq!(settled(&mut desk, at(2)), ["1: 550192", "2: 482913"]);
}

#[test]
fn of_two_codes_for_one_request_none_is_released_and_the_user_is_asked_once() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    desk.receive(mail(OTHER));
    assert_eq!(settled(&mut desk, at(2)), ["1: Codes?"]);
    desk.receive(mail(CODE));
    assert!(desk.settle(at(3)).is_empty());
}

#[test]
fn a_newer_code_replaces_none_that_was_contested() {
    let mut desk = desk([approved(1), approved(2)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.learn(ended(approved(1), EventType::Cancelled));
    desk.receive(mail(OTHER));
    assert_eq!(settled(&mut desk, at(3)), ["2: Codes?"]);
}

#[test]
fn the_same_code_sent_twice_is_one_code() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    desk.receive(mail("482913 is your Acme login code."));
    assert_eq!(settled(&mut desk, at(2)), ["1: 482913"]);
}

#[test]
fn a_copy_of_an_answered_message_answers_no_later_request_whenever_it_comes() {
    let named = || Message { id: Some(Digest::of(&[b"<1@acme.example>"])), ..mail(CODE) };
    let mut desk = desk([approved(1)]);
    desk.receive(named());
    desk.receive(named());
    settled(&mut desk, at(2));
    desk.learn(approved(2));
    assert_eq!(settled(&mut desk, at(3)), ["2: Copy?"]);
    desk.receive(named());
    desk.learn(approved(3));
    assert_eq!(settled(&mut desk, at(4)), ["3: Copy?"]);
}

#[test]
fn a_released_code_that_came_again_before_the_request_was_made_does_not_answer_it() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.receive(Message { received_at: at(0).before(MS), ..mail(CODE) });
    desk.learn(approved(2));
    assert_eq!(settled(&mut desk, at(3)), ["2: Copy?"]);
}

#[test]
fn a_service_may_send_the_same_code_again_to_a_request_that_was_made_before() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.learn(approved(2));
    desk.receive(mail(CODE));
    assert_eq!(settled(&mut desk, at(3)), ["2: 482913"]);
}

#[test]
fn a_text_message_that_two_gateways_deliver_answers_one_request() {
    let mut desk = desk([text_approved(1)]);
    desk.receive(texted("android 1", at(10), CODE));
    assert_eq!(settled(&mut desk, at(10)), ["1: 482913"]);
    for (request, received_at, text) in
        [(2, at(11), CODE), (3, at(9), "ACME\nYour login code is 482913.\nSIM1")]
    {
        desk.receive(texted(&format!("other {request}"), received_at, text));
        desk.learn(text_approved(request));
        assert_eq!(settled(&mut desk, at(60)), [format!("{request}: Copy?")]);
    }
}

#[test]
fn a_service_may_text_the_same_code_again_after_two_minutes() {
    let two_minutes = Duration::from_mins(2);
    for (again_at, expected) in
        [(at(10).after(two_minutes), "2: Copy?"), (at(10).after(two_minutes + MS), "2: 482913")]
    {
        let mut desk = desk([text_approved(1)]);
        desk.receive(texted("android 1", at(10), CODE));
        settled(&mut desk, at(10));
        desk.learn(text_approved(2));
        desk.receive(texted("android 2", again_at, CODE));
        assert_eq!(settled(&mut desk, again_at), [expected]);
    }
}

#[test]
fn another_text_message_than_the_one_that_was_answered_with_is_no_copy() {
    let mut desk = desk([text_approved(1)]);
    desk.receive(texted("android 1", at(10), CODE));
    settled(&mut desk, at(10));
    desk.learn(text_approved(2));
    desk.receive(texted("twilio 1", at(11), OTHER));
    assert_eq!(settled(&mut desk, at(11)), ["2: 550192"]);
}

#[test]
fn a_copy_of_an_answered_message_does_not_hinder_a_fresh_one() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.receive(Message { received_at: at(0).before(MS), ..mail(CODE) });
    desk.receive(mail(OTHER));
    desk.learn(approved(2));
    assert_eq!(settled(&mut desk, at(3)), ["2: 550192"]);
}

#[test]
fn a_message_answers_one_request_alone() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.learn(approved(2));
    assert!(desk.settle(at(3)).is_empty());
}

#[test]
fn a_message_with_two_codes_is_not_guessed_at_but_asked_about() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(TWO_CODES));
    assert_eq!(settled(&mut desk, at(2)), ["1: Codes?"]);
    assert!(desk.settle(at(3)).is_empty());
}

#[test]
fn a_message_with_two_codes_does_not_hinder_a_clear_one() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(TWO_CODES));
    settled(&mut desk, at(2));
    desk.receive(mail(CODE));
    assert_eq!(settled(&mut desk, at(3)), ["1: 482913"]);
}

#[test]
fn a_message_that_is_clear_to_one_request_and_unclear_to_another_goes_to_neither() {
    let shaped = asking(requested(1), Filter { shape: "digits:6".parse().ok(), ..filter("acme.example") });
    let shaped = approve(shaped, None, at(TTL), vec![capturer()]);
    let text = "Code 1: 482913\nCode 2: 5501";
    let mut alone = desk([shaped.clone()]);
    alone.receive(mail(text));
    assert_eq!(settled(&mut alone, at(2)), ["1: 482913"]);

    let mut both = desk([shaped, approved(2)]);
    both.receive(mail(text));
    assert_eq!(settled(&mut both, at(2)), ["1: Requests?", "2: Codes?"]);
}

#[test]
fn a_code_for_something_that_was_not_asked_for_is_not_released() {
    let reset = "482913 is your Acme password reset code";
    for (purpose, text, expected) in [
        (None, CODE, "1: 482913"),
        (None, "482913 is your Acme code", "1: 482913"),
        (None, reset, "1: Purpose(Reset)?"),
        (None, "Code 1: 482913\nCode 2: 550192. Reset your password.", "1: Purpose(Reset)?"),
        (Some(Purpose::Login), reset, "1: Purpose(Reset)?"),
        (Some(Purpose::Reset), reset, "1: 482913"),
        (Some(Purpose::Reset), "482913 is your Acme code", "1: 482913"),
        (Some(Purpose::Payment), CODE, "1: Purpose(Login)?"),
    ] {
        let asked = asking(requested(1), Filter { purpose, ..filter("acme.example") });
        let mut desk = desk([approve(asked, None, at(TTL), vec![capturer()])]);
        desk.receive(mail(text));
        assert_eq!(settled(&mut desk, at(2)), [expected], "{purpose:?} {text}");
        assert!(desk.settle(at(3)).is_empty());
    }
}

#[test]
fn a_link_for_something_that_was_not_asked_for_is_not_released() {
    let link = "https://acme.example/verify?token=a1b2c3d4e5f6";
    for (text, expected) in
        [(format!("Sign in to Acme: {link}"), 1), (format!("Reset your password: {link}"), 0)]
    {
        let wanted = Filter { wanted: Wanted::Link, ..filter("acme.example") };
        let mut desk = desk([approve(asking(requested(1), wanted), None, at(TTL), vec![capturer()])]);
        desk.receive(mail(&text));
        let released =
            desk.settle(at(2)).iter().filter(|outcome| matches!(outcome, Outcome::Release(_))).count();
        assert_eq!(released, expected, "{text}");
    }
}

#[test]
fn what_the_user_is_asked_names_what_there_is_to_choose_from_and_no_code() {
    let advice = |desk: &mut Desk| {
        let outcomes = desk.settle(at(2));
        let asked = outcomes.iter().map(|outcome| match outcome {
            Outcome::Ask(question) => question.advice(),
            Outcome::Release(release) => panic!("{release:?}"),
        });
        asked.collect::<Vec<_>>().join("\n")
    };
    let mut one_message = desk([approved(1)]);
    one_message.receive(mail(TWO_CODES));
    insta::assert_snapshot!(advice(&mut one_message), @"more than one code fits this request (4•••13, 5•••92), so none is released; deny it and have the agent ask again, or hand in the right one: agent-otp capture 01a0c450-6c00-7101-8101-010101010101");
    let mut two_messages = desk([approved(1)]);
    two_messages.receive(mail(CODE));
    two_messages.receive(mail(OTHER));
    insta::assert_snapshot!(advice(&mut two_messages), @"more than one code fits this request (4•••13, 5•••92), so none is released; deny it and have the agent ask again, or hand in the right one: agent-otp capture 01a0c450-6c00-7101-8101-010101010101");
    let mut two_requests = desk([approved(1), approved(2)]);
    two_requests.receive(mail(CODE));
    insta::assert_snapshot!(advice(&mut two_requests), @r"
    a message fits this request and another one (agent-2), so neither gets it; deny the other, and this one gets it
    a message fits this request and another one (agent-1), so neither gets it; deny the other, and this one gets it
    ");
    let mut other_purpose = desk([approved(1)]);
    other_purpose.receive(mail("482913 is your Acme password reset code"));
    insta::assert_snapshot!(advice(&mut other_purpose), @"a message came, but its code is for something else (reset), so it is not released; deny the request unless you expect that, and have the agent ask with --purpose reset");
}

#[test]
fn a_newer_code_replaces_nothing_and_the_user_is_told_once() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    assert_eq!(settled(&mut desk, at(2)), ["1: 482913"]);
    desk.receive(mail(CODE));
    assert!(desk.settle(at(3)).is_empty(), "the same code is no newer one");
    desk.receive(mail("Welcome to Acme."));
    assert!(desk.settle(at(3)).is_empty());
    desk.receive(mail(OTHER));
    assert_eq!(settled(&mut desk, at(4)), ["1: Newer?"]);
    desk.receive(mail("Your login code is 771204."));
    assert!(desk.settle(at(5)).is_empty());
}

#[test]
fn a_newer_code_that_another_request_waits_for_is_news_to_nobody() {
    let mut desk = desk([approved(1)]);
    desk.receive(mail(CODE));
    settled(&mut desk, at(2));
    desk.learn(approved(2));
    desk.settle(at(2));
    desk.receive(mail(OTHER));
    assert_eq!(settled(&mut desk, at(3)), ["2: 550192"]);
}

#[test]
fn a_code_that_comes_after_the_request_and_is_dated_before_it_is_told_of() {
    let before = at(0).before(CLOCK_SKEW_MAX + MS);
    let dated = |received_at, text| Message { received_at, ..mail(text) };
    let mut desk = desk([approved(1)]);
    desk.receive(dated(before, "Welcome to Acme."));
    assert!(desk.settle(at(1)).is_empty());
    desk.receive(dated(before, CODE));
    assert_eq!(settled(&mut desk, at(2)), ["1: Late?"]);
    desk.receive(dated(before, OTHER));
    assert!(desk.settle(at(3)).is_empty(), "the user is told once");
    desk.receive(dated(before.after(MS), CODE));
    assert_eq!(settled(&mut desk, at(4)), ["1: 482913"], "a minute is allowed");
}

#[test]
fn a_code_that_came_before_the_request_is_told_of_to_nobody() {
    let before = at(0).before(CLOCK_SKEW_MAX + MS);
    let mut desk = desk([]);
    desk.receive(Message { received_at: before, ..mail(CODE) });
    assert!(desk.settle(before).is_empty());
    desk.learn(approved(1));
    assert!(desk.settle(at(2)).is_empty());
}

#[test]
fn of_a_mail_that_was_refused_exactly_those_requests_tell_that_wait_for_its_sender() {
    let refused = |address: &str, received_at| Rejected {
        sender: Sender::Address(address.parse().unwrap()),
        received_at,
        why: NotAuthentic::Changed,
    };
    let other = approve(asking(requested(2), filter("other.example")), None, at(TTL), vec![capturer()]);
    let mut desk = desk([approved(1), other, requested(3)]);
    desk.reject(refused("a@mail.acme.example", at(1)));
    assert_eq!(settled(&mut desk, at(2)), ["1: Sender(Changed)?"]);
    desk.reject(refused("a@acme.example", at(3)));
    assert!(settled(&mut desk, at(3)).is_empty(), "the user is told once");
    let id = key(1).request;
    for why in [NotAuthentic::Changed, NotAuthentic::Unsigned] {
        assert!(
            why.advice(id).ends_with(&format!("copy the code out of it yourself: agent-otp capture {id}"))
        );
    }
    desk.learn(approved(3));
    assert_eq!(settled(&mut desk, at(4)), ["3: Sender(Changed)?"], "an approval may come later");
    desk.reject(refused("a@other.example", at(0).before(CLOCK_SKEW_MAX + MS)));
    assert!(settled(&mut desk, at(5)).is_empty(), "it came before the request");
    desk.receive(mail(CODE));
    assert!(settled(&mut desk, at(6)).contains(&"1: Requests?".to_owned()), "the request stands as before");
}

/// A request for a code that Acme sends by SMS, approved.
fn text_approved(number: u8) -> VerifiedRequest {
    let by_sms = Filter { channels: Channels::Sms, ..filter("Acme") };
    approve(asking(requested(number), by_sms), None, at(TTL), vec![capturer()])
}

/// A text message from Acme, under a gateway's name for it.
fn texted(name: &str, received_at: Timestamp, text: &str) -> Message {
    let (channel, sender) = (Channel::Sms, Sender::SenderId("Acme".parse().unwrap()));
    let id = Some(Digest::of(&[name.as_bytes()]));
    Message { channel, sender, source: "sms-webhook", id, received_at, ..mail(text) }
}
