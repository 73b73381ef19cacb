//! [`dormouse_secrets::fuzz::legacy`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_secrets::fuzz::legacy(bytes));
