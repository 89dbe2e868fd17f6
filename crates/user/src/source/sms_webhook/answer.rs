//! What a gateway hears: a status that says whether to deliver again, and a line for whoever reads its log.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::PATH;
use super::endpoint::{BODY_OCTETS_MAX, REQUEST_MAX};
use super::gateway::Unreadable;

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// The whole answer to a peer for whom there is no room.
pub(super) const TOO_MANY_SESSIONS: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 55\r\n\
    Retry-After: 5\r\n\
    Connection: close\r\n\
    \r\n\
    too many deliveries at once; deliver again in a moment\n";

/// What became of a delivery that a gateway has signed: it need not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Outcome {
    /// The capturer has it.
    #[error("taken")]
    Taken,
    /// The capturer had it before.
    #[error("taken before")]
    Copy,
    /// It is another event.
    #[error("ignored: this is no text message that came in")]
    NoSms,
    /// It is a part of a long message.
    #[error("ignored: this is a part of a long message; choose the Messages API, which delivers it whole")]
    Part,
    /// The user has to say whether the topic's messages are to come here.
    #[error("this has to be confirmed by the user; the log of `agent-otp up` says how")]
    Subscription,
    /// Nobody could ask for a message of this sender.
    #[error("ignored: its sender is neither a number (+15551234567, or 3 to 8 digits) nor a sender id")]
    NoSender,
}

/// Why a delivery is not taken; the text is fit to be sent to anybody.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Another path.
    #[error("there is nothing here; deliver to {PATH}")]
    Nowhere,
    /// Another method.
    #[error("deliver with POST")]
    Method,
    /// Its body passes the bound.
    #[error("a delivery has at most {BODY_OCTETS_MAX} bytes")]
    TooLarge,
    /// Its body did not come in time.
    #[error("the delivery took longer than {} s; send it again", REQUEST_MAX.as_secs())]
    TooSlow,
    /// Its body ended too early.
    #[error("the delivery broke off; send it again")]
    Broken,
    /// The file with the keys cannot be used: the user is told why by the log.
    #[error("no key can be read; the log of `agent-otp up` says why")]
    NoKeys,
    /// No gateway's signature is on it.
    #[error(
        "no signature of a gateway that is known; docs/sources/sms.md says which there are, and what each has to be told"
    )]
    Unsigned,
    /// It looks like a delivery that its gateway signs as a rule, and delivers again when it is asked to.
    #[error("this is a message of vonage without the signature; deliver it again, signed")]
    SignatureLeftOut,
    /// The user has no such gateway.
    #[error(
        "this is of {gateway}, and the user has no key for it; `sms_webhook_secret` in run.json names the file that takes one, as a line `{key_name} = …`"
    )]
    NoKey {
        /// What the delivery says that it is of.
        gateway: &'static str,
        /// What the line begins with.
        key_name: &'static str,
    },
    /// No key made its signature, and there is a likely reason.
    #[error("no key of the user made this signature; {0}")]
    OtherSignature(&'static str),
    /// It came to the path that everybody knows, and its text is not signed.
    #[error(
        "{gateway} does not sign the text; deliver to {PATH}/ with the secret path behind it, which `path` of the file of keys is"
    )]
    OpenPath {
        /// What the delivery is of.
        gateway: &'static str,
    },
    /// Its signature was on another message before.
    #[error("this signature was used for another message before")]
    Replayed,
    /// The certificate that its signature needs is not there.
    #[error(
        "the certificate of this signature cannot be fetched; the log of `agent-otp up` says why; deliver again"
    )]
    NoCertificate,
    /// None of the keys made its signature.
    #[error(
        "no key of the user made this signature; `sms_webhook_secret` in run.json names their file: give one of them to the gateway, or add the gateway's on a line of its own; if a URL is signed, is it the one that was called?"
    )]
    Forged,
    /// It was signed too long ago, or later than now.
    #[error(
        "the time of its signature is {} s {} this machine's clock, and at most {} s are allowed; set the clocks, and let the gateway sign anew",
        off.as_millis().div_ceil(1_000), if *is_ahead { "ahead of" } else { "behind" }, allowed.as_secs()
    )]
    Clock {
        /// How much.
        off: Duration,
        /// Whether the gateway's time is the later one.
        is_ahead: bool,
        /// How much it may be.
        allowed: Duration,
    },
    /// It was signed, but says nothing that can be read.
    #[error("the delivery cannot be read: {0}")]
    Unreadable(&'static str),
    /// Too many messages wait for the capturer.
    #[error("too many messages are waiting; deliver this one again in a moment")]
    Busy,
}

impl From<Unreadable> for Refusal {
    fn from(Unreadable(why): Unreadable) -> Self {
        Self::Unreadable(why)
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Nowhere => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::NoKeys => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::SignatureLeftOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::Forged => StatusCode::UNAUTHORIZED,
            Self::NoKey { .. } => StatusCode::UNAUTHORIZED,
            Self::OtherSignature(_) => StatusCode::UNAUTHORIZED,
            Self::OpenPath { .. } => StatusCode::UNAUTHORIZED,
            Self::Replayed => StatusCode::UNAUTHORIZED,
            Self::NoCertificate => StatusCode::SERVICE_UNAVAILABLE,
            Self::Clock { .. } => StatusCode::UNAUTHORIZED,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What belongs to the status (RFC 9110).
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.status() {
            StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, HeaderValue::from_static("POST"))),
            StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, HeaderValue::from_static("5"))),
            _ => None,
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut answer = plain(refusal.status(), refusal.to_string());
        answer.headers_mut().extend(refusal.header());
        answer
    }
}

/// One line for people.
pub(super) fn plain(status: StatusCode, line: String) -> Answer {
    of_type(status, "text/plain; charset=utf-8", line + "\n")
}

/// A whole body of this type.
pub(super) fn of_type(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_one_too_many_is_as_long_as_it_says() {
        let (head, body) = TOO_MANY_SESSIONS.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
