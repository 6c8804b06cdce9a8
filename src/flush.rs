//! `litellm_spend.flush`: waits until all that had committed before the call is folded.

use std::time::{Duration, Instant};

use litellm_spend_core::snapshot::Snapshot;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::worker::board;
use crate::{origin, session};

/// How often the cursor is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Waits until everything that had committed before the call is folded; false if that takes longer
/// than `timeout`.
#[pg_extern(volatile, parallel_unsafe, schema = "litellm_spend")]
fn flush(timeout: default!(Interval, "'30 s'")) -> std::result::Result<bool, ErrorReport> {
    Ok(wait_until_folded(timeout)?)
}

fn wait_until_folded(timeout: Interval) -> Result<bool> {
    refuse_where_it_cannot_work()?;
    let deadline = Instant::now() + Duration::from_micros(u64::try_from(timeout.as_micros()).unwrap_or(0));
    let asked: Snapshot = session::pinned(|| {
        Spi::connect(|client| {
            let text: Option<String> = client
                .select("SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text", Some(1), &[])?
                .first()
                .get(1)?;
            Ok::<_, Error>(text.unwrap_or_default().parse()?)
        })
    })?;
    // SAFETY: the session's database is set before any function can run in it.
    let database = unsafe { pg_sys::MyDatabaseId };
    loop {
        if session::pinned(|| is_folded(&asked))? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        board::request_fold(database);
        wait(POLL.min(deadline.saturating_duration_since(Instant::now())));
    }
}

fn refuse_where_it_cannot_work() -> Result<()> {
    if !board::is_available() {
        return Err(Error::held(
            "no worker can run: litellm_spend is not in shared_preload_libraries",
            "Call litellm_spend.fold(), or add litellm_spend to shared_preload_libraries and restart the server.",
        ));
    }
    // SAFETY: reads this session's transaction state.
    let (isolation, xid) = unsafe { (pg_sys::XactIsoLevel, pg_sys::GetTopTransactionIdIfAny()) };
    if isolation >= pg_sys::XACT_REPEATABLE_READ as i32 {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "litellm_spend.flush() cannot see the progress of folds at REPEATABLE READ or SERIALIZABLE",
            "Call it at READ COMMITTED.",
        ));
    }
    if xid != pg_sys::InvalidTransactionId {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "litellm_spend.flush() would wait for its own transaction, whose rows and locks a fold may need",
            "Commit first; what this transaction has recorded is folded after that.",
        ));
    }
    Ok(())
}

/// Whether no row that `asked` sees is left to fold.
fn is_folded(asked: &Snapshot) -> Result<bool> {
    let query = "SELECT EXISTS (
            SELECT FROM litellm_spend.staging s
            LEFT JOIN litellm_spend.fold_cursor c ON c.origin = $1
            WHERE s.origin = $1 AND s.xid < $2::pg_catalog.text::pg_catalog.xid8
              AND pg_catalog.pg_visible_in_snapshot(s.xid, $3::pg_catalog.text::pg_catalog.pg_snapshot)
              AND (c.origin IS NULL
                   OR s.xid >= pg_catalog.pg_snapshot_xmin(c.folded_through)
                      AND NOT pg_catalog.pg_visible_in_snapshot(s.xid, c.folded_through)
                      AND NOT (c.position_xid IS NOT NULL AND (s.xid, s.seq) <= (c.position_xid, c.position_seq))))";
    crate::worker::transaction::with_latest_snapshot(|| {
        Spi::connect(|client| {
            let arguments = [origin::this_database().into(), asked.xmax().to_string().into(), asked.to_string().into()];
            Ok(client.select(query, Some(1), &arguments)?.first().get::<bool>(1)? == Some(false))
        })
    })
}

/// Sleeps, but lets a cancel or a shutdown through.
fn wait(duration: Duration) {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1);
    // SAFETY: waits on this process's own latch; interrupts are served at a safe place.
    unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, millis, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}
