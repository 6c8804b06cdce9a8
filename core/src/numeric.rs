//! PostgreSQL's numeric, which is the type of a number in jsonb (utils/adt/numeric.c). This module reads it; `write`
//! writes it.

use std::fmt::Write;

use write::LARGEST_NUMERIC;

pub mod write;

/// The error for bytes that are not a numeric. It holds the position of the first wrong byte.
#[derive(Debug, PartialEq, Eq)]
pub struct DamagedNumeric(pub usize);

/// A number as a Rust value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

const NUMERIC_SIGN_MASK: u16 = 0xC000;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_SHORT: u16 = 0x8000;
const NUMERIC_SPECIAL: u16 = 0xC000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_WEIGHT_SIGN: u16 = 0x0040;
const SHORT_WEIGHT_MASK: u16 = 0x003F;
const SHORT_SCALE_MASK: u16 = 0x1F80;
const SHORT_SCALE_SHIFT: u32 = 7;
const LONG_SCALE_MASK: u16 = 0x3FFF;

const VARLENA_HEADER: usize = 4;
/// How many base-10000 digits hold the 17 decimal digits that the text of a float has at most.
const MOST_DIGITS_OF_FLOAT: usize = 6;
/// How many zeros the text of a number may have beyond its digits. The text of a float has 340. 12 bytes can stand for
/// 1e131071. Postgres cannot create the text of a row with a few thousand such numbers, and then every dump and every
/// reader fails on that row.
const MOST_ZEROS: i32 = 1_000;
/// The value as which a numeric is read.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// An integer of 64 bits, a float whose text is exactly the number, or the nearest float of a number whose text is
    /// long.
    Number(Number),
    /// Neither an integer of 64 bits nor the text of a float. Only the bytes hold the exact number.
    Exact,
    /// NaN or infinity, which JSON does not have.
    NotANumber,
}

/// Reads a numeric. A number that is neither an integer of 64 bits nor the text of a float stays exact, unless its text
/// is much longer than its digits: then it is read as the nearest float.
///
/// # Errors
/// The datum is damaged.
pub fn read(datum: &[u8]) -> Result<Read, DamagedNumeric> {
    let Some((is_negative, weight, digits)) = parts(datum)? else { return Ok(Read::NotANumber) };
    if is_long(datum)? {
        return Ok(Read::Number(nearest(is_negative, weight, digits)));
    }
    if digits.len() > MOST_DIGITS_OF_FLOAT {
        return Ok(Read::Exact);
    }
    Ok(match nearest(is_negative, weight, digits.clone()) {
        Number::Float(float) if !is_text_of(float, is_negative, weight, digits) => Read::Exact,
        number => Read::Number(number),
    })
}

/// Whether the text of the float has exactly these digits.
fn is_text_of(float: f64, is_negative: bool, weight: i32, digits: impl ExactSizeIterator<Item = u16>) -> bool {
    // Any decimal of 15 digits is the text of its float.
    if digits.len() <= 3 && float.is_normal() {
        return true;
    }
    let mut written = Vec::with_capacity(LARGEST_NUMERIC);
    if write::float(float, &mut written).is_none() {
        return false;
    }
    let Ok(Some(of_float)) = parts(&written) else { return false };
    (of_float.0, of_float.1) == (is_negative, weight) && of_float.2.eq(digits)
}

/// The float nearest to a numeric, which is infinite if the numeric is beyond all floats; `None` if the datum is
/// damaged or is not a number.
pub fn float_of(datum: &[u8]) -> Option<f64> {
    let (is_negative, weight, digits) = parts(datum).ok()??;
    Some(match nearest(is_negative, weight, digits) {
        Number::Int(number) => number as f64,
        Number::Float(number) => number,
    })
}

