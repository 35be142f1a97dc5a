#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferula_testkit::fuzz::block(data));
