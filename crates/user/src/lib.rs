//! The user's side: asks the user, watches the user's messages, extracts and seals the one code asked for.

mod approver;
mod capturer;
pub mod desk;
pub mod extract;
mod intake;
pub mod mail;
mod message;
mod notices;
mod owner;
pub mod source;
mod spent;
mod view;
mod watch;

pub use approver::{Approver, ApproverError};
pub use capturer::{Capturer, CapturerError};
pub use intake::{Intake, Refused, Unverified};
pub use message::Message;
pub use notices::{Notice, Notices};
pub use owner::{Owner, OwnerError};
pub use spent::{Offer, Record, Spent};
pub use view::View;
