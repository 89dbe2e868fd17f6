//! See `imap` in `tests/src/outside.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agent_otp_tests::outside::imap(bytes));
