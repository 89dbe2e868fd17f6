//! What may be asked, what then follows, and how it is written down: pure, without I/O, clock or dice.

mod alarm;
mod causes;
pub mod codec;
mod command;
mod decide;
mod digest;
mod event;
mod filter;
mod id;
mod lookalike;
mod mailbox;
mod reason;
mod request;
mod secret;
mod sender;
mod senders;
mod service;
mod shape;
mod skew;
mod statement;
mod text;
mod time;

pub use alarm::Alarm;
pub use causes::causes;
pub use command::Command;
pub use decide::Rejection;
pub use digest::{Digest, DigestError};
pub use event::{Event, EventType, Recorded, Version};
pub use filter::{Channel, Channels, ContentPattern, Filter, FilterError, Purpose, Wanted};
pub use id::{Actor, EventId, IdError, KeyId, MemberId, OwnerId, RequestId, RequestKey, Role, UserId};
pub use reason::{Reason, ReasonError, compact, excerpt, visible};
pub use request::{Approval, Asked, Capture, End, Open, State};
pub use secret::{Code, NoCode, SealedCode};
pub use sender::{
    Address, Number, RegistrableDomain, Sender, SenderId, SenderKey, SenderPattern, registrable_domain,
};
pub use senders::Senders;
pub use service::{Service, Services, ServicesError, SmsSender, Sought, SoughtError};
pub use shape::{Alphabet, CodeShape, ShapeError};
pub use skew::{CLOCK_SKEW_MAX, ClockSkew};
pub use statement::{SignedStatement, pre_authentication_encoding};
pub use time::{TimeError, Timestamp, Ttl};
