//! Keeps a member's long-lived identity keys at rest, and nothing else.

mod file;
mod home;
mod identity;
mod pin;

pub use home::{Home, KeyringError};
pub use identity::{GenerateError, generate};
pub use pin::Pin;
