//! The harness of the stories: the real programs, a real broker, real mail, and waits that have a bound.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that cannot go on should stop"
)]

mod asked;
mod by_hand;
mod clock;
mod enrolling;
mod existing;
mod mail;
mod memory;
pub mod outside;
mod parties;
mod place;
mod process;
mod programs;
mod proxy;
mod search;
mod signals;
mod sms;
mod typing;
mod up;
mod wait;
mod wire;

pub use asked::Asked;
pub use by_hand::Shopper;
pub use clock::RIGHT;
pub use enrolling::{Enrolling, Joining};
pub use existing::{Account, Existing};
pub use memory::{Copy, copies};
pub use parties::{Parties, Party};
pub use place::{Place, Run, is_alive, strings};
pub use process::{Ended, Process};
pub use programs::{cargo, nats_server, program, root};
pub use proxy::Proxy;
pub use search::{Needle, files_below, search};
pub use signals::{ending_signals, hears, ignores};
pub use typing::Terminal;
pub use up::Up;
pub use wait::{eventually, within};
pub use wire::{Watch, Wire};
