//! Replays the log into an eventstore-style SQL log and the current-state table, each event exactly once.

mod alarm;
mod data;
mod database;
mod fact;
mod projection;
mod projector;
mod rosters;
mod trail;

pub use alarm::Alarm;
pub use database::OpenError;
pub use projector::{ProjectError, Projector};
pub use trail::{Entry, RequestHistory, RequestSummary, Trail, TrailError};
