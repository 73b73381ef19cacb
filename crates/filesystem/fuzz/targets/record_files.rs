//! [`dormouse_filesystem::contract::fuzz::record_files`] under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_filesystem::contract::fuzz::record_files(bytes));
