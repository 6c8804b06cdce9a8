//! Reads PostgreSQL's binary jsonb (src/include/utils/jsonb.h, utils/adt/numeric.c) into `Json`
//! without a text round trip and without `unsafe`: every access is a checked slice, so a damaged
//! datum is an error and never a crash. Strings are borrowed from the datum.

use std::borrow::Cow;
use std::fmt::Write;

use crate::json::Json;

/// The bytes are not a jsonb container.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("jsonb value is damaged at byte {0}")]
pub struct DamagedJsonb(usize);

const COUNT_MASK: u32 = 0x0FFF_FFFF;
const IS_SCALAR: u32 = 0x1000_0000;
const IS_OBJECT: u32 = 0x2000_0000;
const IS_ARRAY: u32 = 0x4000_0000;

const ENTRY_LENGTH_MASK: u32 = 0x0FFF_FFFF;
const ENTRY_TYPE_MASK: u32 = 0x7000_0000;
const ENTRY_HAS_OFFSET: u32 = 0x8000_0000;
const ENTRY_STRING: u32 = 0x0000_0000;
const ENTRY_NUMERIC: u32 = 0x1000_0000;
const ENTRY_FALSE: u32 = 0x2000_0000;
const ENTRY_TRUE: u32 = 0x3000_0000;
const ENTRY_NULL: u32 = 0x4000_0000;
const ENTRY_CONTAINER: u32 = 0x5000_0000;

/// Nesting beyond this is read as null: no field of LiteLLM is that deep, and recursion must end
/// before the stack does.
const DEEPEST: usize = 100;

/// One element of a top-level jsonb array, or the document itself.
#[derive(Debug, PartialEq)]
pub struct Element<'a> {
    pub json: Json<'a>,
    /// The element's own container bytes (what follows the varlena header of a jsonb that holds just
    /// this element), when it is an object or an array.
    pub container: Option<&'a [u8]>,
}

/// Reads the container that follows a jsonb's varlena header.
///
/// # Errors
/// The bytes do not form a jsonb document.
pub fn read(container: &[u8]) -> Result<Json<'_>, DamagedJsonb> {
    read_at_depth(container, 0)
}

fn read_at_depth(container: &[u8], depth: usize) -> Result<Json<'_>, DamagedJsonb> {
    if depth > DEEPEST {
        return Ok(Json::Null);
    }
    let header = word(container, 0)?;
    let count = (header & COUNT_MASK) as usize;
    if header & IS_OBJECT != 0 {
        return read_object(container, count, depth);
    }
    if header & IS_ARRAY == 0 {
        return Err(DamagedJsonb(0));
    }
    let mut items = Vec::with_capacity(count.min(container.len() / 4));
    each_child(container, count, |index, child| {
        items.push(child.json(index, depth)?);
        Ok(())
    })?;
    if header & IS_SCALAR != 0 {
        return items.pop().ok_or(DamagedJsonb(0));
    }
    Ok(Json::Array(items))
}

/// Splits a top-level array into its elements; any other document is its own single element. The
/// flag tells whether it was an array.
///
/// # Errors
/// The bytes do not form a jsonb document.
pub fn elements(container: &[u8]) -> Result<(Vec<Element<'_>>, bool), DamagedJsonb> {
    let header = word(container, 0)?;
    if header & IS_ARRAY == 0 || header & IS_SCALAR != 0 {
        let container_bytes = (header & IS_OBJECT != 0).then_some(container);
        return Ok((vec![Element { json: read(container)?, container: container_bytes }], false));
    }
    let count = (header & COUNT_MASK) as usize;
    let mut elements = Vec::with_capacity(count.min(container.len() / 4));
    each_child(container, count, |index, child| {
        let bytes = (child.kind == ENTRY_CONTAINER).then(|| aligned(child.bytes, child.start));
        elements.push(Element { json: child.json(index, 0)?, container: bytes });
        Ok(())
    })?;
    Ok((elements, true))
}

fn read_object(container: &[u8], count: usize, depth: usize) -> Result<Json<'_>, DamagedJsonb> {
    let mut members: Vec<(Cow<str>, Json)> = Vec::with_capacity(count.min(container.len() / 8));
    each_child(container, count.saturating_mul(2), |index, child| {
        if index < count {
            members.push((Cow::Borrowed(child.text(index)?), Json::Null));
        } else if let Some(member) = members.get_mut(index - count) {
            member.1 = child.json(index, depth)?;
        }
        Ok(())
    })?;
    Ok(Json::Object(members))
}

