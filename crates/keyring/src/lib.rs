//! Keeps a member's long-lived identity keys, what it pinned and what it found wrong, in files that only its user can read.

mod alarms;
mod home;
mod identity;
mod key_file;
mod passphrase;
mod pin;
pub mod private;
pub mod recovery;
mod sealed;

pub use home::{Home, KeyringError};
pub use identity::{GenerateError, generate};
pub use passphrase::{Passphrase, PassphraseError};
pub use pin::Pin;
