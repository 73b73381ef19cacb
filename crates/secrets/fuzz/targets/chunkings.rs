//! [`dormouse_secrets::fuzz::chunkings`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_secrets::fuzz::chunkings(bytes));
