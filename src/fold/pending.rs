//! Which committed rows are not folded yet, for whoever asks without folding: the worker before it takes
//! a lock, `status` and `flush`. Reads only, and takes no transaction id.

use litellm_spend_core::snapshot::Snapshot;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::cursor::Cursor;
use crate::error::Result;
use crate::origin;

/// Rows that neither `folded_through` sees nor the open window has consumed.
const UNFOLDED: &str = "SELECT s.staged_at FROM litellm_spend.staging s
    WHERE s.origin = $1 AND s.xid >= $2::pg_catalog.text::pg_catalog.xid8
      AND NOT pg_catalog.pg_visible_in_snapshot(s.xid, $3::pg_catalog.text::pg_catalog.pg_snapshot)
      AND NOT coalesce(pg_catalog.pg_visible_in_snapshot(s.xid, $4::pg_catalog.text::pg_catalog.pg_snapshot)
                       AND (s.xid, s.seq) <= ($5::pg_catalog.text::pg_catalog.xid8, $6), false)";

/// Whether any row is left. Looks at nothing that is consumed, however long a transaction runs.
pub fn exists() -> Result<bool> {
    Spi::connect(|client| {
        let cursor = Cursor::peek(client)?;
        if cursor.window.is_some() {
            return Ok(true);
        }
        let unseen: Vec<String> = cursor.through.in_progress().iter().map(u64::to_string).collect();
        let found = client.select(
            "SELECT EXISTS (SELECT FROM litellm_spend.staging s WHERE s.origin = $1
                            AND s.xid >= $2::pg_catalog.text::pg_catalog.xid8)
                 OR EXISTS (SELECT FROM litellm_spend.staging s WHERE s.origin = $1
                            AND s.xid = ANY ($3::pg_catalog.text[]::pg_catalog.xid8[]))",
            Some(1),
            &[origin::this_database().into(), cursor.through.xmax().to_string().into(), unseen.into()],
        )?;
        Ok(found.first().get(1)?.unwrap_or(false))
    })
}

/// How many rows are left, counted up to `limit`, and when the first of them was staged.
pub fn count(limit: i64) -> Result<(i64, Option<TimestampWithTimeZone>)> {
    Spi::connect(|client| {
        let mut arguments = arguments(client)?;
        arguments.push(limit.into());
        let query = format!("SELECT pg_catalog.count(*), pg_catalog.min(staged_at) FROM ({UNFOLDED} LIMIT $7) AS u");
        let row = client.select(&query, Some(1), &arguments)?.first();
        Ok((row.get::<i64>(1)?.unwrap_or(0), row.get(2)?))
    })
}

/// Whether any row is left that `asked` sees.
pub fn exists_for(asked: &Snapshot) -> Result<bool> {
    Spi::connect(|client| {
        let mut arguments = arguments(client)?;
        arguments.push(asked.to_string().into());
        let query = format!(
            "SELECT EXISTS ({UNFOLDED}
                AND pg_catalog.pg_visible_in_snapshot(s.xid, $7::pg_catalog.text::pg_catalog.pg_snapshot))"
        );
        Ok(client.select(&query, Some(1), &arguments)?.first().get(1)?.unwrap_or(false))
    })
}

fn arguments<'a>(client: &SpiClient) -> Result<Vec<DatumWithOid<'a>>> {
    let cursor = Cursor::peek(client)?;
    Ok(vec![
        origin::this_database().into(),
        cursor.through.xmin().to_string().into(),
        cursor.through.to_string().into(),
        cursor.window.map(|window| window.to_string()).into(),
        cursor.position.map(|(xid, _)| xid.to_string()).into(),
        cursor.position.map(|(_, seq)| seq).into(),
    ])
}
