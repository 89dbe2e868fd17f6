//! The user's side: asks the user, watches the user's messages, extracts and seals the one code asked for.

pub mod extract;
pub mod intake;
pub mod mail;
pub mod source;
