//! `litellm_record_spend`: reads a payload, sanitises and validates each record, and stages the records that can be
//! counted. Every fault of a record is found here, before the caller commits.

use litellm_spend_core::allowed::sanitise::{Sanitised, sanitise};
use litellm_spend_core::allowed::{bounds, unchanged};
use litellm_spend_core::error::{MOST_RECORDS, RecordError};
use litellm_spend_core::json::raw::{Raw, Shape};
use litellm_spend_core::json::{Json, text};
use litellm_spend_core::jsonb as jsonb_format;
use litellm_spend_core::record::SpendRecord;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::postgres::jsonb::{Jsonb, Toasted};
use crate::postgres::own_tables::Relation;
use crate::postgres::{headroom, plans, session, statement_log};
use crate::worker::wake;
use crate::{settings, staging};

/// Most records of a call that are in memory at a time, and most bytes of the records among them that are stored in
/// another form than they came in.
const MOST_AT_ONCE: usize = 1_000;
const MOST_BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

const REJECT: &str = "INSERT INTO litellm_spend.rejected (payload, sqlstate, message, detail) VALUES ($1, $2, $3, $4)";

/// What happens when a record cannot be counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
    /// The call fails and stages nothing.
    Error,
    /// The record goes to `litellm_spend.rejected`, and the other records are staged.
    Reject,
}

/// Stages one spend record (a JSON object) or an array of spend records. A fold counts them once the transaction has
/// committed. Returns how many records were staged.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn litellm_record_spend(
    payload: Option<Toasted>,
    on_invalid: default!(Option<&str>, "'error'"),
) -> std::result::Result<i64, ErrorReport> {
    statement_log::hide_this_statement();
    Ok(record(payload, on_invalid)?)
}

fn record(payload: Option<Toasted>, on_invalid: Option<&str>) -> Result<i64> {
    let on_invalid = parse_on_invalid(on_invalid)?;
    session::require_writes(c"litellm_record_spend()");
    let payload = payload.ok_or_else(|| {
        Error::refused(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "payload is null",
            "Pass one JSON object per finished LLM request, or an array of such objects.",
        )
    })?;
    let payload = payload.detoast();
    let refuse = |error| Error::Record { error, index: None };
    let (elements, is_array) = jsonb_format::elements(&payload).map_err(|_| refuse(RecordError::Damaged))?;
    if elements.len() > MOST_RECORDS {
        return Err(refuse(RecordError::TooMany));
    }
    stage(elements.map(|element| Ok(Raw::Jsonb(element?))), is_array, on_invalid)
}

/// The jsonb container that is stored for a record.
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

/// Stages the records that can be counted and returns how many there are.
pub fn stage<'a>(
    submitted: impl Iterator<Item = std::result::Result<Raw<'a>, RecordError>>,
    is_array: bool,
    on_invalid: OnInvalid,
) -> Result<i64> {
    let mut staged = Staged::default();
    for (at, record) in submitted.enumerate() {
        let (error, kept) = match record.map_err(|error| (error, None)).and_then(accept) {
            Ok(stored) => {
                staged.add(stored)?;
                continue;
            }
            Err(refused) => refused,
        };
        let error = Error::Record { error, index: is_array.then_some(at) };
        if on_invalid == OnInvalid::Error {
            return Err(error);
        }
        reject(&error, kept.as_ref())?;
        pgrx::check_for_interrupts!();
    }
    staged.write()?;
    if staged.count > 0 {
        wake::at_commit();
    }
    Ok(staged.count)
}

/// The records of one call that wait to be staged. Only some of the call's records are held at a time.
#[derive(Default)]
struct Staged<'a> {
    waiting: Vec<Stored<'a>>,
    rewritten_bytes: usize,
    count: i64,
}

