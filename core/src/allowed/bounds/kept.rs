//! What is kept of a record that is too large, and in which order more is dropped.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Bounds;
use crate::allowed::fields::{self, DROPPED, Fields, LONGEST_KEY, RECORD, Rule};
use crate::error::RecordError;
use crate::json::raw::{BYTES_BEYOND_TEXT, Raw, Shape, Size};
use crate::json::{Json, text};
use crate::litellm::api_key;
use crate::record::{MOST_NAMES, fit_id};

/// The longest text in bytes that is kept whole once lists and texts are shortened. An id is shortened to this length
/// in any case when it is counted.
const LONGEST_TEXT: usize = 1024;

/// Which parts of a record are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub prompts: bool,
    pub own_metadata: bool,
    /// Whether lists and texts are kept whole.
    pub lengths: bool,
}

impl Kept {
    pub const ALL: Kept = Kept { prompts: true, own_metadata: true, lengths: true };
    const WITHOUT_PROMPTS: Kept = Kept { prompts: false, ..Kept::ALL };
    const WITHOUT_DOCUMENTS: Kept = Kept { own_metadata: false, ..Kept::WITHOUT_PROMPTS };
    pub const SHORT: Kept = Kept { lengths: false, ..Kept::WITHOUT_DOCUMENTS };

    pub const IN_ORDER: [Kept; 3] = [Kept::ALL, Kept::WITHOUT_PROMPTS, Kept::WITHOUT_DOCUMENTS];
}

/// The size of what is kept of an object, at most.
pub(super) fn measure(raw: Raw, fields: Fields, kept: Kept, bounds: Bounds) -> Result<Size, RecordError> {
    let mut size = Size { bytes: BYTES_BEYOND_TEXT, values: 1 };
    raw.each_member(LONGEST_KEY, |key, value| {
        let Some(rule) = fields::rule(fields, key) else { return Ok(()) };
        let shape = value.shape()?;
        size += Size { bytes: key.len() + BYTES_BEYOND_TEXT, values: 0 };
        size += match (rule, shape) {
            (Rule::Any, _) if !kept.own_metadata => Size::default(),
            (Rule::Prompt | Rule::RequestBody, _) if !kept.prompts => Size::default(),
            (Rule::Any, _) => value.size()?,
            (Rule::Members(inner), Shape::Object) => measure(value, inner, kept, bounds)?,
            (Rule::Members(inner), Shape::Str) => match text_within(value, bounds)? {
                Some(text) => measure(Raw::Text(&text), inner, kept, bounds)?,
                None => Size::default(),
            },
            (Rule::Prompt | Rule::RequestBody | Rule::Scalars, _) => value.size_with_text()?,
            (_, Shape::Object | Shape::Array) => Size { bytes: 4, values: 1 },
            _ => value.size()?,
        };
        Ok(())
    })?;
    Ok(size)
}

/// The text of an object that a string holds as JSON text; `None` if the string holds no object, or is too large to be
/// unescaped.
fn text_within<'a>(value: Raw<'a>, bounds: Bounds) -> Result<Option<Cow<'a, str>>, RecordError> {
    let text = short_enough(value, bounds)?;
    Ok(text.filter(|text| text::first_byte(text) == Some(b'{') && text::is_json(text)))
}

/// A string; `None` if it is larger than a whole record may be and would have to be copied because it holds escapes.
fn short_enough<'a>(value: Raw<'a>, bounds: Bounds) -> Result<Option<Cow<'a, str>>, RecordError> {
    let is_copied = |text: &str| text.len() > bounds.bytes && text.contains('\\');
    if matches!(value, Raw::Text(text) if is_copied(text)) { Ok(None) } else { value.text() }
}

