//! Keeps a member's long-lived identity keys at rest, and nothing else.
