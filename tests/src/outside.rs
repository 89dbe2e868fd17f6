//! What must hold of everything that reads bytes from outside, whatever the bytes are.
//!
//! Each function reads bytes in one way, and breaks down if a law does not hold. A test runs them on the seeds and on
//! what once broke one (`fuzz/seeds`), `cargo xtask fuzz` on anything.

mod family;
mod imap;
mod kept;
mod mail;
mod messages;
mod names;
mod peer;
mod rosters;
mod sealed;
mod smtp;
mod statements;
mod webhook;

pub use family::Family;
pub use imap::imap;
pub use kept::kept_files;
pub use mail::{extract, html, mail, mail_with_code};
pub use messages::messages;
pub use names::names;
pub use rosters::rosters;
pub use sealed::sealed;
pub use smtp::smtp;
pub use statements::statements;
pub use webhook::sms_webhook;

/// Reads bytes in one way, and panics if a law does not hold.
pub type Reader = fn(&[u8]);

/// Every reader, by the name of its fuzz target.
pub const READERS: [(&str, Reader); 13] = [
    ("extract", extract),
    ("html", html),
    ("imap", imap),
    ("kept_files", kept_files),
    ("mail", mail),
    ("mail_with_code", mail_with_code),
    ("messages", messages),
    ("names", names),
    ("rosters", rosters),
    ("sealed", sealed),
    ("sms_webhook", sms_webhook),
    ("smtp", smtp),
    ("statements", statements),
];
