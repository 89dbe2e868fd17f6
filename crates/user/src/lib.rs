//! The user's side: asks the user, watches the user's messages, extracts and seals the one code asked for.
