//! What is believed and what is refused: statements, rosters, histories, and the bytes that must verify for ever.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod book;
mod encoding;
mod enrolment;
mod family;
mod history;
mod members;
mod statement;
mod succession;
mod vector;
