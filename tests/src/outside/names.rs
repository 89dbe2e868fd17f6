//! What people and agents write: ids, names, senders, shapes, filters, times.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use agent_otp_domain::{
    Address, Channel, Channels, CodeShape, ContentPattern, Digest, EventId, EventType, Filter, KeyId,
    MemberId, Number, OwnerId, Purpose, Reason, RegistrableDomain, RequestId, Role, Sender, SenderId,
    SenderPattern, Senders, Services, Timestamp, Ttl, UserId, Wanted, codec, visible,
};
use agent_otp_trust::enrolment::Token;

/// What is read reads back from what it shows, and nothing that is shown acts on the screen.
pub fn names(bytes: &[u8]) {
    filter(bytes);
    let text = String::from_utf8_lossy(bytes);
    reads_back::<Address>(&text);
    reads_back::<Channel>(&text);
    reads_back::<Channels>(&text);
    reads_back::<CodeShape>(&text);
    reads_back::<ContentPattern>(&text);
    reads_back::<Digest>(&text);
    reads_back::<EventId>(&text);
    reads_back::<EventType>(&text);
    reads_back::<KeyId>(&text);
    reads_back::<MemberId>(&text);
    reads_back::<Number>(&text);
    reads_back::<OwnerId>(&text);
    reads_back::<Purpose>(&text);
    reads_back::<RegistrableDomain>(&text);
    reads_back::<RequestId>(&text);
    reads_back::<Role>(&text);
    reads_back::<SenderId>(&text);
    reads_back::<SenderPattern>(&text);
    reads_back::<Senders>(&text);
    sought(&text);
    reads_back::<Timestamp>(&text);
    reads_back::<UserId>(&text);
    reads_back::<Wanted>(&text);

    token(&text);

    let hour = Ttl::MIN..=Ttl::MAX;
    assert!(
        text.parse::<Ttl>().is_ok_and(|ttl| hour.contains(&ttl.as_duration()))
            || text.parse::<Ttl>().is_err()
    );
    if let Ok(reason) = text.parse::<Reason>() {
        assert!(!reason.to_string().contains(char::is_control));
    }
    let shown = visible(&text);
    assert!(!shown.contains(char::is_control));
    assert_eq!(visible(&shown), shown, "what is shown can be shown");
}

fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(read) = text.parse::<T>() else { return };
    assert!(T::from_str(&read.to_string()).is_ok_and(|again| again == read), "{read:?} is shown as {read}");
}

/// Whom a request means is somebody that a filter can name.
fn sought(text: &str) {
    for channels in [Channels::Email, Channels::Sms, Channels::Any] {
        let Ok(sought) = Services::default().sought(text, channels) else { continue };
        reads_back::<Senders>(&sought.sender.to_string());
        assert!(sought.sender.domains().all(str::is_ascii));
    }
}

/// What another machine joins by. It has one writing, whatever its letters' case and the white space in it.
fn token(text: &str) {
    let Ok(token) = text.parse::<Token>() else { return };
    let meant: String = text.split_whitespace().collect();
    assert_eq!(token.written().as_str(), meant.to_ascii_lowercase());
}

/// A filter that an agent has signed.
fn filter(bytes: &[u8]) {
    let Ok(filter) = codec::decode::<Filter>(bytes) else { return };
    if filter.check().is_err() {
        return;
    }
    assert!(!filter.contradicts(&filter), "a filter that can be used is satisfied by some message");
    let pattern = filter.sender.iter().find(|pattern| filter.channels.admit(pattern.channel()));
    let sender = match pattern.expect("a filter that can be used names somebody who sends over its channel") {
        SenderPattern::Address(address) => Sender::Address(address.clone()),
        SenderPattern::Domain(domain) => {
            Sender::Address(format!("a@{domain}").parse().expect("a domain has addresses"))
        }
        SenderPattern::Number(number) => Sender::Number(number.clone()),
        SenderPattern::SenderId(id) => Sender::SenderId(id.clone()),
    };
    assert!(filter.sender.admits(&sender));
}
