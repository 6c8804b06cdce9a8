//! Bytes that are not jsonb, or were jsonb before they were damaged. The reader reports the damage or reads something,
//! in bounded stack and work. It never panics.

use litellm_spend_core::jsonb;
use proptest::prelude::*;
use support::container::container;
use support::documents::document;
use support::reading::{read_everything, values};

mod support;

/// Headers and entries that claim more than there is, or that mix types.
const EXTREME_WORDS: [u32; 10] =
    [0, 1, 0x0FFF_FFFF, 0x8000_0000, 0x8FFF_FFFF, 0xFFFF_FFFF, 0x2FFF_FFFF, 0x4FFF_FFFF, 0x5FFF_FFFF, 0x7000_0004];

#[derive(Debug, Clone)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Word(prop::sample::Index, u32),
    Cut(prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index, usize),
    Append(Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Damage::Byte(at, to) => {
                let at = at.index(bytes.len());
                bytes[at] = *to;
            }
            Damage::Word(at, to) => {
                let at = at.index(bytes.len()) / 4 * 4;
                for (byte, new) in bytes[at..].iter_mut().zip(to.to_ne_bytes()) {
                    *byte = new;
                }
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Copy(from, to, length) => {
                let from = from.index(bytes.len());
                let piece = bytes[from..bytes.len().min(from + length)].to_vec();
                let to = to.index(bytes.len());
                bytes.splice(to..to, piece);
            }
            Damage::Append(more) => bytes.extend(more),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, to)| Damage::Byte(at, to)),
        (at(), prop::sample::select(&EXTREME_WORDS[..])).prop_map(|(at, to)| Damage::Word(at, to)),
        (at(), any::<u32>()).prop_map(|(at, to)| Damage::Word(at, to)),
        at().prop_map(Damage::Cut),
        (at(), at(), 1usize..64).prop_map(|(from, to, length)| Damage::Copy(from, to, length)),
        prop::collection::vec(any::<u8>(), 1..16).prop_map(Damage::Append),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::with_cases(1_000)
    })]

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        read_everything(&bytes);
    }

    /// Words that are valid one by one reach deeper levels than bytes do.
    #[test]
    fn arbitrary_words_are_read_or_refused(
        kind in prop::sample::select(vec![0x2000_0000u32, 0x4000_0000, 0x5000_0000]),
        count in 0u32..8,
        words in prop::collection::vec((0u32..8, 0u32..64).prop_map(|(kind, length)| kind << 28 | length), 0..64),
    ) {
        let words = std::iter::once(kind | count).chain(words);
        read_everything(&words.flat_map(u32::to_ne_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_documents_are_read_or_refused(json in document(), damages in prop::collection::vec(damage(), 1..6)) {
        let mut bytes = container(&json);
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        read_everything(&bytes);
    }
}

/// Arrays within arrays, as many as jsonb's lengths can count in 4 MB. A stack could not hold nearly as many.
#[test]
fn nesting_ends_before_the_stack_does() {
    let levels = 500_000u32;
    let bytes: Vec<u8> = (1..=levels)
        .rev()
        .flat_map(|left| [0x4000_0000 | u32::from(left > 1), 0x5000_0000 | ((left - 1) * 8)])
        .flat_map(u32::to_ne_bytes)
        .collect();
    let reading = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        let depth = jsonb::read(&bytes).map(|json| values(&json));
        read_everything(&bytes);
        depth
    });
    let depth = reading.map(std::thread::JoinHandle::join);
    assert!(matches!(depth, Ok(Ok(Ok(2..1000)))), "{depth:?}");
}
