//! Bounds of one record, in bytes and in values. They hold before anything is decoded, because anyone who may record
//! may send a record of any size. Money is never lost to size. A record that is too large loses what is never counted,
//! in this order: prompts and responses, then `spend_logs_metadata`, then whatever makes a list or a text long. Its log
//! row names what was lost (`fields::DROPPED`). A rest that can be counted always fits (`SMALLEST`).

use super::fields::RECORD;
use crate::error::RecordError;
use crate::json::raw::{BYTES_BEYOND_TEXT, Raw, Shape, Size};
use crate::json::{Json, text};
use crate::jsonb::{self, Element};
use crate::record::MOST_NAMES;
use kept::{Kept, measure};

mod kept;

/// The largest size that a record may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most bytes in jsonb's binary form.
    pub bytes: usize,
    /// The most values: each member of an object and each item of an array, including those in JSON text within a
    /// string. A value takes four bytes of jsonb or two bytes of text, and up to 48 bytes when it is decoded.
    pub values: usize,
}

/// The bounds within which the countable rest of any record fits: some 150 texts and 7 lists of 100 texts, each text of
/// 1 kB at most.
pub const SMALLEST: Bounds = Bounds { bytes: 1 << 20, values: 1_000 };

/// A record within its bounds.
#[derive(Debug)]
pub struct Bounded<'a> {
    /// The part of the record that is within the bounds.
    pub json: Json<'a>,
    /// Whether `json` is the whole document as it was sent.
    pub is_whole: bool,
}

impl Bounds {
    fn hold(&self, size: Size) -> bool {
        size.bytes <= self.bytes && size.values <= self.values
    }

    /// Whether a value is within the bounds, judged by its length alone. False means only that the value must be
    /// measured.
    fn surely_hold(&self, raw: &Raw) -> bool {
        let (bytes, values) = (raw.bytes(), raw.bytes() / 2 + 1);
        let beyond = if matches!(raw, Raw::Text(_)) { values.saturating_mul(BYTES_BEYOND_TEXT) } else { 0 };
        self.hold(Size { bytes: bytes.saturating_add(beyond), values })
    }
}

/// Reads a record. If it is too large, only the part that is within the bounds is read. If prompts are not kept, they
/// are neither measured nor read.
///
/// # Errors
/// The record is damaged, is not JSON, or is too large and not an object.
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

/// The JSON to count in place of a staged record; `None` if the staged record is within the bounds.
///
/// # Errors
/// The record is damaged.
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
        // An empty array is no record either, so the fold refuses it for the same reason.
        Err(RecordError::NotAnObject { .. }) => Ok(Some(Json::Array(Vec::new()))),
        bounded => Ok(Some(bounded?.json)),
    }
}

/// How much room a staged record takes in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// How many values the record has.
    pub values: usize,
    /// The most tags, tools and access groups that count. Each is a row or two of LiteLLM's tables.
    pub names: usize,
}

/// Weighs a staged record. A damaged record weighs nothing.
pub fn weigh(container: &[u8]) -> Weight {
    let mut names = 0;
    // Damage is reported when the record is decoded.
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
