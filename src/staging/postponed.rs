//! `litellm_spend.postponed`: staged rows that a fold has consumed but not counted, because they need a row that
//! another session holds (invariant 7). The fold that counts such a row deletes it.

use litellm_spend_core::snapshot::Snapshot;
use litellm_spend_core::snapshot::window::Position;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::{self, Batch, Row};
use super::cluster_id;
use super::room::Room;
use crate::error::{Error, Result};
use crate::postgres::jsonb::Toasted;
use crate::postgres::own_tables::Relation;
use crate::postgres::plans;

/// The most rows that are postponed. If there would be more, the fold is held and the rows stay in staging.
const MOST: i64 = 100_000;
/// The number of rows from which most of a batch may not be postponed. If at least this many rows, and more than half
/// of the batch, need what another session holds, they stay in staging too.
const MANY: usize = 500;

/// Whether any row of this database is postponed.
pub fn exists() -> Result<bool> {
    // The SQL objects of another version may lack the table. The module `version` reports that to folds.
    if Relation::Postponed.oid().is_none() {
        return Ok(false);
    }
    Spi::connect(|client| {
        let found = client.select(
            "SELECT EXISTS (SELECT FROM litellm_spend.postponed p WHERE p.origin = $1)",
            Some(1),
            &[cluster_id::this_database().into()],
        )?;
        Ok(found.first().get(1)?.unwrap_or(false))
    })
}

/// The position of the first row behind `after`. The row's payload is not read.
pub fn first(client: &mut SpiClient, after: Position) -> Result<Option<Position>> {
    batch::position_in(plans::run(
        client,
        "SELECT p.xid::pg_catalog.text, p.seq FROM litellm_spend.postponed p
         WHERE p.origin = $1 AND (p.origin, p.xid, p.seq) > ($1, $2::pg_catalog.text::pg_catalog.xid8, $3)
         ORDER BY p.origin, p.xid, p.seq LIMIT 1",
        &[cluster_id::this_database().into(), after.0.to_string().into(), after.1.into()],
    )?)
}

/// Reads the rows that follow `after`, at most `rows` rows.
pub fn read(client: &mut SpiClient, after: Position, rows: usize) -> Result<Batch> {
    let mut batch = Batch { rows: Vec::new(), is_last: true };
    let arguments: [DatumWithOid; 3] = [cluster_id::this_database().into(), after.0.to_string().into(), after.1.into()];
    let mut cursor = client.try_open_cursor_mut(
        "SELECT p.xid::pg_catalog.text, p.seq, p.payload FROM litellm_spend.postponed p
         WHERE p.origin = $1 AND (p.origin, p.xid, p.seq) > ($1, $2::pg_catalog.text::pg_catalog.xid8, $3)
         ORDER BY p.origin, p.xid, p.seq",
        &arguments,
    )?;
    let mut room = Room::of(rows);
    'batch: loop {
        let chunk = cursor.fetch(100)?;
        if chunk.is_empty() {
            break;
        }
        for row in chunk {
            let xid: Option<u64> = row.get::<String>(1)?.and_then(|xid| xid.parse().ok());
            let (seq, payload): (Option<i32>, Option<Toasted>) = (row.get(2)?, row.get(3)?);
            if let (Some(xid), Some(seq), Some(payload)) = (xid, seq, payload) {
                if room.is_full() || !room.has_room_for(&payload) {
                    batch.is_last = false;
                    break 'batch;
                }
                batch.rows.push(Row { position: (xid, seq), segment: 0, payload: room.take(&payload) });
            }
        }
    }
    room.require_memory();
    Ok(batch)
}

/// How many rows are postponed, counted up to `limit`, and when the first of them was staged.
pub fn size(limit: i64) -> Result<(i64, Option<TimestampWithTimeZone>)> {
    Spi::connect(|client| {
        let found = client.select(
            "SELECT pg_catalog.count(*), pg_catalog.min(p.staged_at)
             FROM (SELECT p.staged_at FROM litellm_spend.postponed AS p WHERE p.origin = $1 LIMIT $2) AS p",
            Some(1),
            &[cluster_id::this_database().into(), limit.into()],
        )?;
        let row = found.first();
        Ok((row.get(1)?.unwrap_or(0), row.get(2)?))
    })
}

/// Whether any postponed row is seen by `asked`.
pub fn exists_for(asked: &Snapshot) -> Result<bool> {
    Spi::connect(|client| {
        let found = client.select(
            "SELECT EXISTS (SELECT FROM litellm_spend.postponed AS p WHERE p.origin = $1
                 AND pg_catalog.pg_visible_in_snapshot(p.xid, $2::pg_catalog.text::pg_catalog.pg_snapshot))",
            Some(1),
            &[cluster_id::this_database().into(), asked.to_string().into()],
        )?;
        Ok(found.first().get(1)?.unwrap_or(false))
    })
}

/// Keeps these rows of a batch of `batch` rows as postponed. Returns false if there are too many rows to keep.
pub fn keep(client: &mut SpiClient, rows: &[&Row], batch: usize) -> Result<bool> {
    if rows.is_empty() {
        return Ok(true);
    }
    let kept = plans::run(
        client,
        "SELECT pg_catalog.count(*) FROM (SELECT FROM litellm_spend.postponed LIMIT $1) AS p",
        &[MOST.into()],
    )?;
    let kept: i64 = kept.first().get(1)?.unwrap_or(0);
    let most = rows.len() >= MANY && rows.len() > batch / 2;
    if most || kept + i64::try_from(rows.len()).unwrap_or(MOST) > MOST {
        return Ok(false);
    }
    let (xids, seqs) = positions(rows);
    let inserted = plans::run(
        client,
        "INSERT INTO litellm_spend.postponed (origin, xid, seq, staged_at, payload)
         SELECT s.origin, s.xid, s.seq, s.staged_at, s.payload
         FROM unnest($2::pg_catalog.text[], $3::pg_catalog.int4[]) AS p (xid, seq)
         JOIN litellm_spend.staging AS s ON s.xid = p.xid::pg_catalog.xid8 AND s.seq = p.seq AND s.origin = $1",
        &[cluster_id::this_database().into(), xids.into(), seqs.into()],
    )?;
    if inserted.len() == rows.len() {
        return Ok(true);
    }
    Err(Error::held(
        "litellm_spend.staging holds several rows of one transaction with one number",
        "Find what writes to the table besides litellm_spend, stop it, and delete the rows that it wrote.",
    ))
}

/// Drops postponed rows that are now counted or rejected.
pub fn drop_rows(client: &mut SpiClient, rows: &[&Row]) -> Result<()> {
    let (xids, seqs) = positions(rows);
    plans::run(
        client,
        "DELETE FROM litellm_spend.postponed AS t
         USING unnest($2::pg_catalog.text[], $3::pg_catalog.int4[]) AS p (xid, seq)
         WHERE t.origin = $1 AND t.xid = p.xid::pg_catalog.xid8 AND t.seq = p.seq",
        &[cluster_id::this_database().into(), xids.into(), seqs.into()],
    )?;
    Ok(())
}

fn positions(rows: &[&Row]) -> (Vec<String>, Vec<i32>) {
    rows.iter().map(|row| (row.position.0.to_string(), row.position.1)).unzip()
}
