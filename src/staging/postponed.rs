//! `litellm_spend.postponed`: staged rows that a fold has consumed and not counted, because they need a row that
//! another session holds (invariant 7). The fold that counts such a row deletes it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use litellm_spend_core::snapshot::Snapshot;
use litellm_spend_core::snapshot::window::Position;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::batch::{self, Batch, Row};
use super::cluster_id;
use super::room::Room;
use crate::error::{Error, Result};
use crate::fold::count::Count;
use crate::fold::isolate::{contention, held, verdict};
use crate::postgres::jsonb::Toasted;
use crate::postgres::own_tables::Relation;
use crate::postgres::plans;
use crate::targets::Targets;

/// More than so many rows are not postponed: the fold is held, and rows stay in staging.
const MOST: i64 = 100_000;
/// Records of a batch that are tried for rows which other sessions are creating.
const MOST_TRIED: usize = 2;
/// From so many on, rows of which most of a batch need what is held stay in staging too.
const MANY: usize = 500;

/// Where a pass over the rows begins.
pub const BEGINNING: Position = (0, -1);
/// A pass follows another one so soon at the latest, because another session's fold may have postponed rows: where
/// nothing is known to be held, and where something is.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE_WHILE_HELD: Duration = Duration::from_secs(60);

thread_local! {
    static PASS: Cell<Pass> = const { Cell::new(Pass { after: Some(BEGINNING), has_counted: false, ended: None }) };
}

/// A walk over all rows, one batch a fold.
#[derive(Clone, Copy)]
struct Pass {
    /// The last row that it has looked at; `None` at its end.
    after: Option<Position>,
    has_counted: bool,
    ended: Option<Instant>,
}

/// Whether any row of this database is postponed.
pub fn exists() -> Result<bool> {
    // SQL objects of another version may lack the table: what folds say of that is `version`'s.
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

/// Where the pass goes on, if it is time for one.
pub fn pass() -> Option<Position> {
    if next_pass().is_zero() { PASS.get().after.or(Some(BEGINNING)) } else { None }
}

/// How long until the next pass goes on or begins by itself.
pub fn next_pass() -> Duration {
    let pass = PASS.get();
    match (pass.after, pass.ended) {
        (None, Some(ended)) => {
            let pause = if held::any() { LONGEST_PAUSE_WHILE_HELD } else { LONGEST_PAUSE };
            pause.saturating_sub(ended.elapsed())
        }
        _ => Duration::ZERO,
    }
}

/// Begins a pass over all rows.
pub fn begin_pass() {
    PASS.set(Pass { after: Some(BEGINNING), has_counted: false, ended: None });
}

/// Notes how far the pass has come (`None`: to its end) and whether it has just counted a row.
pub fn go_on(after: Option<Position>, has_counted: bool) {
    let has_counted = has_counted || PASS.get().has_counted;
    let ended = after.is_none().then(Instant::now);
    if ended.is_some() && has_counted {
        held::relax();
    }
    PASS.set(Pass { after, has_counted: has_counted && ended.is_none(), ended });
}

/// Looks which rows the next batch needs and other sessions hold, before anything is written for it.
pub fn learn_what_is_held(after: Position, rows: usize) -> Result<()> {
    let targets = Spi::connect_mut(Targets::lock)?;
    let mut count = Count::of(targets.clone());
    let batch = Spi::connect_mut(|client| {
        let batch = read(client, after, rows)?;
        count.sum_up(client, &batch.rows)?;
        Ok::<_, Error>(batch)
    })?;
    held::add(&targets, contention::held(&targets, &held::unknown(count.keys()))?.held)?;
    // A row that another session is creating cannot be seen, so the first records that seem free are tried.
    for _ in 0..MOST_TRIED {
        let Some(row) = verdict::first_free(&targets, &batch.rows)? else { break };
        if !held::add(&targets, verdict::keys_held_from(&targets, row)?)? {
            break;
        }
    }
    Ok(())
}

/// Where the first row behind `after` is; the row itself is not read.
pub fn first(client: &mut SpiClient, after: Position) -> Result<Option<Position>> {
    batch::position_in(plans::run(
        client,
        "SELECT p.xid::pg_catalog.text, p.seq FROM litellm_spend.postponed p
         WHERE p.origin = $1 AND (p.origin, p.xid, p.seq) > ($1, $2::pg_catalog.text::pg_catalog.xid8, $3)
         ORDER BY p.origin, p.xid, p.seq LIMIT 1",
        &[cluster_id::this_database().into(), after.0.to_string().into(), after.1.into()],
    )?)
}

/// Reads the next rows, no more than `rows`.
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
pub fn count(limit: i64) -> Result<(i64, Option<TimestampWithTimeZone>)> {
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

/// Whether any row is postponed that `asked` sees.
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

/// Keeps these staged rows of a batch of `batch` rows.
///
/// # Errors
/// They are too many: the fold is held.
pub fn keep(client: &mut SpiClient, rows: &[&Row], batch: usize) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let kept = plans::run(
        client,
        "SELECT pg_catalog.count(*) FROM (SELECT FROM litellm_spend.postponed LIMIT $1) AS p",
        &[MOST.into()],
    )?;
    let kept: i64 = kept.first().get(1)?.unwrap_or(0);
    let most = rows.len() >= MANY && rows.len() > batch / 2;
    if most || kept + i64::try_from(rows.len()).unwrap_or(MOST) > MOST {
        return Err(held::refusal());
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
        return Ok(());
    }
    Err(Error::held(
        "litellm_spend.staging holds several rows of one transaction with one number",
        "Look for who writes to it besides litellm_spend, and delete what they wrote.",
    ))
}

/// Drops rows that are counted, or that were rejected.
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
