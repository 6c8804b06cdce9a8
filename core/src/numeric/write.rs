//! Writes numerics with the bytes that numeric_in creates.

use std::ops::RangeInclusive;

use super::{
    NUMERIC_NEGATIVE, NUMERIC_SHORT, SHORT_NEGATIVE, SHORT_SCALE_SHIFT, SHORT_WEIGHT_MASK, SHORT_WEIGHT_SIGN,
    VARLENA_HEADER,
};

/// The weights and the scales for which the short header has room.
const SHORT_WEIGHTS: RangeInclusive<i32> = -64..=63;
const SHORT_SCALES: RangeInclusive<u16> = 0..=63;
/// The most bytes of a numeric: the long header and the base-10000 digits of a `u64`, which are six if its decimal
/// digits do not fill the last one.
pub(super) const LARGEST_NUMERIC: usize = VARLENA_HEADER + 4 + 2 * 6;
/// More bytes than the longest text of a float, `-2.2250738585072014e-308`, has.
const LONGEST_FLOAT: usize = 32;

/// Appends an integer as a numeric with a header of four bytes, as jsonb holds it.
pub fn int(number: i64, buffer: &mut Vec<u8>) {
    write_decimal(&Decimal { is_negative: number < 0, digits: number.unsigned_abs(), exponent: 0, scale: 0 }, buffer);
}

/// Appends a float as a numeric with a header of four bytes, with the digits and the scale of the float's JSON text.
/// Returns `None` and appends nothing if the float has no JSON text.
pub fn float(number: f64, buffer: &mut Vec<u8>) -> Option<()> {
    let mut text = [0; LONGEST_FLOAT];
    let mut rest = text.as_mut_slice();
    serde_json::to_writer(&mut rest, &number).ok()?;
    let unused = rest.len();
    write_decimal(&Decimal::parse(text.get(..LONGEST_FLOAT - unused)?)?, buffer);
    Some(())
}

/// The number `digits * 10^exponent`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: u64,
    exponent: i32,
    /// How many digits after the decimal point are shown.
    scale: u16,
}

impl Decimal {
    /// Reads the JSON text of a number that has no more digits than a float's text.
    fn parse(text: &[u8]) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |magnitude| (true, magnitude));
        let (mut digits, mut exponent, mut in_fraction) = (0u64, 0i32, false);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'.' => in_fraction = true,
                b'e' => {
                    exponent += str::from_utf8(text.get(at + 1..)?).ok()?.parse::<i32>().ok()?;
                    break;
                }
                digit => {
                    digits = digits.checked_mul(10)?.checked_add(u64::from(digit.checked_sub(b'0')?))?;
                    exponent -= i32::from(in_fraction);
                }
            }
        }
        let scale = u16::try_from((-exponent).max(0)).ok()?;
        Some(Decimal { is_negative, digits, exponent, scale })
    }
}

fn write_decimal(decimal: &Decimal, buffer: &mut Vec<u8>) {
    let all = decimal.digits;
    // The last base-10000 digit holds the decimal digits up to the next multiple of four. Each other one holds four
    // decimal digits.
    let (mut digit, mut rest) = match decimal.exponent.rem_euclid(4) {
        0 => (all % 10_000, all / 10_000),
        1 => (all % 1_000 * 10, all / 1_000),
        2 => (all % 100 * 100, all / 100),
        _ => (all % 10 * 1_000, all / 10),
    };
    let mut weight = decimal.exponent.div_euclid(4);
    // Zeros at the end are not stored.
    while digit == 0 && rest > 0 {
        (digit, rest) = (rest % 10_000, rest / 10_000);
        weight += 1;
    }
    let mut numeric = FromEnd { bytes: [0; LARGEST_NUMERIC], start: LARGEST_NUMERIC };
    let mut is_negative = decimal.is_negative;
    if digit == 0 {
        (is_negative, weight) = (false, 0);
    } else {
        numeric.prepend((digit as u16).to_ne_bytes());
        while rest > 0 {
            numeric.prepend(((rest % 10_000) as u16).to_ne_bytes());
            rest /= 10_000;
            weight += 1;
        }
    }
    if SHORT_WEIGHTS.contains(&weight) && SHORT_SCALES.contains(&decimal.scale) {
        let sign = if is_negative { SHORT_NEGATIVE } else { 0 };
        let weight = weight as u16 & (SHORT_WEIGHT_SIGN | SHORT_WEIGHT_MASK);
        numeric.prepend((NUMERIC_SHORT | sign | decimal.scale << SHORT_SCALE_SHIFT | weight).to_ne_bytes());
    } else {
        let sign = if is_negative { NUMERIC_NEGATIVE } else { 0 };
        numeric.prepend((weight as i16).to_ne_bytes());
        numeric.prepend((sign | decimal.scale).to_ne_bytes());
    }
    let total = (VARLENA_HEADER + LARGEST_NUMERIC - numeric.start) as u32;
    numeric.prepend(if cfg!(target_endian = "little") { total << 2 } else { total }.to_ne_bytes());
    buffer.extend_from_slice(&numeric.bytes[numeric.start..]);
}

/// A numeric that is written from its end to its start.
struct FromEnd {
    bytes: [u8; LARGEST_NUMERIC],
    start: usize,
}

impl FromEnd {
    fn prepend<const N: usize>(&mut self, bytes: [u8; N]) {
        self.start -= N;
        self.bytes[self.start..self.start + N].copy_from_slice(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::numeric_body;

    /// The halfwords of the numeric without its varlena header.
    fn written(write: impl Fn(&mut Vec<u8>)) -> Vec<u16> {
        let mut bytes = Vec::new();
        write(&mut bytes);
        let body = numeric_body(&bytes).unwrap();
        assert_eq!(body.len() + VARLENA_HEADER, bytes.len());
        body.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn integers_are_written_as_numeric_in_does() {
        for (number, expected) in [
            (0, &[0x8000][..]),
            (7, &[0x8000, 7]),
            (-9_999, &[0xA000, 9_999]),
            (10_000, &[0x8001, 1]),
            (-120_000_000, &[0xA002, 1, 2_000]),
            (i64::MAX, &[0x8004, 922, 3372, 368, 5477, 5807]),
            (i64::MIN, &[0xA004, 922, 3372, 368, 5477, 5808]),
        ] {
            assert_eq!(written(|buffer| int(number, buffer)), expected, "{number}");
        }
    }

    #[test]
    fn floats_are_written_as_numeric_in_does_of_their_text() {
        for (number, expected) in [
            (0.0, &[0x8080][..]),
            (-0.0, &[0x8080]),
            (0.1, &[0x80FF, 1_000]),
            (-1.5, &[0xA080, 1, 5_000]),
            (10_000.0, &[0x8081, 1]),
            (1e-7, &[0x83FE, 10]),
            (1e20, &[0x8005, 1]),
            (1.5e22, &[0x8005, 150]),
            (1e-63, &[0x9FF0, 10]),
            (1e-64, &[0x0040, 0xFFF0, 1]),
            (9e255, &[0x803F, 9_000]),
            (9e256, &[0x0000, 64, 9]),
            (-1.5e-300, &[0x412D, 0xFFB5, 1, 5_000]),
            (-1.7976931348623157e308, &[0x4000, 77, 1, 7_976, 9_313, 4_862, 3_157]),
            (2.2250738585072014e-308, &[0x0144, 0xFFB3, 2, 2_250, 7_385, 8_507, 2_014]),
        ] {
            assert_eq!(written(|buffer| float(number, buffer).unwrap()), expected, "{number}");
        }
    }
}