/// A child of a container: its kind, its bytes (leading alignment padding included) and where they
/// start relative to the container's data, which decides the padding.
struct Child<'a> {
    kind: u32,
    bytes: &'a [u8],
    start: usize,
}

impl<'a> Child<'a> {
    fn text(&self, at: usize) -> Result<&'a str, DamagedJsonb> {
        if self.kind != ENTRY_STRING {
            return Err(DamagedJsonb(at));
        }
        std::str::from_utf8(self.bytes).map_err(|_| DamagedJsonb(at))
    }

    fn json(&self, at: usize, depth: usize) -> Result<Json<'a>, DamagedJsonb> {
        Ok(match self.kind {
            ENTRY_STRING => Json::Str(Cow::Borrowed(self.text(at)?)),
            ENTRY_NUMERIC => numeric(aligned(self.bytes, self.start))?,
            ENTRY_FALSE => Json::Bool(false),
            ENTRY_TRUE => Json::Bool(true),
            ENTRY_NULL => Json::Null,
            ENTRY_CONTAINER => read_at_depth(aligned(self.bytes, self.start), depth + 1)?,
            _ => return Err(DamagedJsonb(at)),
        })
    }
}

/// Numerics and containers begin at the next multiple of four of the data area.
fn aligned(bytes: &[u8], start: usize) -> &[u8] {
    bytes.get(start.next_multiple_of(4) - start..).unwrap_or_default()
}

/// Calls `visit` for each child; entries hold a length, or every so often an end offset.
fn each_child<'a>(
    container: &'a [u8],
    count: usize,
    mut visit: impl FnMut(usize, Child<'a>) -> Result<(), DamagedJsonb>,
) -> Result<(), DamagedJsonb> {
    let data_at = count.checked_mul(4).and_then(|n| n.checked_add(4)).ok_or(DamagedJsonb(0))?;
    let data = container.get(data_at..).ok_or(DamagedJsonb(0))?;
    let mut start = 0usize;
    for index in 0..count {
        let at = 4 + index * 4;
        let entry = word(container, at)?;
        let length_or_end = (entry & ENTRY_LENGTH_MASK) as usize;
        let end = if entry & ENTRY_HAS_OFFSET != 0 { length_or_end } else { start + length_or_end };
        let bytes = data.get(start..end).ok_or(DamagedJsonb(at))?;
        visit(index, Child { kind: entry & ENTRY_TYPE_MASK, bytes, start })?;
        start = end;
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> Result<u32, DamagedJsonb> {
    let slice = bytes.get(at..at + 4).ok_or(DamagedJsonb(at))?;
    Ok(u32::from_ne_bytes(slice.try_into().map_err(|_| DamagedJsonb(at))?))
}

const NUMERIC_SIGN_MASK: u16 = 0xC000;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_SHORT: u16 = 0x8000;
const NUMERIC_SPECIAL: u16 = 0xC000;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_WEIGHT_SIGN: u16 = 0x0040;
const SHORT_WEIGHT_MASK: u16 = 0x003F;

/// Reads a numeric: base-10000 digits, the first of them worth `10000^weight`.
fn numeric(datum: &[u8]) -> Result<Json<'_>, DamagedJsonb> {
    let body = numeric_body(datum)?;
    let half = |at: usize| -> Result<u16, DamagedJsonb> {
        let pair = body.get(at..at + 2).ok_or(DamagedJsonb(at))?;
        Ok(u16::from_ne_bytes([pair[0], pair[1]]))
    };
    let header = half(0)?;
    let (negative, weight, digits_at) = match header & NUMERIC_SIGN_MASK {
        NUMERIC_SPECIAL => return Ok(Json::Null),
        NUMERIC_SHORT => {
            let magnitude = i32::from(header & SHORT_WEIGHT_MASK);
            // A set sign bit extends the six magnitude bits to a negative two's complement number.
            let weight = if header & SHORT_WEIGHT_SIGN != 0 { magnitude - 64 } else { magnitude };
            (header & SHORT_NEGATIVE != 0, weight, 2)
        }
        sign => (sign == NUMERIC_NEGATIVE, i32::from(half(2)? as i16), 4),
    };
    let digits =
        body.get(digits_at..).unwrap_or_default().chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
    Ok(number_from_digits(negative, weight, digits))
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

fn number_from_digits<'a>(negative: bool, weight: i32, digits: impl ExactSizeIterator<Item = u16>) -> Json<'a> {
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

#[cfg(test)]
mod tests {
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
    fn damaged_bytes_are_an_error() {
        for bytes in [&[][..], &[1, 2, 3], &[0; 4], &[0xFF; 64], &[5, 0, 0, 0x40, 0, 0, 0, 0x50]] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
