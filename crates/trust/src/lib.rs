//! Who said it: identity keys, the roster, signed statements and their verification.
