//! Bounds of one record, in bytes and in values, which hold before anything is decoded: whoever may record may send a
//! record of any size. Money is never lost to size. A record that is too large loses what nobody counts, in this
//! order, and names it in its log row (`fields::DROPPED`): prompts and responses, then `spend_logs_metadata`, then
//! whatever makes a list or a text long. A countable rest is always left (`SMALLEST`).

use super::fields::RECORD;
use crate::error::RecordError;
use crate::json::raw::{BYTES_BEYOND_TEXT, Raw, Shape, Size};
use crate::json::{Json, text};
use crate::jsonb::{self, Element};
use crate::record::MOST_NAMES;
use kept::{Kept, measure};

mod kept;

/// How large a record may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes in jsonb's binary form.
    pub bytes: usize,
    /// Values: each member of an object and each item of an array, those in JSON text within a string included. A
    /// value takes four bytes of jsonb, or two of text, and up to 48 bytes when it is decoded.
    pub values: usize,
}

/// The rest of any record is within these: some 150 texts and 7 lists of 100 texts, each text of 1 kB at most.
pub const SMALLEST: Bounds = Bounds { bytes: 1 << 20, values: 1_000 };

/// A record within its bounds.
#[derive(Debug)]
pub struct Bounded<'a> {
    pub json: Json<'a>,
    /// Whether this is the whole document as it was sent.
    pub is_whole: bool,
}

impl Bounds {
    fn hold(&self, size: Size) -> bool {
        size.bytes <= self.bytes && size.values <= self.values
    }

    /// Whether a value is within the bounds, whatever it is.
    fn surely_hold(&self, raw: &Raw) -> bool {
        let (bytes, values) = (raw.bytes(), raw.bytes() / 2 + 1);
        let beyond = if matches!(raw, Raw::Text(_)) { values.saturating_mul(BYTES_BEYOND_TEXT) } else { 0 };
        self.hold(Size { bytes: bytes.saturating_add(beyond), values })
    }
}

/// Reads a record; of one that is too large, no more than what is within the bounds. Where prompts are not kept, they
/// are neither counted nor read.
///
/// # Errors
/// It is damaged, no JSON, or too large and no object.
pub fn read(raw: Raw<'_>, bounds: Bounds, keeps_prompts: bool) -> Result<Bounded<'_>, RecordError> {
    if bounds.surely_hold(&raw) {
        return Ok(Bounded { json: raw.json()?, is_whole: true });
    }
    if matches!(raw, Raw::Text(text) if !text::is_json(text)) {
        return Err(RecordError::NotJson);
    }
    let shape = raw.shape()?;
    if shape != Shape::Object {
        return Err(RecordError::NotAnObject { found: shape.type_name() });
    }
    let mut kept = Kept::SHORT;
    for candidate in Kept::IN_ORDER {
        let candidate = Kept { prompts: candidate.prompts && keeps_prompts, ..candidate };
        if bounds.hold(measure(raw, RECORD, candidate, bounds)?) {
            kept = candidate;
            break;
        }
    }
    Ok(Bounded { json: kept::read(raw, bounds, keeps_prompts, kept)?, is_whole: false })
}

/// What is to be counted of a staged record in place of what is staged; `None` if that is within the bounds.
///
/// # Errors
/// It is damaged.
pub fn cut<'a>(container: &'a [u8], bounds: Bounds) -> Result<Option<Json<'a>>, RecordError> {
    let element = Element::Document(container);
    let raw = Raw::Jsonb(element);
    if bounds.surely_hold(&raw) {
        return Ok(None);
    }
    let whole = Size { bytes: raw.bytes(), values: element.values()? };
    if bounds.hold(whole) && (raw.shape()? != Shape::Object || bounds.hold(measure(raw, RECORD, Kept::ALL, bounds)?)) {
        return Ok(None);
    }
    match read(raw, bounds, true) {
        // It is refused as what it is.
        Err(RecordError::NotAnObject { .. }) => Ok(Some(Json::Array(Vec::new()))),
        bounded => Ok(Some(bounded?.json)),
    }
}

/// What a staged record takes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub values: usize,
    /// Tags, tools and access groups that count, at most: each is a row or two of LiteLLM's tables.
    pub names: usize,
}

/// Weighs a staged record; one that is damaged weighs nothing.
pub fn weigh(container: &[u8]) -> Weight {
    let mut names = 0;
    // What is damaged is found when it is decoded.
    let _ = jsonb::each_member(container, |key, value| {
        match key.text_bytes()? {
            b"request_tags" | b"tool_calls" | b"request_model_access_groups" => {
                names += value.items().unwrap_or(0).min(MOST_NAMES);
            }
            b"metadata" => {
                let tags = jsonb::member(value, b"tags")?;
                names += tags.and_then(|tags| tags.items()).unwrap_or(0).min(MOST_NAMES);
            }
            _ => {}
        }
        Ok::<(), jsonb::DamagedJsonb>(())
    });
    Weight { values: Element::Document(container).values().unwrap_or(0), names }
}
