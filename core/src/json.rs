//! A JSON document that borrows its strings from its source: jsonb's binary form (`jsonb`) or text (serde). Everything
//! after the reader works on this one type, so the rules for records do not depend on how a record arrived.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::numeric;

pub mod raw;
pub mod text;

/// A JSON value. A number is an `Int` if it is whole and fits into 64 bits, a `Float` if the float's text is exactly
/// the number, else a `Numeric`. JSON text never yields a `Numeric`: the nearest `Float` is used instead.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// PostgreSQL's numeric as jsonb holds it, including its header. It is never zero.
    Numeric(Cow<'a, [u8]>),
    Str(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// The members in the order in which they were read. A later duplicate key wins, as in jsonb.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Member `key` of an object; `None` if the member is absent or the value is not an object.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Member `key` of an object; `None` if the member is absent or null, or the value is not an object.
    pub fn given(&self, key: &str) -> Option<&Json<'a>> {
        self.get(key).filter(|v| !matches!(v, Json::Null))
    }

    /// The text of a string; `None` for any other value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::Str(s) => Some(s),
            _ => None,
        }
    }

    /// A number as a finite float; `None` for any other value.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Json::Int(i) => Some(*i as f64),
            Json::Float(f) if f.is_finite() => Some(*f),
            Json::Numeric(numeric) => numeric::float_of(numeric).filter(|float| float.is_finite()),
            _ => None,
        }
    }

    /// A number as an integer, truncated towards zero and clamped to `i64`; `None` for any other value.
    pub fn as_i64_clamped(&self) -> Option<i64> {
        match self {
            Json::Int(i) => Some(*i),
            Json::Float(_) | Json::Numeric(_) => self.as_f64().map(|float| float as i64),
            _ => None,
        }
    }

    /// Whether Python treats the value as true. LiteLLM applies that rule to its flags.
    pub fn is_truthy(&self) -> bool {
        match self {
            Json::Null => false,
            Json::Bool(b) => *b,
            Json::Int(i) => *i != 0,
            Json::Float(f) => *f != 0.0,
            Json::Numeric(_) => true,
            Json::Str(s) => !s.is_empty(),
            Json::Array(items) => !items.is_empty(),
            Json::Object(members) => !members.is_empty(),
        }
    }

    /// JSON's name for the value's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Int(_) | Json::Float(_) | Json::Numeric(_) => "number",
            Json::Str(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// This document with copies of its strings, so that it borrows nothing.
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(b) => Json::Bool(b),
            Json::Int(i) => Json::Int(i),
            Json::Float(f) => Json::Float(f),
            Json::Numeric(numeric) => Json::Numeric(Cow::Owned(numeric.into_owned())),
            Json::Str(s) => Json::Str(Cow::Owned(s.into_owned())),
            Json::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Json::Object(members) => {
                Json::Object(members.into_iter().map(|(k, v)| (Cow::Owned(k.into_owned()), v.into_owned())).collect())
            }
        }
    }

    /// Reads JSON text. U+0000 is dropped from every string, because Postgres text cannot hold it.
    ///
    /// # Errors
    /// The text is not one JSON document.
    pub fn from_text(text: &'a str) -> Result<Json<'a>, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The document as compact JSON text. A number that is not finite becomes null, and a `Numeric` becomes the nearest
    /// float.
    pub fn to_text(&self) -> String {
        // Writing to a String cannot fail, and every key is a string.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn without_nul(s: Cow<'_, str>) -> Cow<'_, str> {
    if s.contains('\0') { Cow::Owned(s.replace('\0', "")) } else { s }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Json::Int(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(v).map_or(Json::Float(v as f64), Json::Int))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
        Ok(Json::Float(v))
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Str(without_nul(Cow::Borrowed(v))))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Json::Str(without_nul(Cow::Owned(v.to_owned()))))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0));
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(map.size_hint().unwrap_or(0));
        while let Some((key, value)) = map.next_entry::<Json, Json>()? {
            if let Json::Str(key) = key {
                members.push((key, value));
            }
        }
        Ok(Json::Object(members))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(b) => serializer.serialize_bool(*b),
            Json::Int(i) => serializer.serialize_i64(*i),
            Json::Float(f) => serializer.serialize_f64(*f),
            Json::Numeric(_) => self.as_f64().serialize(serializer),
            Json::Str(s) => serializer.serialize_str(s),
            Json::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_a_round_trip() {
        let text = r#"{"a":[1,-2.5,null,true],"b":{"c":"ü"},"d":9223372036854775807}"#;
        assert_eq!(Json::from_text(text).unwrap().to_text(), text);
    }

    #[test]
    fn nul_is_dropped_from_strings_and_keys() {
        let json = Json::from_text(r#"{"a\u0000b":"x\u0000y"}"#).unwrap();
        assert_eq!(json.get("ab").and_then(Json::as_str), Some("xy"));
    }

    #[test]
    fn integers_beyond_i64_are_clamped_when_read_as_integers() {
        let json = Json::from_text("[1e300, -1e300, 18446744073709551615, 2.9, -2.9]").unwrap();
        let Json::Array(items) = json else { panic!("an array was written") };
        let read: Vec<_> = items.iter().filter_map(Json::as_i64_clamped).collect();
        assert_eq!(read, [i64::MAX, i64::MIN, i64::MAX, 2, -2]);
    }
}
