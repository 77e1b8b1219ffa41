//! Fuzzes `daybook_tests::fuzzing::sheet`, which says what may not happen.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| { daybook_tests::fuzzing::sheet(bytes); });
