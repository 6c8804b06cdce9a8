//! `litellm_record_spend`: reads a payload, sanitises and validates each record, and stages what can be
//! counted. Everything that may be wrong with a record is found here, before the caller commits.

use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb::{self as jsonb_format, Element};
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::sanitise::{Sanitised, sanitise};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::{settings, staging, statement_log, wake};

/// What happens to an array of records when one of them cannot be counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnInvalid {
    /// The call fails and stages nothing.
    Error,
    /// The record goes to `litellm_spend.rejected`, the others are staged.
    Reject,
}

/// Stages one spend record (a JSON object) or an array of them, to be counted once the transaction has
/// committed; returns how many were staged.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn litellm_record_spend(
    payload: Option<Jsonb>,
    on_invalid: default!(Option<&str>, "'error'"),
) -> std::result::Result<i64, ErrorReport> {
    statement_log::hide_this_statement();
    Ok(record(payload, on_invalid)?)
}

fn record(payload: Option<Jsonb>, on_invalid: Option<&str>) -> Result<i64> {
    let on_invalid = parse_on_invalid(on_invalid)?;
    // SAFETY: both raise an error or return; the name is a static C string.
    unsafe {
        pg_sys::PreventCommandDuringRecovery(c"litellm_record_spend()".as_ptr());
        pg_sys::PreventCommandIfReadOnly(c"litellm_record_spend()".as_ptr());
    }
    let payload = payload.ok_or_else(|| {
        Error::refused(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "payload is null",
            "Pass one JSON object per finished LLM request, or an array of such objects.",
        )
    })?;
    let damaged = |_| Error::Record { error: RecordError::Damaged, index: None };
    let (elements, is_array) = jsonb_format::elements(payload.bytes()).map_err(damaged)?;

    let (mut staged, mut rejected) = (Vec::with_capacity(elements.len()), Vec::new());
    for (index, element) in elements.into_iter().enumerate() {
        let index = is_array.then_some(index);
        match accept(element) {
            Ok(record) => staged.push(record),
            Err((error, _)) if on_invalid == OnInvalid::Error => return Err(Error::Record { error, index }),
            Err((error, kept)) => rejected.push((Error::Record { error, index }, kept)),
        }
    }
    let count = i64::try_from(staged.len()).unwrap_or(i64::MAX);
    if count > 0 {
        staging::insert(staged)?;
        wake::at_commit();
    }
    for (error, kept) in rejected {
        reject(&error, kept.as_ref())?;
    }
    Ok(count)
}

fn parse_on_invalid(text: Option<&str>) -> Result<OnInvalid> {
    match text {
        Some("error") => Ok(OnInvalid::Error),
        Some("reject") => Ok(OnInvalid::Reject),
        _ => Err(Error::refused(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "on_invalid is neither 'error' nor 'reject'",
            "With 'error' a bad record fails the call; with 'reject' it goes to litellm_spend.rejected.",
        )),
    }
}

/// The form in which an element is stored, or why it cannot be counted and what may be kept of it.
pub fn accept(element: Element<'_>) -> std::result::Result<Jsonb, (RecordError, Option<Jsonb>)> {
    let found = element.json.type_name();
    let is_object = matches!(element.json, Json::Object(_));
    let Sanitised { json, changed } = sanitise(element.json, settings::store_prompts());
    let verdict =
        if is_object { SpendRecord::decode(&json).map(|_| ()) } else { Err(RecordError::NotAnObject { found }) };
    let stored = match element.container {
        Some(container) if !changed => Some(Jsonb::from_container(container)),
        _ => Jsonb::from_json(&json),
    };
    match (verdict, stored) {
        (Ok(()), Some(stored)) => Ok(stored),
        (Ok(()), None) => Err((RecordError::Damaged, None)),
        (Err(error), stored) => Err((as_sent(element.container).unwrap_or(error), stored)),
    }
}

/// What is wrong with a record as it was sent: a value of the wrong type, say, which the sanitiser has
/// dropped, is not missing.
fn as_sent(container: Option<&[u8]>) -> Option<RecordError> {
    SpendRecord::decode(&jsonb_format::read(container?).ok()?).err()
}

/// Keeps a record that cannot be counted, with the reason.
pub fn reject(error: &Error, kept: Option<&Jsonb>) -> Result<()> {
    let kept = kept.map(|jsonb| Jsonb::from_container(jsonb.bytes()));
    Spi::connect_mut(|client| {
        client.update(
            "INSERT INTO litellm_spend.rejected (payload, sqlstate, message, detail) VALUES ($1, $2, $3, $4)",
            None,
            &[kept.into(), error.sqlstate().into(), error.to_string().into(), error.detail().into()],
        )?;
        Ok(())
    })
}