/// Reads what is kept of a record. The metadata of the result names what was dropped.
pub(super) fn read(raw: Raw<'_>, bounds: Bounds, keeps_prompts: bool, kept: Kept) -> Result<Json<'_>, RecordError> {
    let mut reader = Reader { bounds, keeps_prompts, kept, dropped: Vec::new() };
    let mut json = reader.object(raw, RECORD, "")?;
    name_dropped(&mut json, reader.dropped);
    Ok(json)
}

struct Reader {
    bounds: Bounds,
    /// Whether prompts are kept if the record is not too large.
    keeps_prompts: bool,
    kept: Kept,
    /// The paths of what was dropped but would have been stored from a smaller record.
    dropped: Vec<String>,
}

impl Reader {
    fn object<'a>(&mut self, raw: Raw<'a>, fields: Fields, path: &str) -> Result<Json<'a>, RecordError> {
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        raw.each_member(LONGEST_KEY, |key, value| {
            let Some((name, rule)) = fields::entry(fields, key) else { return Ok(()) };
            // A later duplicate wins, as in jsonb.
            members.retain(|(earlier, _)| earlier != name);
            if let Some(value) = self.value(value, rule, path, name)? {
                members.push((Cow::Borrowed(*name), value));
            }
            Ok(())
        })?;
        Ok(Json::Object(members))
    }

    /// The part of a value that is kept. A value whose shape does not fit its rule keeps its shape and loses its
    /// content.
    fn value<'a>(
        &mut self,
        value: Raw<'a>,
        rule: &Rule,
        path: &str,
        name: &str,
    ) -> Result<Option<Json<'a>>, RecordError> {
        let shape = value.shape()?;
        if shape == Shape::Null {
            return Ok(Some(Json::Null));
        }
        Ok(match (rule, shape) {
            (Rule::Any, _) if !self.kept.own_metadata => self.drop(path, name),
            (Rule::Prompt | Rule::RequestBody, _) if !self.keeps_prompts => None,
            (Rule::Prompt | Rule::RequestBody, _) if !self.kept.prompts => self.drop(path, name),
            (Rule::Any | Rule::Prompt | Rule::RequestBody, _) => Some(value.json()?),
            (Rule::Members(inner), Shape::Object) => Some(self.object(value, inner, &joined(path, name))?),
            (Rule::Members(inner), Shape::Str) => match text_within(value, self.bounds)? {
                Some(Cow::Borrowed(text)) => Some(self.object(Raw::Text(text), inner, &joined(path, name))?),
                Some(Cow::Owned(text)) => Some(self.object(Raw::Text(&text), inner, &joined(path, name))?.into_owned()),
                None => self.drop(path, name),
            },
            (Rule::Scalars, Shape::Array | Shape::Str) if self.kept.lengths => Some(value.json()?),
            (Rule::Scalars, Shape::Array) => Some(self.short_list(value, path, name)?),
            (Rule::Scalars, Shape::Str) => match short_enough(value, self.bounds)? {
                Some(text) if text::is_json(&text) => Some(self.short_list(Raw::Text(&text), path, name)?.into_owned()),
                _ => self.drop(path, name),
            },
            (_, Shape::Object) => Some(Json::Object(Vec::new())),
            (_, Shape::Array) => Some(Json::Array(Vec::new())),
            (_, Shape::Str) if !self.kept.lengths => self.short_text(value, rule, path, name)?,
            _ => Some(value.json()?),
        })
    }

    /// The first distinct texts of a list, at most as many as count.
    fn short_list<'a>(&mut self, list: Raw<'a>, path: &str, name: &str) -> Result<Json<'a>, RecordError> {
        let (mut kept, mut seen, mut is_cut) = (Vec::new(), HashSet::new(), false);
        list.each_item(|item| {
            let text = if kept.len() < MOST_NAMES { short_enough(item, self.bounds)?.map(fit_id) } else { None };
            match text {
                Some(text) if seen.contains(&text) => {}
                Some(text) => {
                    seen.insert(text.clone());
                    kept.push(Json::Str(text));
                }
                None => is_cut = true,
            }
            Ok(())
        })?;
        if is_cut {
            self.drop(path, name);
        }
        Ok(Json::Array(kept))
    }

    fn short_text<'a>(
        &mut self,
        value: Raw<'a>,
        rule: &Rule,
        path: &str,
        name: &str,
    ) -> Result<Option<Json<'a>>, RecordError> {
        Ok(match (rule, short_enough(value, self.bounds)?) {
            (Rule::ApiKey, Some(key)) => Some(Json::Str(Cow::Owned(api_key::stored_form(&key).into_owned()))),
            (_, Some(text)) if text.len() <= LONGEST_TEXT => Some(Json::Str(text)),
            // Without its end, a URL may no longer show where its password is.
            (Rule::Url, _) | (_, None) => self.drop(path, name),
            (_, Some(text)) => {
                self.drop(path, name);
                Some(Json::Str(fit_id(text)))
            }
        })
    }

    fn drop<'a>(&mut self, path: &str, name: &str) -> Option<Json<'a>> {
        let place = joined(path, name);
        if !self.dropped.contains(&place) {
            self.dropped.push(place);
        }
        None
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Adds the names of what was dropped to the record's metadata.
fn name_dropped(record: &mut Json, dropped: Vec<String>) {
    let Json::Object(members) = record else { return };
    if dropped.is_empty() {
        return;
    }
    let at = members.iter().position(|(name, _)| name == "metadata").unwrap_or_else(|| {
        members.push((Cow::Borrowed("metadata"), Json::Null));
        members.len() - 1
    });
    let metadata = &mut members[at].1;
    if !matches!(metadata, Json::Object(_)) {
        *metadata = Json::Object(Vec::new());
    }
    let Json::Object(members) = metadata else { return };
    let mut names: Vec<Json> = dropped.into_iter().map(|name| Json::Str(Cow::Owned(name))).collect();
    // The record may have lost something before, under wider bounds.
    if let Some((_, Json::Array(before))) = members.iter().find(|(name, _)| name == DROPPED) {
        let more: Vec<Json> = before.iter().filter(|name| !names.contains(name)).take(MOST_NAMES).cloned().collect();
        names.extend(more.into_iter().map(Json::into_owned));
    }
    members.retain(|(name, _)| name != DROPPED);
    members.push((Cow::Borrowed(DROPPED), Json::Array(names)));
}
