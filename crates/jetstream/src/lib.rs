//! The event log, the vault, the timers and the command bus on NATS JetStream; the only crate that names a subject.
