//! Log, vault, timers, bus, TLS and permissions against the real nats-server: what is kept, what is refused, what survives.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod bus;
mod events;
mod log;
mod network;
mod permissions;
mod probe;
mod provision;
mod roles;
mod standing;
mod timers;
mod tls;
mod vault;
mod world;
