//! Arbitrary bytes as jsonb's binary form: they are read or refused, in memory that they bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use litellm_spend_core::jsonb;

mod memory;
#[path = "../../core/tests/support/reading.rs"]
mod reading;

/// A value takes 48 bytes and an entry of jsonb 4; the digits of a number take 4 bytes of text for 2 of theirs.
const BYTES_FOR_EACH: usize = 24;
const BYTES_AT_LEAST: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let most = BYTES_FOR_EACH * bytes.len() + BYTES_AT_LEAST;
    let peak = memory::peak(|| drop(jsonb::read(bytes)));
    assert!(peak <= most, "{} bytes were read in {peak} bytes of memory", bytes.len());
    let peak = memory::peak(|| drop(jsonb::elements(bytes)));
    assert!(peak <= most, "the elements of {} bytes were read in {peak} bytes of memory", bytes.len());
    reading::read_everything(bytes);
});
