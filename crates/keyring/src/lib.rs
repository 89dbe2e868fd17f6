//! Keeps a member's long-lived identity keys, and what it pinned, in files that only its user can read.

mod home;
mod identity;
mod pin;
pub mod private;

pub use home::{Home, KeyringError};
pub use identity::{GenerateError, generate};
pub use pin::Pin;
