//! The worker of one database: folds when the board says that something has committed, and leaves when `pace`
//! says so.

use std::time::{Duration, Instant};

use litellm_spend_core::pace::FoldedBy;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;

use super::board;
use super::step::Pace;
use crate::error::Result;
use crate::failpoint;
use crate::fold;
use crate::fold::isolate::{fuse, postponed_walk};
use crate::fold::pass;
use crate::postgres::failure::Failure;
use crate::postgres::own_tables::{self, Lock};
use crate::postgres::{pinned_settings, signals, transaction};
use crate::staging::{backlog, postponed, rotation};

/// What one look at staging came to.
enum Step {
    /// The extension is not (or no longer) installed here.
    NotInstalled,
    /// Somebody drops or alters the extension's tables.
    Busy,
    /// Rows were folded.
    Folded { more: bool },
    /// It was noted that a fold is about to begin, for the first time since the server's start.
    Armed,
    /// It was noted which row is folded next, alone.
    Noted,
    /// Records that were postponed were tried again, or a fold learned why it fails.
    Retried,
    /// There was nothing to fold.
    Idle { prepared: bool, truncate_in: Option<Duration>, retry_in: Option<Duration> },
}

/// The worker's entry point; the argument is the database's oid.
///
/// # Safety
/// Called by the postmaster in a new background worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn litellm_spend_worker(argument: pg_sys::Datum) {
    // SAFETY: the launcher passes an oid.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or(pg_sys::InvalidOid);
    signals::attach();
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    if !board::attach_worker(database) {
        return;
    }
    // SAFETY: registers a callback of this library, which stays loaded; its argument is an oid.
    unsafe {
        pg_sys::before_shmem_exit(Some(leave_board), argument);
        pg_sys::pgstat_report_appname(c"litellm_spend worker".as_ptr());
    }
    pinned_settings::pin_worker();
    serve(database);
}

#[pg_guard]
unsafe extern "C-unwind" fn leave_board(exit_code: i32, argument: pg_sys::Datum) {
    // SAFETY: the argument is the oid registered above.
    if let Some(database) = unsafe { pg_sys::Oid::from_datum(argument, false) } {
        fuse::forget_at_exit();
        board::detach_worker(database, exit_code == 0);
    }
}

fn serve(database: pg_sys::Oid) {
    let mut pace = Pace::new(database);
    let (mut last_refusal, mut has_retried) = (None, false);
    loop {
        board::take_wanted(database);
        let begun = Instant::now();
        report_activity(pg_sys::BackendState::STATE_RUNNING);
        let outcome = step(database, has_retried && !fuse::is_careful(), &mut last_refusal);
        has_retried = matches!(outcome, Ok(Step::Retried)) && !has_retried;
        report_activity(pg_sys::BackendState::STATE_IDLE);
        let goes_on = match outcome {
            Ok(Step::NotInstalled) => {
                board::clear(database);
                false
            }
            Ok(Step::Busy) => pace.wait_for_tables(),
            Ok(Step::Folded { more }) => pace.go_on(more, begun),
            Ok(Step::Armed) => {
                board::note_fuse_armed(database);
                true
            }
            Ok(Step::Noted) => {
                fuse::note_is_committed();
                true
            }
            Ok(Step::Retried) => pace.look_again(),
            Ok(Step::Idle { prepared, truncate_in, retry_in }) => pace.idle(prepared, truncate_in, retry_in),
            Err(failure) => pace.hold(&failure),
        };
        if !goes_on {
            return;
        }
    }
}

/// Shows in pg_stat_activity whether the worker folds or waits.
fn report_activity(state: pg_sys::BackendState::Type) {
    // SAFETY: reports this process; the text is static.
    unsafe { pg_sys::pgstat_report_activity(state, c"litellm_spend fold".as_ptr()) };
}

/// A fold if there is something to fold, and the upkeep of staging once nothing is left.
fn step(
    database: pg_sys::Oid,
    has_retried: bool,
    last_refusal: &mut Option<Failure>,
) -> std::result::Result<Step, Failure> {
    match transaction::run(|| fold(database, has_retried))? {
        Step::Idle { prepared, retry_in, .. } => {
            Ok(Step::Idle { prepared, truncate_in: keep_staging(last_refusal, true), retry_in })
        }
        // Here too, because under a steady load there is always something to fold.
        Step::Folded { more: false } => {
            keep_staging(last_refusal, false);
            Ok(Step::Folded { more: false })
        }
        other => Ok(other),
    }
}

/// One transaction. `has_retried` tells whether the one before it has tried postponed records.
fn fold(database: pg_sys::Oid, has_retried: bool) -> Result<Step> {
    // Nothing of the database is read before.
    match own_tables::lock() {
        Lock::NotInstalled => return Ok(Step::NotInstalled),
        Lock::Busy(_) => return Ok(Step::Busy),
        Lock::Taken => {}
    }
    let (is_postponed, is_pending) = (postponed::exists()?, backlog::exists()?);
    if (is_postponed || is_pending) && !board::is_fuse_armed(database) {
        fuse::arm(board::made_at())?;
        return Ok(Step::Armed);
    }
    if (is_postponed && postponed_walk::next().is_some() || is_pending) && fuse::wants_note() {
        let has_rejected = fuse::note_next()?;
        return Ok(if has_rejected { Step::Folded { more: true } } else { Step::Noted });
    }
    // They take turns, so that many postponed records put no other off.
    let has_had_its_turn = is_pending && has_retried;
    if fuse::lets_fold(true) && !has_had_its_turn && pass::retry_postponed(is_postponed, FoldedBy::Worker)?.is_some() {
        return Ok(Step::Retried);
    }
    if is_pending && fuse::lets_fold(false) {
        let folded = pass::fold_once(FoldedBy::Worker)?;
        if folded.rows == 0 && folded.more {
            return Ok(Step::Retried);
        }
        failpoint::reach("before_commit");
        return Ok(Step::Folded { more: folded.more });
    }
    if !fold::version::is_known()? {
        return Ok(Step::Idle { prepared: false, truncate_in: None, retry_in: None });
    }
    Ok(Step::Idle {
        prepared: rotation::prepared_transactions_hold_rows()?,
        truncate_in: None,
        retry_in: pass::next_retry()?,
    })
}

/// Gives staging space back, in a transaction of its own: a failure here undoes no fold. Tells an idle worker when
/// the next truncation is due.
fn keep_staging(last_refusal: &mut Option<Failure>, is_idle: bool) -> Option<Duration> {
    let kept = transaction::run(|| match own_tables::lock() {
        Lock::Taken if fold::version::is_known()? => {
            let refusal = rotation::keep_staging()?;
            Ok((refusal, if is_idle { rotation::next_truncation()? } else { None }))
        }
        _ => Ok((None, None)),
    });
    // A failure is tried again like a truncation that another session's lock has put off.
    let (refusal, truncate_in) = kept.unwrap_or_else(|failure| (Some(failure), Some(Duration::ZERO)));
    // The same failure is logged once, not at every retry.
    if refusal != *last_refusal {
        refusal.iter().for_each(rotation::warn);
        *last_refusal = refusal;
    }
    truncate_in
}
