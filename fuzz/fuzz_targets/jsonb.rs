//! Reads arbitrary bytes as jsonb's binary form. They are read or refused, and their number bounds the memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use litellm_spend_core::allowed::bounds::{self, Bounds};
use litellm_spend_core::jsonb;

mod memory;
#[path = "../../core/tests/support/reading.rs"]
mod reading;

/// A value takes 48 bytes of memory and an entry of jsonb 4 bytes. The text of a number takes 4 bytes for each 2 bytes
/// of its digits.
const BYTES_FOR_EACH: usize = 24;
const BYTES_AT_LEAST: usize = 1024;
/// The rest of a record for which every bound is too small: 150 texts and 7 lists of 100 texts, each text of 1 kB at
/// most.
const BYTES_OF_REST: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let most = BYTES_FOR_EACH * bytes.len() + BYTES_AT_LEAST;
    let peak = memory::peak(|| drop(jsonb::read(bytes)));
    assert!(peak <= most, "{} bytes were read in {peak} bytes of memory", bytes.len());
    let peak = memory::peak(|| drop(jsonb::elements(bytes).map(|(elements, _)| elements.count())));
    assert!(peak == 0, "the elements of {} bytes took {peak} bytes of memory", bytes.len());
    let bounds = Bounds { bytes: 256, values: 16 };
    let most = BYTES_FOR_EACH * bounds.bytes + BYTES_OF_REST;
    let peak = memory::peak(|| drop(bounds::cut(bytes, bounds)));
    assert!(peak <= most, "what bounds leave of {} bytes took {peak} bytes of memory", bytes.len());
    let _ = bounds::weigh(bytes);
    reading::read_everything(bytes);
});
