//! [`dormouse_filesystem::contract::fuzz::exports`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_filesystem::contract::fuzz::exports(bytes));
