#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferula_testkit::fuzz::promql_lex(data));
