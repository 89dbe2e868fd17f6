//! The user's side: asks the user, watches the user's messages, extracts and seals the one code asked for.

mod approver;
mod capturer;
pub mod desk;
pub mod extract;
mod intake;
mod judge;
pub mod mail;
mod message;
mod notices;
mod obstacle;
mod open;
mod owner;
mod paste;
mod row;
mod sealer;
pub mod source;
mod spent;
mod view;
mod watch;

pub use approver::{Approver, ApproverError};
pub use capturer::{Capturer, CapturerError};
pub use intake::{Intake, Received, Refused, Rejected, Unverified};
pub use judge::Judge;
pub use message::Message;
pub use notices::{Notice, Notices};
pub use obstacle::Obstacle;
pub use owner::{Owner, OwnerError, latest_roster, rosters};
pub use paste::{Awaited, Found, Paste, PasteError, Unfit};
pub use row::{advice, quoted, row};
pub use sealer::CaptureError;
pub use spent::{Offer, Record, SpendError, Spent};
pub use view::View;
