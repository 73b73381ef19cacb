//! [`dormouse_filesystem::contract::fuzz::checkpoints`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_filesystem::contract::fuzz::checkpoints(bytes));
