//! Reads PostgreSQL's binary jsonb (src/include/utils/jsonb.h) into `Json` and writes it (`write`), without a text
//! round trip and without `unsafe`. Every access is a checked slice, so a damaged datum is an error and never a crash.
//! Strings are borrowed from the datum.

use std::borrow::Cow;

use crate::json::Json;
use crate::numeric::{self, DamagedNumeric, Number, Read};

mod element;
mod write;

pub use element::{Element, Elements, elements, may_hold_long_number};
pub use write::{append, write};

/// The error for bytes that are not a jsonb container.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("jsonb value is damaged at byte {0}")]
pub struct DamagedJsonb(usize);

impl From<DamagedNumeric> for DamagedJsonb {
    fn from(DamagedNumeric(at): DamagedNumeric) -> Self {
        DamagedJsonb(at)
    }
}

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

/// How many levels of nesting are read. A deeper value is read as `TOO_DEEP`: no field of LiteLLM is that deep, and
/// recursion must end before the stack does.
const DEEPEST: usize = 100;
/// The text that stands for an object or an array that is nested too deep.
const TOO_DEEP: &str = "<cut: more than 100 levels>";

/// Whether a container is an object.
///
/// # Errors
/// The container is damaged.
pub fn is_object(container: &[u8]) -> Result<bool, DamagedJsonb> {
    Ok(word(container, 0)? & IS_OBJECT != 0)
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
        return Ok(Json::Str(Cow::Borrowed(TOO_DEEP)));
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
    each_item(container, |item| {
        items.push(item.json(depth)?);
        Ok::<(), DamagedJsonb>(())
    })?;
    if header & IS_SCALAR != 0 {
        return items.pop().ok_or(DamagedJsonb(0));
    }
    Ok(Json::Array(items))
}

fn read_object(container: &[u8], count: usize, depth: usize) -> Result<Json<'_>, DamagedJsonb> {
    let mut members: Vec<(Cow<str>, Json)> = Vec::with_capacity(count.min(container.len() / 8));
    each_member(container, |key, value| {
        members.push((Cow::Borrowed(key.text()?), value.json(depth)?));
        Ok::<(), DamagedJsonb>(())
    })?;
    Ok(Json::Object(members))
}

/// Calls `visit` with the key and the value of each member of an object, in jsonb's order: shorter keys first, then
/// byte by byte.
///
/// # Errors
/// The container is not an object or is damaged, or `visit` fails.
pub fn each_member<'a, E: From<DamagedJsonb>>(
    container: &'a [u8],
    mut visit: impl FnMut(Child<'a>, Child<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let header = word(container, 0)?;
    if header & IS_OBJECT == 0 {
        return Err(DamagedJsonb(0).into());
    }
    let count = (header & COUNT_MASK) as usize;
    let mut keys = Children::of(container, count.saturating_mul(2))?;
    let mut values = keys.clone();
    values.skip(count)?;
    for _ in 0..count {
        visit(keys.next()?, values.next()?)?;
    }
    Ok(())
}

/// The member `key` of an object; `None` if the member is absent or `object` is any other value.
///
/// # Errors
/// The value is damaged.
pub fn member<'a>(object: Child<'a>, key: &[u8]) -> Result<Option<Child<'a>>, DamagedJsonb> {
    let mut found = None;
    if object.kind()? == Kind::Container && is_object(object.container()?)? {
        each_member(object.container()?, |name, value| {
            if name.text_bytes()? == key {
                found = Some(value);
            }
            Ok::<(), DamagedJsonb>(())
        })?;
    }
    Ok(found)
}

/// Calls `visit` with each item of an array.
///
/// # Errors
/// The container is not an array or is damaged, or `visit` fails.
pub fn each_item<'a, E: From<DamagedJsonb>>(
    container: &'a [u8],
    mut visit: impl FnMut(Child<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let header = word(container, 0)?;
    if header & IS_ARRAY == 0 {
        return Err(DamagedJsonb(0).into());
    }
    let count = (header & COUNT_MASK) as usize;
    let mut items = Children::of(container, count)?;
    for _ in 0..count {
        visit(items.next()?)?;
    }
    Ok(())
}

