//! Numbers as jsonb stores them: PostgreSQL's numeric (utils/adt/numeric.c).

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::RangeInclusive;

use super::{DamagedJsonb, word};
use crate::json::Json;

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
/// What the short header has room for.
const SHORT_WEIGHTS: RangeInclusive<i32> = -64..=63;
const SHORT_SCALES: RangeInclusive<u16> = 0..=63;

const VARLENA_HEADER: usize = 4;
/// With the long header and as many base-10000 digits as a `u64` has wherever in the last of them it ends.
const LARGEST_NUMERIC: usize = VARLENA_HEADER + 4 + 2 * 6;
/// As many as hold the 17 decimal digits that a float's text has at most.
const MOST_DIGITS_OF_FLOAT: usize = 6;
/// Zeros that the text of a number may have beyond its digits; that of a float has 340. 12 bytes may say 1e131071, and
/// a few thousand such numbers are a row whose text Postgres cannot make, so that no dump and no reader gets by.
const MOST_ZEROS: i32 = 1_000;
/// More than the longest text of a float, `-2.2250738585072014e-308`.
const LONGEST_FLOAT: usize = 32;

/// Reads a numeric. One that is neither an integer of 64 bits nor the text of a float stays what it is, unless its text
/// is long for nothing: then it is the nearest float.
pub(super) fn read(datum: &[u8]) -> Result<Json<'_>, DamagedJsonb> {
    let Some((is_negative, weight, digits)) = parts(datum)? else { return Ok(Json::Null) };
    if is_long(datum)? {
        return Ok(number_from_digits(is_negative, weight, digits));
    }
    let exact = || Json::Numeric(Cow::Borrowed(datum));
    if digits.len() > MOST_DIGITS_OF_FLOAT {
        return Ok(exact());
    }
    Ok(match number_from_digits(is_negative, weight, digits.clone()) {
        Json::Float(float) if !is_text_of(float, is_negative, weight, digits) => exact(),
        number => number,
    })
}

/// Whether the float is written with just these digits.
fn is_text_of(float: f64, is_negative: bool, weight: i32, digits: impl ExactSizeIterator<Item = u16>) -> bool {
    // Any decimal of 15 digits is the text of its float.
    if digits.len() <= 3 && float.is_normal() {
        return true;
    }
    let mut written = Vec::with_capacity(LARGEST_NUMERIC);
    if write_float(float, &mut written).is_none() {
        return false;
    }
    let Ok(Some(of_float)) = parts(&written) else { return false };
    (of_float.0, of_float.1) == (is_negative, weight) && of_float.2.eq(digits)
}

/// The nearest float of a numeric; infinite where it is beyond all, `None` where it is damaged.
pub fn float_of(datum: &[u8]) -> Option<f64> {
    let (is_negative, weight, digits) = parts(datum).ok()??;
    match number_from_digits(is_negative, weight, digits) {
        Json::Int(number) => Some(number as f64),
        Json::Float(number) => Some(number),
        _ => None,
    }
}

/// A numeric as a decimal without exponent and without zeros at its end; `None` where it is damaged.
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

/// Whether a number's text is much longer than its digits.
pub(super) fn is_long(datum: &[u8]) -> Result<bool, DamagedJsonb> {
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

/// Writes a numeric with a four-byte header, as jsonb holds it.
pub(super) fn write_int(number: i64, buffer: &mut Vec<u8>) {
    write_decimal(&Decimal { is_negative: number < 0, digits: number.unsigned_abs(), exponent: 0, scale: 0 }, buffer);
}

/// As `write_int`, with the digits and the scale of the number's JSON text; `None` where it has none.
pub(super) fn write_float(number: f64, buffer: &mut Vec<u8>) -> Option<()> {
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
    /// How many digits behind the point are shown.
    scale: u16,
}

impl Decimal {
    /// Reads a number's JSON text of so few digits as a float's has.
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
    // The last base-10000 digit takes the decimal ones up to the next multiple of four, the others four each.
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

/// A numeric that is written from its end.
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
    /// The numeric without its varlena header, by halves.
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
            assert_eq!(written(|buffer| write_int(number, buffer)), expected, "{number}");
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
            assert_eq!(written(|buffer| write_float(number, buffer).unwrap()), expected, "{number}");
        }
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
            assert_eq!(read(&datum), Ok(Json::Numeric(Cow::Borrowed(&datum))), "{text}");
            assert_eq!(text_of(&datum).as_deref(), Some(text));
            assert_eq!(float_of(&datum), Some(float));
        }
        for (weight, digits, number) in [
            (-2, &[9750, 0, 0, 1][..], Json::Float(9.750_000_000_000_001e-5)),
            (0, &[0, 1000], Json::Float(0.1)),
            (4, &[922, 3372, 368, 5477, 5807], Json::Int(i64::MAX)),
            (77, &[1, 7_976, 9_313, 4_862, 3_157], Json::Float(f64::MAX)),
        ] {
            assert_eq!(read(&datum(false, weight, digits)), Ok(number));
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
