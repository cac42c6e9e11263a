//! libFuzzer's way into `entry::detection`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bonded_fuzz::entry::detection(bytes));
