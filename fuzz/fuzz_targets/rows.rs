//! libFuzzer's way into `entry::rows`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bonded_fuzz::entry::rows(bytes));
