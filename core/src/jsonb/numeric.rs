//! Numbers as jsonb stores them: PostgreSQL's numeric (utils/adt/numeric.c).

use std::fmt::Write;

use super::{DamagedJsonb, word};
use crate::json::Json;

const NUMERIC_SIGN_MASK: u16 = 0xC000;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_SHORT: u16 = 0x8000;
const NUMERIC_SPECIAL: u16 = 0xC000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_WEIGHT_SIGN: u16 = 0x0040;
const SHORT_WEIGHT_MASK: u16 = 0x003F;

/// Reads a numeric.
pub(super) fn read(datum: &[u8]) -> Result<Json<'_>, DamagedJsonb> {
    Ok(match parts(datum)? {
        Some((is_negative, weight, digits)) => number_from_digits(is_negative, weight, digits),
        None => Json::Null,
    })
}

/// A numeric's sign, weight and base-10000 digits, the first of them worth `10000^weight`; `None` for NaN and
/// infinity.
type Parts<D> = Option<(bool, i32, D)>;

pub(super) fn parts(datum: &[u8]) -> Result<Parts<impl ExactSizeIterator<Item = u16> + Clone>, DamagedJsonb> {
    let body = numeric_body(datum)?;
    let half = |at: usize| -> Result<u16, DamagedJsonb> {
        let pair = body.get(at..at + 2).ok_or(DamagedJsonb(at))?;
        Ok(u16::from_ne_bytes([pair[0], pair[1]]))
    };
    let header = half(0)?;
    let (is_negative, weight, digits_at) = match header & NUMERIC_SIGN_MASK {
        NUMERIC_SPECIAL => return Ok(None),
        NUMERIC_SHORT => {
            let magnitude = i32::from(header & SHORT_WEIGHT_MASK);
            // A set sign bit extends the six magnitude bits to a negative two's complement number.
            let weight = if header & SHORT_WEIGHT_SIGN != 0 { magnitude - 64 } else { magnitude };
            (header & SHORT_NEGATIVE != 0, weight, 2)
        }
        sign => (sign == NUMERIC_NEGATIVE, i32::from(half(2)? as i16), 4),
    };
    let digits = body.get(digits_at..).unwrap_or_default().chunks_exact(2);
    Ok(Some((is_negative, weight, digits.map(|pair| u16::from_ne_bytes([pair[0], pair[1]])))))
}

/// What follows the varlena header; jsonb stores numerics with a four-byte header, but a one-byte
/// header is legal too.
fn numeric_body(datum: &[u8]) -> Result<&[u8], DamagedJsonb> {
    let first = *datum.first().ok_or(DamagedJsonb(0))?;
    let (header, total) = if cfg!(target_endian = "little") {
        if first & 1 == 1 { (1, usize::from(first >> 1)) } else { (4, (word(datum, 0)? >> 2) as usize) }
    } else if first & 0x80 == 0x80 {
        (1, usize::from(first & 0x7F))
    } else {
        (4, (word(datum, 0)? & 0x3FFF_FFFF) as usize)
    };
    datum.get(header..total).ok_or(DamagedJsonb(0))
}

fn number_from_digits<'a>(negative: bool, weight: i32, digits: impl ExactSizeIterator<Item = u16> + Clone) -> Json<'a> {
    let count = digits.len() as i32;
    if count == 0 {
        return Json::Int(0);
    }
    let fraction_digits = count - 1 - weight;
    // Four base-10000 digits and a fifth below 922 fit i64; five never need more than i128.
    if fraction_digits <= 0 && weight <= 4 {
        let mut value: i128 = digits.fold(0, |value, digit| value * 10_000 + i128::from(digit));
        value *= 10_000i128.pow(fraction_digits.unsigned_abs());
        let value = if negative { -value } else { value };
        return i64::try_from(value).map_or(Json::Float(value as f64), Json::Int);
    }
    if let Some(value) = exact(digits.clone(), -4 * fraction_digits) {
        return Json::Float(if negative { -value } else { value });
    }
    // The decimal text goes through Rust's correctly rounded parser, as jsonb_out and strtod would.
    let mut text = String::with_capacity(8 + 4 * digits.len());
    if negative {
        text.push('-');
    }
    for digit in digits {
        let _ = write!(text, "{digit:04}");
    }
    let _ = write!(text, "e{}", -4 * fraction_digits);
    text.parse().map_or(Json::Null, Json::Float)
}

/// Powers of ten that are floats exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Whole numbers up to this are floats exactly.
const LARGEST_EXACT: u128 = 1 << 53;

/// The digits as a number with a power of ten, where both are floats exactly: their product or quotient is
/// then rounded once, as the nearest float is.
fn exact(digits: impl ExactSizeIterator<Item = u16>, mut exponent: i32) -> Option<f64> {
    if digits.len() > 5 {
        return None;
    }
    let mut value = digits.fold(0, |value, digit| value * 10_000 + u128::from(digit));
    while exponent < 0 && value.is_multiple_of(10) && value > 0 {
        value /= 10;
        exponent += 1;
    }
    let power = *POWERS_OF_TEN.get(exponent.unsigned_abs() as usize)?;
    let whole = (value <= LARGEST_EXACT).then_some(value as f64)?;
    Some(if exponent < 0 { whole / power } else { whole * power })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(negative: bool, weight: i32, digits: &[u16]) -> Json<'static> {
        number_from_digits(negative, weight, digits.iter().copied())
    }

    #[test]
    fn numbers_are_read_exactly() {
        assert_eq!(number(false, 0, &[]), Json::Int(0));
        assert_eq!(number(false, 1, &[1]), Json::Int(10_000));
        assert_eq!(number(true, 4, &[922, 3372, 368, 5477, 5808]), Json::Int(i64::MIN));
        assert_eq!(number(false, 4, &[922, 3372, 368, 5477, 5808]), Json::Float(9_223_372_036_854_775_808.0));
        assert_eq!(number(false, -2, &[9750, 0, 0, 1]), Json::Float(9.750_000_000_000_001e-5));
        assert_eq!(number(true, 0, &[1, 5000]), Json::Float(-1.5));
    }

    #[test]
    fn times_and_costs_are_short_decimals() {
        assert_eq!(exact([17, 7236, 6400, 1234, 5600].into_iter(), -8), Some(1_772_366_400.123_456));
        assert_eq!(exact([9, 7656, 2500].into_iter(), -12), Some(0.000_976_562_5));
        assert_eq!(exact([9007, 1992, 5474, 993].into_iter(), -4), None, "2^53 + 1");
    }

    proptest! {
        #[test]
        fn a_short_decimal_is_the_float_that_its_text_is(
            digits in proptest::collection::vec(0u16..10_000, 1..6), exponent in -12i32..8,
        ) {
            let text: String = digits.iter().map(|digit| format!("{digit:04}")).collect();
            let parsed: f64 = format!("{text}e{}", 4 * exponent).parse().unwrap();
            if let Some(value) = exact(digits.iter().copied(), 4 * exponent) {
                prop_assert_eq!(value, parsed);
            }
        }
    }
}
