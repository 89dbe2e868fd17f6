//! What may be asked, what then follows, and how it is written down: pure.
