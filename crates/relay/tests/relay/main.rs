//! The relay as its members and its broker see it: real statements, a real nats-server, and crashes in between.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod capture;
mod consume;
mod deadline;
mod enrol;
mod home;
mod life;
mod owners;
mod program;
mod race;
mod refusal;
mod said;
#[path = "../../../jetstream/tests/jetstream/world.rs"]
mod world;
