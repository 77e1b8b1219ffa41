//! Fuzzes `daybook_tests::fuzzing::admission`, which says what may not happen.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { daybook_tests::fuzzing::admission(bytes); });