/// The type of a value in jsonb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Numeric,
    Str,
    /// An object or an array.
    Container,
}

/// A child of a container: its entry and its bytes. The bytes include the padding before the value.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    entry: u32,
    bytes: &'a [u8],
    /// The position of the bytes in the container's data, which decides the padding.
    start: usize,
    /// The position of the entry, to report damage.
    at: usize,
}

impl<'a> Child<'a> {
    /// The type of the value.
    ///
    /// # Errors
    /// The entry has an unknown type.
    pub fn kind(&self) -> Result<Kind, DamagedJsonb> {
        Ok(match self.entry & ENTRY_TYPE_MASK {
            ENTRY_STRING => Kind::Str,
            ENTRY_NUMERIC => Kind::Numeric,
            ENTRY_FALSE | ENTRY_TRUE => Kind::Bool,
            ENTRY_NULL => Kind::Null,
            ENTRY_CONTAINER => Kind::Container,
            _ => return Err(DamagedJsonb(self.at)),
        })
    }

    /// The text of a string.
    ///
    /// # Errors
    /// The value is not a string, or is not UTF-8.
    pub fn text(&self) -> Result<&'a str, DamagedJsonb> {
        std::str::from_utf8(self.text_bytes()?).map_err(|_| DamagedJsonb(self.at))
    }

    /// The bytes of a string.
    ///
    /// # Errors
    /// The value is not a string.
    pub fn text_bytes(&self) -> Result<&'a [u8], DamagedJsonb> {
        if self.entry & ENTRY_TYPE_MASK == ENTRY_STRING { Ok(self.bytes) } else { Err(DamagedJsonb(self.at)) }
    }

    /// The container of an object or an array: the bytes that follow the varlena header of a jsonb that holds only this
    /// value.
    ///
    /// # Errors
    /// The value is neither an object nor an array.
    pub fn container(&self) -> Result<&'a [u8], DamagedJsonb> {
        if self.entry & ENTRY_TYPE_MASK == ENTRY_CONTAINER { Ok(self.aligned()) } else { Err(DamagedJsonb(self.at)) }
    }

    /// How many items an array has according to its header; `None` for any other value.
    pub fn items(&self) -> Option<usize> {
        let header = word(self.container().ok()?, 0).ok()?;
        (header & IS_ARRAY != 0).then_some((header & COUNT_MASK) as usize)
    }

    /// Whether the value is an array that holds neither objects nor arrays.
    ///
    /// # Errors
    /// The value is damaged.
    pub fn is_array_of_scalars(&self) -> Result<bool, DamagedJsonb> {
        if self.kind()? != Kind::Container {
            return Ok(false);
        }
        let container = self.container()?;
        let header = word(container, 0)?;
        if header & IS_ARRAY == 0 {
            return Ok(false);
        }
        let mut scalars = true;
        each_item(container, |item| {
            scalars &= item.kind()? != Kind::Container;
            Ok::<(), DamagedJsonb>(())
        })?;
        Ok(scalars)
    }

    /// The rough size of a number.
    ///
    /// # Errors
    /// The value is not a number, or is damaged.
    pub fn magnitude(&self) -> Result<Magnitude, DamagedJsonb> {
        if self.kind()? != Kind::Numeric {
            return Err(DamagedJsonb(self.at));
        }
        let Some((is_negative, weight, mut digits)) = numeric::parts(self.aligned())? else {
            return Err(DamagedJsonb(self.at));
        };
        Ok(Magnitude { is_negative, weight, first_digit: digits.next().unwrap_or(0) })
    }

    /// Whether the value is or holds a number whose text is much longer than its digits. It is also true if the value
    /// is nested too deep to tell.
    ///
    /// # Errors
    /// The value is damaged.
    pub fn may_hold_long_number(&self) -> Result<bool, DamagedJsonb> {
        self.long_number(0)
    }

    fn long_number(&self, depth: usize) -> Result<bool, DamagedJsonb> {
        match self.kind()? {
            Kind::Numeric => Ok(numeric::is_long(self.aligned())?),
            Kind::Container => element::long_number(self.aligned(), depth + 1),
            Kind::Null | Kind::Bool | Kind::Str => Ok(false),
        }
    }

    fn values(&self, depth: usize) -> Result<usize, DamagedJsonb> {
        if self.kind()? == Kind::Container { element::values(self.aligned(), depth + 1) } else { Ok(1) }
    }

    fn json(&self, depth: usize) -> Result<Json<'a>, DamagedJsonb> {
        Ok(match self.kind()? {
            Kind::Str => Json::Str(Cow::Borrowed(self.text()?)),
            Kind::Numeric => match numeric::read(self.aligned())? {
                Read::Number(Number::Int(number)) => Json::Int(number),
                Read::Number(Number::Float(number)) => Json::Float(number),
                Read::Exact => Json::Numeric(Cow::Borrowed(self.aligned())),
                Read::NotANumber => Json::Null,
            },
            Kind::Bool => Json::Bool(self.entry & ENTRY_TYPE_MASK == ENTRY_TRUE),
            Kind::Null => Json::Null,
            Kind::Container => read_at_depth(self.aligned(), depth + 1)?,
        })
    }

    /// The bytes without the padding. Numerics and containers begin at the next multiple of four of the data area.
    fn aligned(&self) -> &'a [u8] {
        self.bytes.get(self.start.next_multiple_of(4) - self.start..).unwrap_or_default()
    }
}

