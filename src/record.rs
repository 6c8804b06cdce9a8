//! `litellm_record_spend`: reads a payload, sanitises and validates each record, and stages what can be
//! counted. Everything that may be wrong with a record is found here, before the caller commits.

use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb::{self as jsonb_format, Element};
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::sanitise::{Sanitised, describe, sanitise};
use litellm_spend_core::unchanged;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::extension::Relation;
use crate::jsonb::Jsonb;
use crate::{plans, settings, staging, statement_log, wake};

/// Most bytes of the jsonb that is stored of a record which arrived as text: as many as a batch of a fold has
/// unless `litellm_spend.batch_size` says otherwise, and far fewer than jsonb can hold.
const LARGEST: usize = 32 * 1024 * 1024;

const REJECT: &str = "INSERT INTO litellm_spend.rejected (payload, sqlstate, message, detail) VALUES ($1, $2, $3, $4)";

/// What happens to an array of records when one of them cannot be counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
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
    let fault_as_sent = |at: usize| SpendRecord::decode(&elements.get(at)?.json().ok()?).err();
    stage(elements.iter().copied().map(Submitted::Jsonb), is_array, on_invalid, fault_as_sent)
}

/// A record as it was submitted.
pub enum Submitted<'a> {
    Jsonb(Element<'a>),
    /// Read from text.
    Json(Json<'a>),
}

/// The jsonb container that is stored of a record.
pub enum Stored<'a> {
    AsSent(&'a [u8]),
    Rewritten(Jsonb),
}

impl Stored<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Stored::AsSent(container) => container,
            Stored::Rewritten(jsonb) => jsonb.bytes(),
        }
    }
}

/// Stages those records that can be counted, with one insert; returns how many. `fault_as_sent` tells what
/// is wrong with a record, by its index, before it is sanitised: a value of the wrong type, say, which the
/// sanitiser drops, is not missing.
pub fn stage<'a>(
    submitted: impl ExactSizeIterator<Item = Submitted<'a>>,
    is_array: bool,
    on_invalid: OnInvalid,
    fault_as_sent: impl Fn(usize) -> Option<RecordError>,
) -> Result<i64> {
    let (mut staged, mut rejected) = (Vec::with_capacity(submitted.len()), Vec::new());
    for (at, record) in submitted.enumerate() {
        let (error, kept) = match accept(record) {
            Ok(stored) => {
                staged.push(stored);
                continue;
            }
            Err((error @ RecordError::TooLarge, kept)) => (error, kept),
            Err((error, kept)) => (fault_as_sent(at).unwrap_or(error), kept),
        };
        let error = Error::Record { error, index: is_array.then_some(at) };
        if on_invalid == OnInvalid::Error {
            return Err(error);
        }
        rejected.push((error, kept));
    }
    let count = i64::try_from(staged.len()).unwrap_or(i64::MAX);
    if count > 0 {
        staging::insert(&staged.iter().map(Stored::bytes).collect::<Vec<_>>())?;
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

/// The form in which a record is stored, or why it cannot be counted and what may be kept of it.
pub fn accept(record: Submitted<'_>) -> std::result::Result<Stored<'_>, (RecordError, Option<Jsonb>)> {
    let store_prompts = settings::store_prompts();
    let (json, container) = match record {
        Submitted::Json(json) => (json, None),
        Submitted::Jsonb(element) => {
            let container = element.container();
            if let Some(container) = container.filter(|container| unchanged::is_vouched_for(container, store_prompts)) {
                return Ok(Stored::AsSent(container));
            }
            (element.json().map_err(|_| (RecordError::Damaged, None))?, container)
        }
    };
    let found = json.type_name();
    let is_object = matches!(json, Json::Object(_));
    let Sanitised { json, changed } = sanitise(json, store_prompts);
    let verdict =
        if is_object { SpendRecord::decode(&json).map(|_| ()) } else { Err(RecordError::NotAnObject { found }) };
    let stored = match container {
        Some(container) if !changed => Some(Stored::AsSent(container)),
        Some(_) => Jsonb::from_json(&json).map(Stored::Rewritten),
        None => match Jsonb::from_json(&json).filter(|jsonb| jsonb.bytes().len() <= LARGEST) {
            Some(jsonb) => Some(Stored::Rewritten(jsonb)),
            None => return Err((RecordError::TooLarge, Jsonb::from_json(&describe(&json)))),
        },
    };
    match (verdict, stored) {
        (Ok(()), Some(stored)) => Ok(stored),
        (Ok(()), None) => Err((RecordError::Damaged, None)),
        (Err(error), stored) => Err((error, stored.map(|stored| Jsonb::from_container(stored.bytes())))),
    }
}

/// Keeps a record that cannot be counted, with the reason.
pub fn reject(error: &Error, kept: Option<&Jsonb>) -> Result<()> {
    let kept = kept.map(|jsonb| Jsonb::from_container(jsonb.bytes()));
    let reason = [error.sqlstate().into(), error.to_string().into(), error.detail().into()];
    let arguments: Vec<DatumWithOid> = std::iter::once(kept.into()).chain(reason).collect();
    Relation::Rejected.lock_and_wait(pg_sys::RowExclusiveLock)?;
    Spi::connect_mut(|client| {
        plans::run(client, REJECT, &arguments)?;
        Ok(())
    })
}
