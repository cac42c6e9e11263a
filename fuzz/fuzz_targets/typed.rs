//! libFuzzer's way into `entry::typed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bonded_fuzz::entry::typed(bytes));
