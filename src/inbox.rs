//! `litellm_spend.inbox`: records from tools that can only INSERT or COPY. Each row is staged or rejected
//! on its own, so that one bad line never costs the lines around it.

use std::num::NonZeroUsize;

use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::record::SpendRecord;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::jsonb::Jsonb;
use crate::record::{self, OnInvalid, Submitted};
use crate::statement_log;

#[pg_schema]
pub mod litellm_spend {
    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;

    /// The view's INSTEAD OF INSERT trigger. It runs as the extension's owner: whoever may insert into the
    /// view needs nothing else.
    #[pg_trigger(sql = r#"
        CREATE FUNCTION litellm_spend.insert_into_inbox() RETURNS trigger
            LANGUAGE c SECURITY DEFINER SET search_path TO pg_catalog, pg_temp
            AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
    "#)]
    fn insert_into_inbox<'a>(
        trigger: &'a PgTrigger<'a>,
    ) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, std::convert::Infallible> {
        let row = trigger.new();
        if let Err(error) = super::take(row.as_ref()) {
            // The macro would turn a returned error into a panic without its SQLSTATE.
            ErrorReport::from(error).report(PgLogLevel::ERROR);
        }
        // Returned, the row counts in the command tag and shows in RETURNING. As a copy: of a row that comes
        // back as it went, the server keeps one until the statement's end (ExecIRInsertTriggers, trigger.c).
        Ok(row.map(PgHeapTuple::into_owned))
    }
}

const PAYLOAD: NonZeroUsize = NonZeroUsize::MIN;

fn take(row: Option<&PgHeapTuple<'_, AllocatedByPostgres>>) -> Result<()> {
    statement_log::hide_this_statement();
    let payload = row.map(|row| row.get_by_index::<&str>(PAYLOAD)).transpose();
    let payload = payload.map_err(|_| {
        Error::refused(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "the first column is not text",
            "The trigger function is made for the view litellm_spend.inbox only.",
        )
    })?;
    match payload.flatten() {
        Some(text) => stage(text),
        // A tool whose columns are mapped wrongly sends nothing else: that must show somewhere.
        None => record::reject(&Error::Record { error: RecordError::NullPayload, index: None }, None),
    }
}

fn stage(text: &str) -> Result<()> {
    let Ok(document) = Json::from_text(text) else { return reject_text(text) };
    let (documents, is_array) = match document {
        Json::Array(elements) => (elements, true),
        other => (vec![other], false),
    };
    let submitted = documents.into_iter().map(Submitted::Json);
    record::stage(submitted, is_array, OnInvalid::Reject, |index| fault_as_sent(text, index))?;
    Ok(())
}

/// Keeps of text that is no JSON how long it is, and nothing else: nobody knows what it holds.
fn reject_text(text: &str) -> Result<()> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let kept = Json::Object(vec![("type".into(), Json::Str("text".into())), ("length".into(), Json::Int(length))]);
    record::reject(&Error::Record { error: RecordError::NotJson, index: None }, Jsonb::from_json(&kept).as_ref())
}

/// What is wrong with an element before it is sanitised. Read once more, for a bad record is rare.
fn fault_as_sent(text: &str, index: usize) -> Option<RecordError> {
    let document = Json::from_text(text).ok()?;
    let element = match &document {
        Json::Array(elements) => elements.get(index)?,
        other => other,
    };
    SpendRecord::decode(element).err()
}
