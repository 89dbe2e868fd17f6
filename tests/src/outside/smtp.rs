//! SMTP sessions.

use std::cell::RefCell;

use agent_otp_domain::Channel;
use agent_otp_user::source::{Source, smtp::Smtp};

use super::mail::takes_codes_alone;
use super::peer::Peer;

/// What says that a mail was taken.
const ACCEPTED: &str = "250 2.0.0 accepted";

thread_local! {
    static PEER: RefCell<Peer> = RefCell::new(Peer::of(async {
        Box::new(Smtp::bind(([127, 0, 0, 1], 0).into()).await.unwrap()) as Box<dyn Source>
    }));
}

/// Every reply is a line with a code, and what was accepted is a message, no more and no less.
pub fn smtp(bytes: &[u8]) {
    let heard = PEER.with_borrow_mut(|peer| peer.hear(bytes));
    let replies = String::from_utf8(heard.answer).expect("replies are text");
    assert!(replies.starts_with("220 ") && replies.ends_with("\r\n"), "{replies:?}");
    for reply in replies.split_terminator("\r\n") {
        let (code, rest) = reply.split_at_checked(3).expect("a reply begins with a code");
        assert!(matches!(code.parse(), Ok(200..=599)) && rest.starts_with([' ', '-']), "{reply:?}");
        assert!(!rest.contains(char::is_control), "{reply:?}");
    }
    assert_eq!(replies.matches(ACCEPTED).count(), heard.messages.len(), "{replies:?}");
    for message in heard.messages {
        assert_eq!((message.channel, message.source), (Channel::Email, "smtp"));
        takes_codes_alone(&message.text, None);
    }
}
