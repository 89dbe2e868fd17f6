//! Replays the log into an eventstore-style SQL log and the current-state table, each event exactly once.

mod alarm;
mod continuity;
mod database;
mod difference;
mod fact;
mod filter;
mod projection;
mod projector;
mod rebuild;
mod rosters;
mod trail;

pub use database::OpenError;
pub use filter::Filter;
pub use projector::{ProjectError, Projector};
pub use rebuild::{RebuildError, Rebuilt, rebuild};
pub use trail::{Entry, RequestHistory, RequestSummary, Trail, TrailError};
