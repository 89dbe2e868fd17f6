//! Decides commands, appends events, keeps and erases ciphertexts, lets time pass. Can read no code.
