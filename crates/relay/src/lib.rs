//! Decides commands, appends events, keeps and erases ciphertexts, lets time pass. Can read no code.

mod admission;
mod command;
mod damaged;
mod decide;
mod grace;
pub mod owners;
mod query;
mod recent;
mod refusal;
mod serve;
mod streams;
mod work;

pub use serve::{Relay, ServeError};
pub use streams::Streams;