/// A numeric as decimal text, without exponent and without zeros at its end; `None` if the datum is damaged or is not a
/// number.
pub fn text_of(datum: &[u8]) -> Option<String> {
    let (is_negative, weight, digits) = parts(datum).ok()??;
    let mut text = String::new();
    for digit in digits {
        let _ = write!(text, "{digit:04}");
    }
    let whole = 4 * (weight + 1);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if whole < 0 {
        text.insert_str(0, &zeros(-whole));
    }
    let point = usize::try_from(whole).unwrap_or(0);
    if text.len() < point {
        text.push_str(&"0".repeat(point - text.len()));
    }
    let (whole, fraction) = text.split_at(point);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let (sign, whole) = (if is_negative { "-" } else { "" }, if whole.is_empty() { "0" } else { whole });
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// The sign (true if negative), the weight and the base-10000 digits of a numeric. `None` for NaN and infinity.
type Parts<D> = Option<(bool, i32, D)>;

/// Splits a numeric into its sign (true if negative), its weight and its base-10000 digits. The first digit is worth
/// `10000^weight`. The result is `None` for NaN and infinity.
///
/// # Errors
/// The datum is damaged.
pub fn parts(datum: &[u8]) -> Result<Parts<impl ExactSizeIterator<Item = u16> + Clone>, DamagedNumeric> {
    let body = numeric_body(datum)?;
    let half = |at: usize| -> Result<u16, DamagedNumeric> {
        let pair = body.get(at..at + 2).ok_or(DamagedNumeric(at))?;
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

/// Whether the text of a number is much longer than its digits.
///
/// # Errors
/// The datum is damaged.
pub fn is_long(datum: &[u8]) -> Result<bool, DamagedNumeric> {
    let Some((_, weight, digits)) = parts(datum)? else { return Ok(false) };
    let header = numeric_body(datum)?;
    let header = u16::from_ne_bytes([header[0], header[1]]);
    let scale = match header & NUMERIC_SIGN_MASK {
        NUMERIC_SHORT => (header & SHORT_SCALE_MASK) >> SHORT_SCALE_SHIFT,
        _ => header & LONG_SCALE_MASK,
    };
    let text = 4 * (weight + 1).max(0) + i32::from(scale);
    Ok(text - 4 * digits.len() as i32 > MOST_ZEROS)
}

/// The bytes that follow the varlena header. jsonb stores numerics with a header of four bytes, but a header of one
/// byte is valid too.
fn numeric_body(datum: &[u8]) -> Result<&[u8], DamagedNumeric> {
    let first = *datum.first().ok_or(DamagedNumeric(0))?;
    let (header, total) = if cfg!(target_endian = "little") {
        if first & 1 == 1 { (1, usize::from(first >> 1)) } else { (4, (word(datum)? >> 2) as usize) }
    } else if first & 0x80 == 0x80 {
        (1, usize::from(first & 0x7F))
    } else {
        (4, (word(datum)? & 0x3FFF_FFFF) as usize)
    };
    datum.get(header..total).ok_or(DamagedNumeric(0))
}

fn word(bytes: &[u8]) -> Result<u32, DamagedNumeric> {
    let word = bytes.first_chunk().ok_or(DamagedNumeric(0))?;
    Ok(u32::from_ne_bytes(*word))
}

/// The integer that these digits stand for, or the nearest float.
fn nearest(negative: bool, weight: i32, digits: impl ExactSizeIterator<Item = u16> + Clone) -> Number {
    let count = digits.len() as i32;
    if count == 0 {
        return Number::Int(0);
    }
    let fraction_digits = count - 1 - weight;
    // Four base-10000 digits and a fifth below 922 fit i64; five never need more than i128.
    if fraction_digits <= 0 && weight <= 4 {
        let mut value: i128 = digits.fold(0, |value, digit| value * 10_000 + i128::from(digit));
        value *= 10_000i128.pow(fraction_digits.unsigned_abs());
        let value = if negative { -value } else { value };
        return i64::try_from(value).map_or(Number::Float(value as f64), Number::Int);
    }
    if let Some(value) = exact(digits.clone(), -4 * fraction_digits) {
        return Number::Float(if negative { -value } else { value });
    }
    // The decimal text goes through Rust's correctly rounded parser, as jsonb_out and strtod would read it.
    let mut text = String::with_capacity(8 + 4 * digits.len());
    if negative {
        text.push('-');
    }
    for digit in digits {
        let _ = write!(text, "{digit:04}");
    }
    let _ = write!(text, "e{}", -4 * fraction_digits);
    // Digits with an exponent are always the text of a float.
    Number::Float(text.parse().unwrap_or(f64::NAN))
}

/// The powers of ten that a float holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// A float holds every whole number up to this exactly.
const LARGEST_EXACT: u128 = 1 << 53;

/// The float that these digits stand for; `None` if the digits or the power of ten are not exact as floats. If both are
/// exact, their product or quotient is rounded only once, so the result is the nearest float.
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

    fn number(negative: bool, weight: i32, digits: &[u16]) -> Number {
        nearest(negative, weight, digits.iter().copied())
    }

    #[test]
    fn numbers_are_read_exactly() {
        assert_eq!(number(false, 0, &[]), Number::Int(0));
        assert_eq!(number(false, 1, &[1]), Number::Int(10_000));
        assert_eq!(number(true, 4, &[922, 3372, 368, 5477, 5808]), Number::Int(i64::MIN));
        assert_eq!(number(false, 4, &[922, 3372, 368, 5477, 5808]), Number::Float(9_223_372_036_854_775_808.0));
        assert_eq!(number(false, -2, &[9750, 0, 0, 1]), Number::Float(9.750_000_000_000_001e-5));
        assert_eq!(number(true, 0, &[1, 5000]), Number::Float(-1.5));
    }
    #[test]
    fn a_number_that_no_float_is_the_text_of_stays_what_it_is() {
        let datum = |negative: bool, weight: i16, digits: &[u16]| -> Vec<u8> {
            let sign = if negative { NUMERIC_NEGATIVE } else { 0 };
            let halves = [sign, weight as u16].into_iter().chain(digits.iter().copied());
            let body: Vec<u8> = halves.flat_map(u16::to_ne_bytes).collect();
            let total = (VARLENA_HEADER + body.len()) as u32;
            let header = if cfg!(target_endian = "little") { total << 2 } else { total };
            [header.to_ne_bytes().to_vec(), body].concat()
        };
        for (negative, weight, digits, text, float) in [
            (false, 4, &[1844, 6744, 737, 955, 1615][..], "18446744073709551615", 18446744073709551615.0),
            (true, 5, &[12, 3456, 7890, 1234, 5678, 9012], "-1234567890123456789012", -1234567890123456789012.0),
            (false, -1, &[1234, 5678, 9012, 3456, 7890], "0.1234567890123456789", 0.123_456_789_012_345_68),
            (false, 0, &[3, 1, 0, 0, 0, 0, 5], "3.000100000000000000000005", 3.0001),
            (false, 100, &[1], &format!("1{}", "0".repeat(400)), f64::INFINITY),
            (false, -81, &[12, 3456], &format!("0.{}123456", "0".repeat(322)), 1.23456e-323),
        ] {
            let datum = datum(negative, weight, digits);
            assert_eq!(read(&datum), Ok(Read::Exact), "{text}");
            assert_eq!(text_of(&datum).as_deref(), Some(text));
            assert_eq!(float_of(&datum), Some(float));
        }
        for (weight, digits, number) in [
            (-2, &[9750, 0, 0, 1][..], Number::Float(9.750_000_000_000_001e-5)),
            (0, &[0, 1000], Number::Float(0.1)),
            (4, &[922, 3372, 368, 5477, 5807], Number::Int(i64::MAX)),
            (77, &[1, 7_976, 9_313, 4_862, 3_157], Number::Float(f64::MAX)),
        ] {
            assert_eq!(read(&datum(false, weight, digits)), Ok(Read::Number(number)));
        }
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
