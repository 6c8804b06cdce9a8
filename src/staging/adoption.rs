//! `litellm_spend.adopt`: takes over rows that were staged in another cluster and came here with a restored dump,
//! pg_upgrade or a subscription (invariant 12). Their transaction ids mean nothing here. But together with the other
//! cluster's cursor, which came with them, they show which rows were pending. The pending rows are staged again in the
//! caller's transaction. The other cluster's cursor moves past all its rows, so nothing is taken over twice and
//! rotation may truncate the rows. Somebody must call this function, because the extension cannot tell a subscriber, a
//! copy of a live database or an unfinished restore from a finished one.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::{cluster_id, cursor};
use crate::error::{Error, Result};
use crate::postgres::own_tables::{self, SEGMENTS};
use crate::postgres::pinned_settings;
use crate::staging;
use crate::worker::wake;

/// Condition for rows `s` of another origin that the other origin's cursor `c` has not consumed.
const PENDING: &str = "s.origin <> $1 AND (c.origin IS NULL
    OR NOT pg_catalog.pg_visible_in_snapshot(s.xid, c.folded_through)
       AND NOT coalesce(pg_catalog.pg_visible_in_snapshot(s.xid, c.open_window)
                        AND (s.xid, s.seq) <= (c.position_xid, c.position_seq), false))";

/// The limit of a count, and the most rows of other origins that it reads in each segment. It keeps a poll of `status`
/// cheap whatever the backlog.
const LOOKED_AT: i64 = 100_000;

/// Stages again, in the caller's transaction, the rows that were pending in the cluster that they came from. Returns
/// how many rows it staged.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn adopt() -> std::result::Result<i64, ErrorReport> {
    let rows = pinned_settings::pinned(|| -> Result<usize> {
        own_tables::lock_patiently()?;
        Spi::connect_mut(|client| {
            refuse_while_rows_arrive(client)?;
            // The lock on the cursor makes adoptions take turns too.
            cursor::Cursor::lock(client)?;
            take_over(client)
        })
    })?;
    if rows > 0 {
        wake::at_commit();
    }
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// Returns how many rows of other origins wait for `adopt`, counted up to 100,000.
#[pg_extern(stable, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
pub fn foreign_rows() -> std::result::Result<i64, ErrorReport> {
    own_tables::lock_pending()?;
    Ok(pinned_settings::pinned(|| Spi::connect(count_foreign))?)
}

fn count_foreign(client: &SpiClient) -> Result<i64> {
    let head = |segment, other| {
        format!(
            "(SELECT origin, xid, seq FROM litellm_spend.staging_{segment} WHERE origin {other} $1 LIMIT {LOOKED_AT})"
        )
    };
    // The query reads two index ranges, so it does not read the rows of this database.
    let heads: Vec<String> = (0..SEGMENTS).flat_map(|segment| ["<", ">"].map(|other| head(segment, other))).collect();
    let query = format!(
        "SELECT least(pg_catalog.count(*) + (SELECT pg_catalog.count(*) FROM (
                          SELECT FROM litellm_spend.postponed AS p WHERE p.origin <> $1 LIMIT {LOOKED_AT}) AS p),
                      {LOOKED_AT})
         FROM ({}) AS s LEFT JOIN litellm_spend.fold_cursor c USING (origin) WHERE {PENDING}",
        heads.join(" UNION ALL ")
    );
    let found = client.select(&query, Some(1), &[cluster_id::this_database().into()])?;
    Ok(found.first().get(1)?.unwrap_or(0))
}

/// Fails while rows of another cluster still arrive. A later row of a transaction that the moved cursor already sees
/// would be lost.
fn refuse_while_rows_arrive(client: &mut SpiClient) -> Result<()> {
    let found = client.update(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                        WHERE a.datname = pg_catalog.current_database() AND a.application_name = 'pg_restore'),
                EXISTS (SELECT FROM pg_catalog.pg_subscription s
                        JOIN pg_catalog.pg_subscription_rel r ON r.srsubid = s.oid
                        JOIN pg_catalog.pg_class t ON t.oid = r.srrelid
                        WHERE s.subenabled AND t.relnamespace = 'litellm_spend'::pg_catalog.regnamespace)",
        Some(1),
        &[],
    )?;
    let row = found.first();
    if row.get(1)? == Some(true) {
        return Err(Error::held(
            "pg_restore is running in this database",
            "Call litellm_spend.adopt() when the restore is complete.",
        ));
    }
    if row.get(2)? == Some(true) {
        return Err(Error::held(
            "an enabled subscription writes the tables of litellm_spend",
            "Run DROP SUBSCRIPTION first if this database replaces the publisher. Until then the publisher folds these rows.",
        ));
    }
    Ok(())
}

/// Stages the pending rows again and moves the cursor in one statement, which has one snapshot. So the cursor never
/// moves past a row that was not staged again.
fn take_over(client: &mut SpiClient) -> Result<usize> {
    let (segment, _) = staging::open_segment()?;
    let first_row = staging::reserve_rows(0)?;
    let statement = format!(
        "WITH passed AS (
             INSERT INTO litellm_spend.fold_cursor AS c (origin, folded_through)
             SELECT e.origin, pg_catalog.format('%1$s:%1$s:', e.xmax)::pg_catalog.pg_snapshot
             FROM (SELECT s.origin, greatest(pg_catalog.max(s.xid)::pg_catalog.text::pg_catalog.numeric + 1,
                              pg_catalog.max(pg_catalog.pg_snapshot_xmax(o.folded_through))
                                  ::pg_catalog.text::pg_catalog.numeric)
                   FROM litellm_spend.staging s LEFT JOIN litellm_spend.fold_cursor o USING (origin)
                   WHERE s.origin <> $1 GROUP BY s.origin) AS e (origin, xmax)
             ON CONFLICT (origin) DO UPDATE
             SET folded_through = EXCLUDED.folded_through, open_window = NULL, position_xid = NULL, position_seq = NULL
         ), postponed AS (
             DELETE FROM litellm_spend.postponed AS p WHERE p.origin <> $1 RETURNING p.staged_at, p.payload
         ), pending AS (
             SELECT s.staged_at, s.payload
             FROM litellm_spend.staging s LEFT JOIN litellm_spend.fold_cursor c USING (origin)
             WHERE {PENDING}
             UNION ALL SELECT p.staged_at, p.payload FROM postponed AS p
         )
         INSERT INTO litellm_spend.staging_{segment} (origin, staged_at, seq, payload)
         SELECT $1, p.staged_at, $2 + (pg_catalog.row_number() OVER () - 1)::pg_catalog.int4, p.payload
         FROM pending AS p"
    );
    let staged = client.update(&statement, None, &[cluster_id::this_database().into(), first_row.into()])?.len();
    staging::reserve_rows(staged)?;
    Ok(staged)
}
