//! The user's side without any server: what answers what, what is remembered of it, and what the user sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod at_the_desk;
mod cross_leak;
mod desk;
mod doubt;
mod flood;
mod given;
mod notices;
mod spent;
mod view;
