//! Every source, against what really delivers to it: Debian's dovecot and swaks, a Maildir, a gateway's request.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::expect_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::indexing_slicing, reason = "what is short is wrong")]
#![expect(clippy::panic, reason = "a test that cannot go on should stop")]

mod between;
mod contract;
mod dovecot;
mod imap;
mod listeners;
mod maildir;
mod public_url;
mod running;
mod swaks;
mod worlds;
