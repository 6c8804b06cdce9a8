//! `litellm_spend.retry_rejected`: moves records from `litellm_spend.rejected` back to staging once they can be
//! counted, after an upgrade or after somebody fixed what refused them in the database.

use litellm_spend_core::json::raw::Raw;
use litellm_spend_core::jsonb as jsonb_format;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::Result;
use crate::postgres::jsonb::{Jsonb, Toasted};
use crate::postgres::own_tables::Relation;
use crate::postgres::session;
use crate::worker::wake;
use crate::{record, settings, staging};

/// Rows that one statement looks at. It takes fewer when their payloads reach `litellm_spend.batch_size`.
const AT_ONCE: i64 = 1_000;

/// Stages the rejected records that can be counted now and deletes them from `litellm_spend.rejected`, in the caller's
/// transaction. Without `ids` it tries all records except those that have ended the server. Records that still cannot
/// be counted stay as they are. Returns how many records were staged.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn retry_rejected(ids: default!(Option<Vec<Option<i64>>>, "NULL")) -> std::result::Result<i64, ErrorReport> {
    session::require_writes(c"litellm_spend.retry_rejected()");
    Relation::Rejected.lock_and_wait(pg_sys::RowExclusiveLock)?;
    let (mut after, mut staged) = (0, 0);
    while let Some(last) = retry_some(ids.as_ref(), after, &mut staged)? {
        after = last;
    }
    if staged > 0 {
        wake::at_commit();
    }
    Ok(staged)
}

/// Retries the next rows above the id `after`. Returns the last id that was read, or `None` if there was none.
fn retry_some(ids: Option<&Vec<Option<i64>>>, after: i64, staged: &mut i64) -> Result<Option<i64>> {
    let (mut last, mut good, mut records) = (None, Vec::new(), Vec::new());
    let mut room = settings::batch_bytes();
    Spi::connect_mut(|client| -> Result<()> {
        // The rows are locked, so if two sessions call this at once, one stages a record and the other no longer finds
        // it.
        let rows = client.update(
            "SELECT id, payload FROM litellm_spend.rejected
             WHERE id > $1 AND payload IS NOT NULL
               AND CASE WHEN $2 IS NULL THEN sqlstate <> 'XX000' ELSE id = ANY ($2) END
             ORDER BY id LIMIT $3 FOR UPDATE",
            None,
            &[after.into(), ids.cloned().into(), AT_ONCE.into()],
        )?;
        for row in rows {
            let (Some(id), Some(payload)) = (row.get::<i64>(1)?, row.get::<Toasted>(2)?) else { continue };
            if last.is_some() && payload.bytes() > room {
                break;
            }
            room = room.saturating_sub(payload.bytes());
            last = Some(id);
            if let Some(record) = as_record(&payload.detoast()) {
                good.push(id);
                records.push(record);
            }
        }
        Ok(())
    })?;
    if !records.is_empty() {
        *staged += i64::try_from(records.len()).unwrap_or(i64::MAX);
        staging::insert(&records.iter().map(Jsonb::bytes).collect::<Vec<_>>())?;
        Spi::connect_mut(|client| {
            client.update("DELETE FROM litellm_spend.rejected WHERE id = ANY ($1)", None, &[good.into()]).map(|_| ())
        })?;
    }
    Ok(last)
}

/// The payload in the form in which `litellm_record_spend` would stage it; `None` if `litellm_record_spend` would
/// refuse it.
fn as_record(payload: &[u8]) -> Option<Jsonb> {
    let (mut elements, is_array) = jsonb_format::elements(payload).ok()?;
    if is_array {
        return None;
    }
    let stored = record::accept(Raw::Jsonb(elements.next()?.ok()?)).ok()?;
    Some(Jsonb::from_container(stored.bytes()))
}
