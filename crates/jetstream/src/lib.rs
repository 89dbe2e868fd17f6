//! The event log, the vault, the timers and the command bus on NATS JetStream; the only crate that names a subject.

mod bus;
pub mod clock;
mod connection;
pub mod decode;
mod direct;
mod error;
mod feed;
pub mod floor;
mod log;
mod member;
pub mod message;
pub mod permission;
pub mod process;
pub mod provision;
pub mod readable;
mod rosters;
pub mod service;
mod subject;
mod timers;
mod vault;
mod verifier;

pub use bus::{Bus, CallError};
pub use connection::{ConnectError, Connection, Login, Who};
pub use error::StoreError;
pub use feed::{Feed, Hint, Replay, StoredEvent};
pub use log::{AppendError, Appended, Loaded, Log};
pub use member::Member;
pub use rosters::{PublishError, Rosters};
pub use service::{Incoming, Service};
pub use subject::{Verb, roster_subject};
pub use timers::{Armed, Due, Timer, Timers};
pub use vault::{Kept, Place, Vault};
pub use verifier::{Unfollowed, Verifier, VerifyError};
