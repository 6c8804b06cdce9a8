//! Writes the rows of a staging segment: directly (`segment_insert`), or by SQL where the segment does not have the
//! shape that this version creates. The shape differs if somebody added an index or a trigger, or if the SQL objects
//! and the library have different versions.

use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::postgres::jsonb::Jsonb;
use crate::postgres::plans;
use crate::postgres::segment_insert::{self, Common};

/// Inserts a row for each payload, which is a jsonb container. The caller holds a lock on the segment.
///
/// # Errors
/// This fails if the segment refuses a row.
pub fn insert((number, segment): (usize, pg_sys::Oid), common: &Common, payloads: &[&[u8]]) -> Result<()> {
    if segment_insert::insert(segment, common, payloads) { Ok(()) } else { insert_by_sql(number, common, payloads) }
}

/// Inserts the rows by SQL. A row that is missing afterwards would be a lost record, so a skipped row is an error.
fn insert_by_sql(segment: usize, common: &Common, payloads: &[&[u8]]) -> Result<()> {
    let statement = format!(
        "INSERT INTO litellm_spend.staging_{segment} (xid, origin, staged_at, seq, payload)
         VALUES ($1::pg_catalog.text::pg_catalog.xid8, $2, pg_catalog.clock_timestamp(), $3, $4)"
    );
    Spi::connect_mut(|client| {
        for (row, payload) in (common.first_row..).zip(payloads) {
            let payload = Jsonb::from_container(payload);
            let arguments = [common.xid.to_string().into(), common.origin.into(), row.into(), payload.into()];
            if plans::run(client, &statement, &arguments)?.len() != 1 {
                return Err(Error::held(
                    format!("litellm_spend.staging_{segment} did not take a spend record"),
                    "Drop the trigger or rule on that table that skips rows.",
                ));
            }
        }
        Ok(())
    })
}