impl<'a> Staged<'a> {
    fn add(&mut self, stored: Stored<'a>) -> Result<()> {
        if let Stored::Rewritten(jsonb) = &stored {
            self.rewritten_bytes += jsonb.bytes().len();
        }
        self.waiting.push(stored);
        if self.waiting.len() < MOST_AT_ONCE && self.rewritten_bytes < MOST_BYTES_AT_ONCE {
            return Ok(());
        }
        pgrx::check_for_interrupts!();
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            staging::insert(&self.waiting.iter().map(Stored::bytes).collect::<Vec<_>>())?;
            self.count += i64::try_from(self.waiting.len()).unwrap_or(i64::MAX);
        }
        self.waiting.clear();
        self.rewritten_bytes = 0;
        Ok(())
    }
}

fn parse_on_invalid(text: Option<&str>) -> Result<OnInvalid> {
    match text {
        Some("error") => Ok(OnInvalid::Error),
        Some("reject") => Ok(OnInvalid::Reject),
        _ => Err(Error::refused(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "on_invalid is neither 'error' nor 'reject'",
            "Pass 'error' to fail the call at a bad record, or 'reject' to store it in litellm_spend.rejected.",
        )),
    }
}

/// The form in which a record is stored, or why the record cannot be counted and what may be kept from it.
pub fn accept(record: Raw<'_>) -> std::result::Result<Stored<'_>, (RecordError, Option<Jsonb>)> {
    let (bounds, store_prompts) = (settings::record_bounds(), settings::store_prompts());
    let container = record.object_container();
    if let Some(container) = container.filter(|container| unchanged::is_unchanged(container, store_prompts))
        && bounds::cut(container, bounds) == Ok(None)
    {
        return Ok(Stored::AsSent(container));
    }
    if record.shape() != Ok(Shape::Object) {
        return Err(not_an_object(record));
    }
    headroom::require_for_record(record.bytes(), bounds);
    let read = bounds::read(record, bounds, store_prompts).map_err(|error| {
        let kept = (error == RecordError::NotJson).then(|| described("text", record.bytes())).flatten();
        (error, kept)
    })?;
    let Sanitised { json, changed } = sanitise(read.json, store_prompts);
    let stored = match container {
        Some(container) if read.is_whole && !changed && holds_no_long_number(container) => {
            Some(Stored::AsSent(container))
        }
        _ => Jsonb::from_json(&json).map(Stored::Rewritten),
    };
    match (SpendRecord::decode(&json), stored) {
        (Ok(_), Some(stored)) => Ok(stored),
        (Ok(_), None) => Err((RecordError::Damaged, None)),
        (Err(error), stored) => {
            let kept = stored.map(|stored| Jsonb::from_container(stored.bytes()));
            Err((fault_as_sent(record).unwrap_or(error), kept))
        }
    }
}

/// Whether Postgres can always write the document as text. A stored document must not make a dump fail.
fn holds_no_long_number(container: &[u8]) -> bool {
    jsonb_format::may_hold_long_number(container) == Ok(false)
}

/// The fault of a record before it is sanitised. The sanitiser drops a value of the wrong type, but such a value is not
/// missing.
fn fault_as_sent(record: Raw) -> Option<RecordError> {
    let read = bounds::read(record, settings::record_bounds(), settings::store_prompts()).ok()?;
    SpendRecord::decode(&read.json).err()
}

/// The error for an element that is not an object or not JSON. Only its type and length are kept, because its content
/// is unknown.
fn not_an_object(element: Raw) -> (RecordError, Option<Jsonb>) {
    if matches!(element, Raw::Text(text) if !text::is_json(text)) {
        return (RecordError::NotJson, described("text", element.bytes()));
    }
    let (Ok(shape), Ok(length)) = (element.shape(), element.length()) else { return (RecordError::Damaged, None) };
    let found = shape.type_name();
    (RecordError::NotAnObject { found }, described(found, length))
}

/// What is kept from a value that is not a record: its kind and length.
pub fn described(kind: &'static str, length: usize) -> Option<Jsonb> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let description = [("type".into(), Json::Str(kind.into())), ("length".into(), Json::Int(length))];
    Jsonb::from_json(&Json::Object(description.into()))
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
