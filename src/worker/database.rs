//! The worker of one database. It folds when the board says that something has committed, and leaves when `step` says
//! so.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use litellm_spend_core::pace::FoldedBy;
use litellm_spend_core::step::{Next, State, Step};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;

use super::reports::Reports;
use super::{board, next};
use crate::error::Result;
use crate::failpoint;
use crate::fold::isolate::{fuse, postponed_walk};
use crate::fold::{self, pass};
use crate::postgres::failure::Failure;
use crate::postgres::own_tables::{self, Lock};
use crate::postgres::{lock_holders, pinned_settings, process, session, signals, transaction};
use crate::staging::{backlog, postponed, rotation};

const ACTIVITY: &CStr = c"litellm_spend fold";

/// The worker's entry point. The argument is the database's oid.
///
/// # Safety
/// Only the postmaster may call this, in a new background worker.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn litellm_spend_worker(argument: pg_sys::Datum) {
    // The launcher passes an oid.
    let database = u32::try_from(argument.value()).map_or(pg_sys::InvalidOid, pg_sys::Oid::from);
    signals::attach();
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    if !board::attach_worker(database) {
        return;
    }
    process::at_exit(leave_board);
    session::report_name(c"litellm_spend worker");
    pinned_settings::pin_worker();
    serve(database);
}

/// Runs when the process ends, for whatever reason.
fn leave_board(exit_code: i32) {
    fuse::forget_at_exit();
    board::detach_worker(process::my_database(), exit_code == 0);
}

fn serve(database: pg_sys::Oid) {
    let clock = Instant::now();
    let mut state = State::new(clock.elapsed());
    let mut reports = Reports::new(database);
    let (mut last_refusal, mut has_retried) = (None, false);
    loop {
        board::take_wanted(database);
        session::report_activity(true, ACTIVITY);
        let outcome = look(database, has_retried && !fuse::is_careful(), &mut last_refusal);
        has_retried = matches!(outcome, Ok(Step::Retried)) && !has_retried;
        session::report_activity(false, ACTIVITY);
        let mut after = |step| state.after(step, clock.elapsed(), &next::settings(), board::give_way);
        let next = match after(reported(outcome, database, &mut reports)) {
            Next::NameHolders => {
                let holders = transaction::run(name_lock_holders).map(|()| Step::StillBusy);
                after(reported(holders, database, &mut reports))
            }
            next => next,
        };
        if !next::carry_out(next, database) {
            return;
        }
    }
}

/// Reports a step to the log, the board and the fuse.
fn reported(outcome: std::result::Result<Step, Failure>, database: pg_sys::Oid, reports: &mut Reports) -> Step {
    match outcome {
        Ok(Step::Folded { more, took }) => {
            fuse::note_is_gone();
            failpoint::reach("after_commit");
            reports.tell_of_success();
            reports.tell_what_is_held();
            Step::Folded { more, took }
        }
        Ok(Step::Armed) => {
            board::note_fuse_armed(database);
            Step::Armed
        }
        Ok(Step::Noted) => {
            fuse::note_is_committed();
            Step::Noted
        }
        Ok(Step::Retried) => {
            fuse::forget();
            reports.tell_what_is_held();
            Step::Retried
        }
        Ok(Step::Idle { has_prepared, truncate_in, retry_in }) => {
            reports.tell_of_success();
            reports.tell_what_is_held();
            let is_noted = board::take_prepared(database);
            Step::Idle { has_prepared: has_prepared || is_noted, truncate_in, retry_in }
        }
        Ok(step @ (Step::NotInstalled | Step::Busy { .. } | Step::StillBusy | Step::Failed { .. })) => step,
        Err(failure) => {
            fuse::forget();
            Step::Failed { retry_in: reports.tell_of_failure(&failure) }
        }
    }
}

/// Fails if another session blocks the extension's own tables.
fn name_lock_holders() -> Result<()> {
    lock_holders::of_own_tables()?.map_or(Ok(()), Err)
}

