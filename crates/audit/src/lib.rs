//! Replays the log into an eventstore-style SQL log and the current-state table.
