//! A value that is not decoded: in jsonb's binary form or as JSON text. What is in it can be looked at, one after the
//! other, without memory for all of it.

use std::borrow::Cow;

use super::{Json, text};
use crate::error::RecordError;
use crate::jsonb::{self, Child, DamagedJsonb, Element, Kind};

/// A value as it was submitted or staged.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    Jsonb(Element<'a>),
    /// JSON text of one value, if it is JSON at all.
    Text(&'a str),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Object,
    Array,
    Str,
    Null,
    Bool,
    Number,
}

impl Shape {
    /// The JSON name of the type.
    pub fn type_name(self) -> &'static str {
        match self {
            Shape::Object => "object",
            Shape::Array => "array",
            Shape::Str => "string",
            Shape::Null => "null",
            Shape::Bool => "boolean",
            Shape::Number => "number",
        }
    }
}

/// What a value would take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// In jsonb's binary form, at most.
    pub bytes: usize,
    /// Values, those within it included.
    pub values: usize,
}

/// What a value of JSON text takes in jsonb beyond its text, at most: an entry for it and one for its key, the header
/// of a number, and padding.
pub const BYTES_BEYOND_TEXT: usize = 16;

/// A larger text is not decoded to tell how long it is.
const LARGE_TEXT: usize = 1 << 20;

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Size) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.values = self.values.saturating_add(other.values);
    }
}

impl From<DamagedJsonb> for RecordError {
    fn from(_: DamagedJsonb) -> Self {
        RecordError::Damaged
    }
}

impl<'a> Raw<'a> {
    /// What the value is; of text, what it begins like.
    ///
    /// # Errors
    /// It is damaged, or no text of a value.
    pub fn shape(&self) -> Result<Shape, RecordError> {
        match self {
            Raw::Jsonb(element) => Ok(match element.kind()? {
                Kind::Container if jsonb::is_object(element.any_container()?)? => Shape::Object,
                Kind::Container => Shape::Array,
                Kind::Str => Shape::Str,
                Kind::Null => Shape::Null,
                Kind::Bool => Shape::Bool,
                Kind::Numeric => Shape::Number,
            }),
            Raw::Text(text) => Ok(match text::first_byte(text).ok_or(RecordError::NotJson)? {
                b'{' => Shape::Object,
                b'[' => Shape::Array,
                b'"' => Shape::Str,
                b'n' => Shape::Null,
                b't' | b'f' => Shape::Bool,
                _ => Shape::Number,
            }),
        }
    }

    /// Bytes of the value as it is.
    pub fn bytes(&self) -> usize {
        match self {
            Raw::Jsonb(element) => element.bytes(),
            Raw::Text(text) => text.len(),
        }
    }

    /// The container of an object in jsonb's binary form.
    pub fn object_container(&self) -> Option<&'a [u8]> {
        match self {
            Raw::Jsonb(element) => element.container().filter(|container| jsonb::is_object(container) == Ok(true)),
            Raw::Text(_) => None,
        }
    }

    /// The whole value, decoded.
    ///
    /// # Errors
    /// It is damaged, or no JSON.
    pub fn json(&self) -> Result<Json<'a>, RecordError> {
        match self {
            Raw::Jsonb(element) => Ok(element.json()?),
            Raw::Text(text) => Json::from_text(text).map_err(|_| RecordError::NotJson),
        }
    }

    /// How large the value is.
    ///
    /// # Errors
    /// It is damaged.
    pub fn size(&self) -> Result<Size, RecordError> {
        Ok(match self {
            Raw::Jsonb(element) => Size { bytes: element.bytes(), values: element.values()? },
            Raw::Text(text) => size_of_text(text.len(), text::outline(text).values),
        })
    }

    /// As `size`, where a string is JSON text that will be read.
    ///
    /// # Errors
    /// It is damaged.
    pub fn size_with_text(&self) -> Result<Size, RecordError> {
        if self.shape()? != Shape::Str {
            return self.size();
        }
        let values = match self {
            Raw::Jsonb(element) => match element.text()? {
                text if may_be_container(text) => text::outline(text).values,
                _ => 1,
            },
            Raw::Text(text) => match text::trimmed(text).strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                Some(string) if may_be_container(string) => text::outline_of_escaped(string).values,
                _ => 1,
            },
        };
        Ok(size_of_text(self.bytes(), values))
    }

    /// A string; `None` for any other value.
    ///
    /// # Errors
    /// It is damaged, or no JSON.
    pub fn text(&self) -> Result<Option<Cow<'a, str>>, RecordError> {
        if self.shape()? != Shape::Str {
            return Ok(None);
        }
        match self {
            Raw::Jsonb(element) => Ok(Some(Cow::Borrowed(element.text()?))),
            Raw::Text(_) => match self.json()? {
                Json::Str(text) => Ok(Some(text)),
                _ => Ok(None),
            },
        }
    }

    /// Calls `visit` with each member of an object whose key has at most `longest_key` bytes. Of text, the members
    /// come in its order, and some keys may come again.
    ///
    /// # Errors
    /// It is damaged, or `visit` fails.
    pub fn each_member(
        &self,
        longest_key: usize,
        mut visit: impl FnMut(&str, Raw<'a>) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        match self {
            Raw::Jsonb(element) => jsonb::each_member(element.any_container()?, |key, value| {
                if key.text_bytes()?.len() <= longest_key { visit(key.text()?, item(value)) } else { Ok(()) }
            }),
            Raw::Text(text) => {
                for (key, value) in text::members(text, longest_key) {
                    if let Some(key) = key {
                        visit(&key, Raw::Text(value))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Calls `visit` with each item of an array.
    ///
    /// # Errors
    /// It is damaged, or `visit` fails.
    pub fn each_item(&self, mut visit: impl FnMut(Raw<'a>) -> Result<(), RecordError>) -> Result<(), RecordError> {
        match self {
            Raw::Jsonb(element) => jsonb::each_item(element.any_container()?, |value| visit(item(value))),
            Raw::Text(text) => text::items(text).try_for_each(|part| visit(Raw::Text(part))),
        }
    }

    /// Items of an array, else bytes: of a string its own, or those of its JSON text where it is large; of any other
    /// value those of its JSON text.
    ///
    /// # Errors
    /// It is damaged, or no JSON.
    pub fn length(&self) -> Result<usize, RecordError> {
        let shape = self.shape()?;
        if shape == Shape::Array {
            let mut items = 0;
            self.each_item(|_| {
                items += 1;
                Ok(())
            })?;
            return Ok(items);
        }
        if matches!(self, Raw::Text(_)) && self.bytes() > LARGE_TEXT {
            return Ok(self.bytes());
        }
        match self.text()? {
            Some(text) => Ok(text.len()),
            None => Ok(self.json()?.to_text().len()),
        }
    }
}

/// Whether a string's text may be a list or an object; what begins with an escape may be.
fn may_be_container(text: &str) -> bool {
    matches!(text::first_byte(text), Some(b'[' | b'{' | b'\\'))
}

fn item(child: Child<'_>) -> Raw<'_> {
    Raw::Jsonb(Element::Item(child))
}

fn size_of_text(bytes: usize, values: usize) -> Size {
    Size { bytes: bytes.saturating_add(values.saturating_mul(BYTES_BEYOND_TEXT)), values }
}
