//! `litellm_spend.inbox`: takes records from tools that can only INSERT or COPY. Each row is staged or rejected on its
//! own, so one bad line does not affect the lines around it.

use std::num::NonZeroUsize;

use litellm_spend_core::error::{MOST_RECORDS, RecordError};
use litellm_spend_core::json::raw::Raw;
use litellm_spend_core::json::text;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::postgres::statement_log;
use crate::record::{self, OnInvalid};

#[pg_schema]
pub mod litellm_spend {
    use pgrx::pg_sys::panic::ErrorReport;
    use pgrx::prelude::*;

    /// The view's INSTEAD OF INSERT trigger. It runs as the extension's owner, so a role that may insert into the view
    /// needs no other privilege.
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
        // A returned row counts in the command tag and shows in RETURNING. The row is returned as a copy, because the
        // server keeps a row that comes back unchanged until the statement ends (ExecIRInsertTriggers, trigger.c).
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
            "Use this trigger function only on the view litellm_spend.inbox.",
        )
    })?;
    match payload.flatten() {
        Some(text) => stage(text),
        // A tool with wrongly mapped columns sends only NULL payloads. A rejected record makes that visible.
        None => record::reject(&Error::Record { error: RecordError::NullPayload, index: None }, None),
    }
}

fn stage(text: &str) -> Result<()> {
    let is_array = text::first_byte(text) == Some(b'[');
    if !is_array {
        record::stage(std::iter::once(Ok(Raw::Text(text))), false, OnInvalid::Reject)?;
        return Ok(());
    }
    let elements = text::items(text);
    let refused = match () {
        () if !text::is_json(text) => Some((RecordError::NotJson, "text", text.len())),
        () if elements.clone().nth(MOST_RECORDS).is_some() => {
            Some((RecordError::TooMany, "array", elements.clone().count()))
        }
        () => None,
    };
    if let Some((error, kind, length)) = refused {
        return record::reject(&Error::Record { error, index: None }, record::described(kind, length).as_ref());
    }
    record::stage(elements.map(|element| Ok(Raw::Text(element))), true, OnInvalid::Reject)?;
    Ok(())
}
