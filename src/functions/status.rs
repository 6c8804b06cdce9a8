//! The numbers of `litellm_spend.status`: the worker as shared memory shows it, and the rows that are staged but not
//! folded.

use pgrx::prelude::*;

use crate::error::Result;
use crate::postgres::{own_tables, pinned_settings};
use crate::staging::{backlog, postponed};
use crate::worker::board;

/// Counting stops at this many rows, so a poll each second stays cheap whatever the backlog.
const COUNTED_AT_MOST: i64 = 100_000;

/// Returns the number of committed rows that are not yet counted (up to 100,000), the bytes that staging takes on disk,
/// when the oldest of the rows was staged, and how many of the rows are postponed.
#[pg_extern(stable, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn backlog() -> std::result::Result<
    TableIterator<
        'static,
        (name!(rows, i64), name!(bytes, i64), name!(oldest, Option<TimestampWithTimeZone>), name!(postponed, i64)),
    >,
    pgrx::pg_sys::panic::ErrorReport,
> {
    own_tables::lock_pending()?;
    let row = pinned_settings::pinned(read_backlog)?;
    Ok(TableIterator::once(row))
}

fn read_backlog() -> Result<(i64, i64, Option<TimestampWithTimeZone>, i64)> {
    let (rows, oldest) = if backlog::exists()? { backlog::size(COUNTED_AT_MOST)? } else { (0, None) };
    let (postponed, oldest_postponed) = postponed::size(COUNTED_AT_MOST)?;
    let oldest = oldest.into_iter().chain(oldest_postponed).min();
    let bytes = Spi::connect(|client| {
        client
            .select(
                "SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(s))::pg_catalog.int8
                 FROM (VALUES ('litellm_spend.staging_0'::pg_catalog.regclass), ('litellm_spend.staging_1'),
                              ('litellm_spend.staging_2')) AS v (s)",
                Some(1),
                &[],
            )?
            .first()
            .get::<i64>(1)
    })?;
    Ok((rows + postponed, bytes.unwrap_or(0), oldest, postponed))
}

/// Returns the state of this database's worker: whether a worker can run, what it does, and why its last fold failed.
#[pg_extern(stable, parallel_unsafe, schema = "litellm_spend")]
fn worker_state() -> TableIterator<
    'static,
    (
        name!(preloaded, bool),
        name!(worker, &'static str),
        name!(worker_pid, Option<i32>),
        name!(last_error, Option<String>),
        name!(last_error_at, Option<TimestampWithTimeZone>),
    ),
> {
    let state = board::state_of_this_database();
    TableIterator::once((state.preloaded, state.worker, state.pid, state.last_error, state.last_error_at))
}