/// The sign of a number and its first digit in base 10000, which is worth `10000^weight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Magnitude {
    pub is_negative: bool,
    pub weight: i32,
    pub first_digit: u16,
}

/// The children of a container in their order. An entry holds a length; at regular intervals it holds an end offset
/// instead.
#[derive(Clone)]
struct Children<'a> {
    container: &'a [u8],
    data: &'a [u8],
    index: usize,
    start: usize,
}

impl<'a> Children<'a> {
    fn of(container: &'a [u8], count: usize) -> Result<Self, DamagedJsonb> {
        let data_at = count.checked_mul(4).and_then(|n| n.checked_add(4)).ok_or(DamagedJsonb(0))?;
        let data = container.get(data_at..).ok_or(DamagedJsonb(0))?;
        Ok(Children { container, data, index: 0, start: 0 })
    }

    fn next(&mut self) -> Result<Child<'a>, DamagedJsonb> {
        let (start, at) = (self.start, 4 + self.index * 4);
        let entry = self.advance()?;
        let bytes = self.data.get(start..self.start).ok_or(DamagedJsonb(at))?;
        Ok(Child { entry, bytes, start, at })
    }

    fn skip(&mut self, count: usize) -> Result<(), DamagedJsonb> {
        for _ in 0..count {
            self.advance()?;
        }
        Ok(())
    }

    /// Moves past the next child and returns its entry.
    fn advance(&mut self) -> Result<u32, DamagedJsonb> {
        let entry = word(self.container, 4 + self.index * 4)?;
        let length_or_end = (entry & ENTRY_LENGTH_MASK) as usize;
        self.start = if entry & ENTRY_HAS_OFFSET != 0 { length_or_end } else { self.start + length_or_end };
        self.index += 1;
        Ok(entry)
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, DamagedJsonb> {
    let slice = bytes.get(at..at + 4).ok_or(DamagedJsonb(at))?;
    Ok(u32::from_ne_bytes(slice.try_into().map_err(|_| DamagedJsonb(at))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_bytes_are_an_error() {
        for bytes in [&[][..], &[1, 2, 3], &[0; 4], &[0xFF; 64], &[5, 0, 0, 0x40, 0, 0, 0, 0x50]] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
