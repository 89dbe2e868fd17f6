//! An agent and its user over a real broker, a real relay and real mail: every way in which a request may end, and what
//! survives a restart of each party.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod capturer;
mod code;
mod end;
mod home;
mod newer;
mod relay;
mod restart;
mod roster;
#[path = "../../../jetstream/tests/jetstream/world.rs"]
mod world;
