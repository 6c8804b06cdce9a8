//! A document in jsonb's binary form, and the document that the reader returns for it.

use std::borrow::Cow;

use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;

/// The deepest level that the reader reads.
const DEEPEST: usize = 100;

/// The container of a document that jsonb can hold.
pub fn container(json: &Json) -> Vec<u8> {
    let container = jsonb::write(json);
    assert!(container.is_some(), "jsonb cannot hold {json:?}");
    container.unwrap_or_default()
}

/// The document that the reader returns. jsonb's numbers do not tell 1.0 from 1, and none is a negative zero or not
/// finite. Its objects hold each key once, in jsonb's order. A value that is nested too deep is null.
pub fn as_read<'a>(json: &Json<'a>, depth: usize) -> Json<'a> {
    match json {
        Json::Float(number) if !number.is_finite() => Json::Null,
        // The number is written as its shortest decimal, which may differ from its exact value if it is a large whole
        // number.
        Json::Float(number) => format!("{number}").parse().map_or(Json::Float(*number), Json::Int),
        Json::Array(_) | Json::Object(_) if depth > DEEPEST => Json::Null,
        Json::Array(items) => Json::Array(items.iter().map(|item| as_read(item, depth + 1)).collect()),
        Json::Object(members) => {
            let mut read: Vec<(Cow<str>, Json)> = Vec::new();
            for (key, value) in members {
                read.retain(|(other, _)| other != key);
                read.push((key.clone(), as_read(value, depth + 1)));
            }
            read.sort_by_key(|(key, _)| (key.len(), key.as_bytes().to_vec()));
            Json::Object(read)
        }
        scalar => scalar.clone(),
    }
}
