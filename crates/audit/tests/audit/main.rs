//! What an auditor's file holds after whatever befell the log, the relay, the file, and the auditor.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should stop")]

mod continuity;
mod doubt;
mod file;
mod filter;
mod rebuild;
mod replay;
mod stage;
