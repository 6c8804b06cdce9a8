//! A value that is not decoded, in jsonb's binary form or as JSON text. Its parts can be read one after the other,
//! without memory for all of them.

use std::borrow::Cow;

use super::{Json, text};
use crate::error::RecordError;
use crate::jsonb::{self, Child, DamagedJsonb, Element, Kind};

/// A value as it was submitted or staged.
#[derive(Debug, Clone, Copy)]
pub enum Raw<'a> {
    /// A value in jsonb's binary form.
    Jsonb(Element<'a>),
    /// The text of one value. It may turn out not to be JSON.
    Text(&'a str),
}

/// The JSON type of a value.
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
    /// JSON's name for the type.
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

/// How much room a value takes as jsonb.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// The most bytes that it takes in jsonb's binary form.
    pub bytes: usize,
    /// How many values it is, including the values within it.
    pub values: usize,
}

/// The most bytes that a value of JSON text takes in jsonb in addition to its text: an entry for it and one for its
/// key, the header of a number, and padding.
pub const BYTES_BEYOND_TEXT: usize = 16;

/// A text with more bytes than this is not decoded to find its length.
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
    /// The type of the value. For text, the first character decides.
    ///
    /// # Errors
    /// The value is damaged, or the text holds no value.
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

    /// How many bytes the value has in its present form.
    pub fn bytes(&self) -> usize {
        match self {
            Raw::Jsonb(element) => element.bytes(),
            Raw::Text(text) => text.len(),
        }
    }

    /// The container of an object in jsonb's binary form; `None` for any other value.
    pub fn object_container(&self) -> Option<&'a [u8]> {
        match self {
            Raw::Jsonb(element) => element.container().filter(|container| jsonb::is_object(container) == Ok(true)),
            Raw::Text(_) => None,
        }
    }

    /// The whole value, decoded.
    ///
    /// # Errors
    /// The value is damaged, or is not JSON.
    pub fn json(&self) -> Result<Json<'a>, RecordError> {
        match self {
            Raw::Jsonb(element) => Ok(element.json()?),
            Raw::Text(text) => Json::from_text(text).map_err(|_| RecordError::NotJson),
        }
    }

    /// The size of the value.
    ///
    /// # Errors
    /// The value is damaged.
    pub fn size(&self) -> Result<Size, RecordError> {
        Ok(match self {
            Raw::Jsonb(element) => Size { bytes: element.bytes(), values: element.values()? },
            Raw::Text(text) => size_of_text(text.len(), text::outline(text).values),
        })
    }

    /// The size of the value. If the value is a string, it is measured as the JSON text that it may hold.
    ///
    /// # Errors
    /// The value is damaged.
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

    /// The text of a string; `None` for any other value.
    ///
    /// # Errors
    /// The value is damaged, or is not JSON.
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

    /// Calls `visit` with each member of an object whose key has at most `longest_key` bytes. The members of text come
    /// in the order of the text, and a key may occur more than once.
    ///
    /// # Errors
    /// The value is damaged, or `visit` fails.
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
    /// The value is damaged, or `visit` fails.
    pub fn each_item(&self, mut visit: impl FnMut(Raw<'a>) -> Result<(), RecordError>) -> Result<(), RecordError> {
        match self {
            Raw::Jsonb(element) => jsonb::each_item(element.any_container()?, |value| visit(item(value))),
            Raw::Text(text) => text::items(text).try_for_each(|part| visit(Raw::Text(part))),
        }
    }

    /// The length of the value: the number of items for an array, else a number of bytes. The bytes of a string are
    /// those of the decoded text, or of its JSON text if that is large. The bytes of any other value are those of its
    /// JSON text.
    ///
    /// # Errors
    /// The value is damaged, or is not JSON.
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

/// Whether the text of a string may be a list or an object. A text that begins with an escape may be one.
fn may_be_container(text: &str) -> bool {
    matches!(text::first_byte(text), Some(b'[' | b'{' | b'\\'))
}

fn item(child: Child<'_>) -> Raw<'_> {
    Raw::Jsonb(Element::Item(child))
}

fn size_of_text(bytes: usize, values: usize) -> Size {
    Size { bytes: bytes.saturating_add(values.saturating_mul(BYTES_BEYOND_TEXT)), values }
}