/// Folds if there is something to fold, and takes care of staging once nothing is left.
fn look(
    database: pg_sys::Oid,
    has_retried: bool,
    last_refusal: &mut Option<Failure>,
) -> std::result::Result<Step, Failure> {
    let begun = Instant::now();
    match transaction::run(|| fold(database, has_retried))? {
        Step::Idle { has_prepared, retry_in, .. } => {
            Ok(Step::Idle { has_prepared, truncate_in: keep_staging(last_refusal, true), retry_in })
        }
        Step::Folded { more, .. } => {
            // Staging is cared for here too, because under a steady load there is always something to fold.
            if !more {
                keep_staging(last_refusal, false);
            }
            Ok(Step::Folded { more, took: begun.elapsed() })
        }
        other => Ok(other),
    }
}

/// Runs one transaction of the worker. `has_retried` says whether the previous transaction has tried postponed records.
fn fold(database: pg_sys::Oid, has_retried: bool) -> Result<Step> {
    // This lock comes first. Nothing in the database is read before it.
    match own_tables::lock() {
        Lock::NotInstalled => return Ok(Step::NotInstalled),
        Lock::Busy(_) => return Ok(Step::Busy { is_failing: board::is_failing(database) }),
        Lock::Taken => {}
    }
    let (is_postponed, is_pending) = (postponed::exists()?, backlog::exists()?);
    if (is_postponed || is_pending) && !board::is_fuse_armed(database) {
        fuse::arm(board::made_at())?;
        return Ok(Step::Armed);
    }
    if (is_postponed && postponed_walk::next().is_some() || is_pending) && fuse::wants_note() {
        let has_rejected = fuse::note_next()?;
        return Ok(if has_rejected { folded(true) } else { Step::Noted });
    }
    // Postponed and new records take turns, so many postponed records do not delay the new ones.
    let has_had_its_turn = is_pending && has_retried;
    if fuse::lets_fold(true) && !has_had_its_turn && pass::retry_postponed(is_postponed, FoldedBy::Worker)?.is_some() {
        return Ok(Step::Retried);
    }
    if is_pending && fuse::lets_fold(false) {
        let folded_rows = pass::fold_once(FoldedBy::Worker)?;
        if folded_rows.rows == 0 && folded_rows.more {
            return Ok(Step::Retried);
        }
        failpoint::reach("before_commit");
        return Ok(folded(folded_rows.more));
    }
    if !fold::version::is_known()? {
        return Ok(Step::Idle { has_prepared: false, truncate_in: None, retry_in: None });
    }
    Ok(Step::Idle {
        has_prepared: rotation::prepared_transactions_hold_rows()?,
        truncate_in: None,
        retry_in: pass::next_retry()?,
    })
}

/// A step that has folded. The caller measures the time, because the time includes the commit.
fn folded(more: bool) -> Step {
    Step::Folded { more, took: Duration::ZERO }
}

/// Gives staging space back in its own transaction, so a failure here undoes no fold. Returns to an idle worker when
/// the next truncation is due.
fn keep_staging(last_refusal: &mut Option<Failure>, is_idle: bool) -> Option<Duration> {
    let kept = transaction::run(|| match own_tables::lock() {
        Lock::Taken if fold::version::is_known()? => {
            let refusal = rotation::keep_staging()?;
            Ok((refusal, if is_idle { rotation::next_truncation()? } else { None }))
        }
        _ => Ok((None, None)),
    });
    // A failure is retried like a truncation that another session's lock has delayed.
    let (refusal, truncate_in) = kept.unwrap_or_else(|failure| (Some(failure), Some(Duration::ZERO)));
    // The same failure is logged once, not at every retry.
    if refusal != *last_refusal {
        refusal.iter().for_each(rotation::warn);
        *last_refusal = refusal;
    }
    truncate_in
}
