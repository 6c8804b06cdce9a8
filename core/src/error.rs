//! Why a record cannot be counted. Messages name the key and what is wrong with its value, never the
//! value itself: it may be a key or a prompt.

use crate::moment::MomentError;

/// Most records of one payload: more than jsonb or text can hold of any that LiteLLM makes, and few enough to be
/// refused one by one.
pub const MOST_RECORDS: usize = 1_000_000;

/// A spend record that cannot be counted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    #[error("spend record is not a JSON object but a {found}")]
    NotAnObject { found: &'static str },
    #[error("spend record has no {what}")]
    Missing { key: &'static str, what: &'static str },
    #[error("\"{key}\" of the spend record is not {expected}")]
    BadValue { key: &'static str, expected: &'static str },
    #[error("\"{key}\" of the spend record {why}")]
    BadTime { key: &'static str, why: MomentError },
    #[error("payload is null")]
    NullPayload,
    #[error("payload is not JSON that can be read")]
    NotJson,
    #[error("payload holds more than {MOST_RECORDS} spend records")]
    TooMany,
    #[error("spend record cannot be read: its stored form is damaged")]
    Damaged,
}

impl RecordError {
    /// SQLSTATE, all of class 22.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            RecordError::NotAnObject { .. } | RecordError::BadValue { .. } | RecordError::TooMany => "22023",
            RecordError::Missing { .. } | RecordError::NullPayload => "22004",
            RecordError::BadTime { why: MomentError::OutOfRange, .. } => "22008",
            RecordError::BadTime { .. } => "22007",
            RecordError::NotJson | RecordError::Damaged => "22P02",
        }
    }

    /// The JSON key at fault, where there is one.
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

    /// What to do about it.
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
                "Send epoch seconds (not milliseconds) or an ISO-8601 time; without an offset it is read as UTC."
            }
            RecordError::TooMany => "Send them in several calls.",
            RecordError::Damaged => "Check the storage of this server.",
        }
    }
}
