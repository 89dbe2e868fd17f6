//! Locks a code to one agent's key with HPKE, and opens it.

mod envelope;
mod key;
mod padding;
mod stack;
mod suite;

pub use envelope::{Context, OpenError, SealError, open, seal};
pub use key::{AgentSecret, RecipientError, RecipientKey};
pub use suite::Suite;
