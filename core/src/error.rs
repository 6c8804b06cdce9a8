//! The reasons why a record cannot be counted. A message names the key and what is wrong with its value. It never shows
//! the value, because the value may be an API key or a prompt.

use crate::moment::MomentError;

/// The most records that one payload may hold. A jsonb or a text has no room for this many of LiteLLM's records, and
/// this many can still be refused one by one.
pub const MOST_RECORDS: usize = 1_000_000;

/// The reason why a spend record, or the payload that holds it, cannot be counted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// A record is some other JSON type, named by `found`.
    #[error("spend record is not a JSON object: its type is {found}")]
    NotAnObject { found: &'static str },
    /// A required member is absent, null or empty. `key` is its JSON key and `what` its meaning in words.
    #[error("spend record has no {what}")]
    Missing { key: &'static str, what: &'static str },
    /// A member has a value of the wrong type.
    #[error("\"{key}\" of the spend record is not {expected}")]
    BadValue { key: &'static str, expected: &'static str },
    /// A time cannot be read, or lies outside the years 1 to 9999.
    #[error("\"{key}\" of the spend record {why}")]
    BadTime { key: &'static str, why: MomentError },
    /// The payload is SQL NULL.
    #[error("payload is null")]
    NullPayload,
    /// The payload cannot be read as JSON.
    #[error("payload cannot be read as JSON")]
    NotJson,
    /// The payload holds more than [`MOST_RECORDS`] records.
    #[error("payload holds more than {MOST_RECORDS} spend records")]
    TooMany,
    /// The stored binary form of a record is damaged.
    #[error("spend record cannot be read: its stored form is damaged")]
    Damaged,
}

impl RecordError {
    /// The SQLSTATE of the error; each is of class 22.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            RecordError::NotAnObject { .. } | RecordError::BadValue { .. } | RecordError::TooMany => "22023",
            RecordError::Missing { .. } | RecordError::NullPayload => "22004",
            RecordError::BadTime { why: MomentError::OutOfRange, .. } => "22008",
            RecordError::BadTime { .. } => "22007",
            RecordError::NotJson | RecordError::Damaged => "22P02",
        }
    }

    /// The JSON key at fault; `None` if the error is not about one key.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            RecordError::Missing { key, .. } | RecordError::BadValue { key, .. } | RecordError::BadTime { key, .. } => {
                Some(key)
            }
            RecordError::NotAnObject { .. }
            | RecordError::NullPayload
            | RecordError::NotJson
            | RecordError::TooMany
            | RecordError::Damaged => None,
        }
    }

    /// What to do about the error, as text for a HINT.
    pub fn hint(&self) -> &'static str {
        match self {
            RecordError::NotAnObject { .. } | RecordError::NullPayload | RecordError::NotJson => {
                "Pass one JSON object per finished LLM request, or an array of such objects."
            }
            RecordError::Missing { key: "spend", .. } => {
                "Send \"spend\" or \"response_cost\" in US dollars; only a record with status \"failure\" may leave it out."
            }
            RecordError::Missing { key: "startTime", .. } => {
                "Send \"startTime\" as epoch seconds or as an ISO-8601 time."
            }
            RecordError::Missing { .. } => {
                "Send \"request_id\", or \"id\" as in LiteLLM's StandardLoggingPayload; it must not be empty."
            }
            RecordError::BadValue { .. } => "Send the field with the type that LiteLLM gives it.",
            RecordError::BadTime { .. } => {
                "Send epoch seconds (not milliseconds) or an ISO-8601 time; a time without an offset is read as UTC."
            }
            RecordError::TooMany => "Send the records in several calls.",
            RecordError::Damaged => "Check the storage of this server.",
        }
    }
}
