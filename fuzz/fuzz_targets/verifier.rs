#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rmt_fuzz::verifier(data));
