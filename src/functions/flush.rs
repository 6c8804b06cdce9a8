//! `litellm_spend.flush`: waits until a fold has counted every record that was committed before the call.

use std::time::{Duration, Instant};

use litellm_spend_core::snapshot::Snapshot;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::postgres::{own_tables, pinned_settings, process, session, transaction, wait};
use crate::staging::{backlog, postponed};
use crate::worker::board;

/// The time between two looks at the cursor.
const POLL: Duration = Duration::from_millis(10);

/// Waits until every record that was committed before the call is folded. Returns false if that takes longer than
/// `timeout`.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn flush(timeout: default!(Interval, "'30 s'")) -> std::result::Result<bool, ErrorReport> {
    Ok(wait_until_folded(timeout)?)
}

fn wait_until_folded(timeout: Interval) -> Result<bool> {
    refuse_where_it_cannot_work()?;
    own_tables::lock_pending()?;
    let deadline = deadline_after(&timeout);
    let asked: Snapshot = pinned_settings::pinned(|| {
        Spi::connect(|client| {
            let text: Option<String> = client
                .select("SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text", Some(1), &[])?
                .first()
                .get(1)?;
            Ok::<_, Error>(text.unwrap_or_default().parse()?)
        })
    })?;
    let database = process::my_database();
    loop {
        if pinned_settings::pinned(|| is_folded(&asked))? {
            return Ok(true);
        }
        let left = deadline.map_or(POLL, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            tell_what_is_waited_for();
            return Ok(false);
        }
        board::request_fold(database);
        wait::for_latch(Some(POLL.min(left).max(Duration::from_millis(1))));
    }
}

/// When `timeout` ends. `None` if the timeout is longer than the clock can count, and now if it is below zero.
fn deadline_after(timeout: &Interval) -> Option<Instant> {
    let micros = u64::try_from(timeout.as_micros().max(0)).ok()?;
    Instant::now().checked_add(Duration::from_micros(micros))
}

fn refuse_where_it_cannot_work() -> Result<()> {
    if !board::is_available() {
        return Err(Error::held(
            "no worker can run: litellm_spend is not in shared_preload_libraries",
            "Run CALL litellm_spend.fold_all(), or add litellm_spend to shared_preload_libraries and restart the server.",
        ));
    }
    if session::keeps_its_snapshot() {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "litellm_spend.flush() cannot see the progress of folds at REPEATABLE READ or SERIALIZABLE",
            "Call it at READ COMMITTED.",
        ));
    }
    if session::has_written() {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "litellm_spend.flush() would wait for its own transaction, whose rows and locks a fold may need",
            "Commit first. The records of this transaction are folded after the commit.",
        ));
    }
    match own_table_lock()? {
        Some(table) => Err(Error::refused(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            format!("litellm_spend.flush() would wait for its own transaction, which has locked {table}"),
            "Commit first.",
        )),
        None => Ok(()),
    }
}

/// A table that this session has locked against writes. The lock also blocks a fold.
fn own_table_lock() -> Result<Option<String>> {
    Spi::connect(|client| {
        let found = client.select(
            "SELECT l.relation::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_locks l
             WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384
               AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')",
            Some(1),
            &[],
        )?;
        if found.is_empty() { Ok(None) } else { Ok(found.first().get(1)?) }
    })
}

/// Whether every row that `asked` sees is folded, as the cursor is now.
fn is_folded(asked: &Snapshot) -> Result<bool> {
    transaction::with_latest_snapshot(|| Ok(!backlog::exists_for(asked)? && !postponed::exists_for(asked)?))
}

fn tell_what_is_waited_for() {
    if let Some(error) = board::state_of_this_database().last_error {
        notice!("litellm_spend.flush() ran out of time: {error}");
    }
}
