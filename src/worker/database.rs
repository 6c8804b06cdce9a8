//! The worker of one database: folds when the board says that something has committed, retries with
//! backoff what fails, and exits when there has been nothing to do for a while.

use std::time::{Duration, Instant};

use litellm_spend_core::backoff::Backoff;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;

use super::{board, signals, transaction};
use crate::error::Result;
use crate::extension::{self, Lock};
use crate::failure::Failure;
use crate::fold::Patience;
use crate::{failpoint, fold, session, settings};

/// How often to look for rows of a prepared transaction, whose commit wakes nobody.
const PREPARED_POLL: Duration = Duration::from_secs(1);
/// How soon to look again when another session holds one of the extension's own tables.
const BUSY_POLL: Duration = Duration::from_millis(200);

/// How soon to try a truncation again that another session's lock has put off.
const TRUNCATION_RETRY: Duration = Duration::from_secs(10);
/// How long a worker with a backlog goes on while another database waits for a process.
const TURN: Duration = Duration::from_secs(5);

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
    session::pin_worker();
    serve(database);
}

#[pg_guard]
unsafe extern "C-unwind" fn leave_board(exit_code: i32, argument: pg_sys::Datum) {
    // SAFETY: the argument is the oid registered above.
    if let Some(database) = unsafe { pg_sys::Oid::from_datum(argument, false) } {
        fold::fuse::forget_at_exit();
        board::detach_worker(database, exit_code == 0);
    }
}

fn serve(database: pg_sys::Oid) {
    let mut backoff = Backoff::default();
    let (mut last_failure, mut last_refusal, mut told) = (None, None, None);
    let (begun, mut idle_since) = (Instant::now(), Instant::now());
    loop {
        board::take_wanted(database);
        let fold_begun = Instant::now();
        report_activity(pg_sys::BackendState::STATE_RUNNING);
        let outcome = step(database, &mut last_refusal);
        report_activity(pg_sys::BackendState::STATE_IDLE);
        match outcome {
            Ok(Step::NotInstalled) => return,
            Ok(Step::Busy) => {
                if board::give_way(database, Some(micros(BUSY_POLL))) {
                    return;
                }
                signals::wait(Some(BUSY_POLL));
            }
            Ok(Step::Folded { more }) => {
                fold::fuse::note_is_gone();
                failpoint::reach("after_commit");
                if recover(database, &mut backoff, &mut last_failure) {
                    told = None;
                }
                tell_what_is_held(database, &mut told);
                idle_since = Instant::now();
                if (!more || begun.elapsed() >= TURN) && board::give_way(database, Some(0)) {
                    return;
                }
                if more {
                    // For a reload and the postmaster's end, which a long backlog must not put off.
                    signals::wait(Some(Duration::ZERO));
                } else {
                    // What came while it folded has been collected already.
                    collect(settings::fold_interval().saturating_sub(fold_begun.elapsed()));
                }
            }
            Ok(Step::Armed) => board::note_fuse_armed(database),
            Ok(Step::Noted) => fold::fuse::note_is_committed(),
            Ok(Step::Retried) => {
                tell_what_is_held(database, &mut told);
                signals::wait(Some(Duration::ZERO));
            }
            Ok(Step::Idle { prepared, truncate_in, retry_in }) => {
                if recover(database, &mut backoff, &mut last_failure) {
                    told = None;
                }
                tell_what_is_held(database, &mut told);
                let prepared = prepared || board::take_prepared(database);
                let after_delay = |wait: Duration| if wait.is_zero() { TRUNCATION_RETRY } else { wait };
                let next_visit = if prepared { Some(PREPARED_POLL) } else { truncate_in.map(after_delay) };
                let next_visit = next_visit.into_iter().chain(retry_in).min();
                if board::give_way(database, next_visit.map(micros)) {
                    return;
                }
                let linger = settings::linger().saturating_sub(idle_since.elapsed());
                if prepared {
                    signals::wait(Some(PREPARED_POLL));
                } else if linger.is_zero() {
                    if let Some(wait) = next_visit {
                        board::visit_after(database, micros(wait));
                    }
                    if !board::is_wanted(database) {
                        return;
                    }
                } else {
                    // First, for a wait for a lock may have used up the latch of a commit.
                    if !board::is_wanted(database) {
                        signals::wait(Some(linger.min(retry_in.unwrap_or(linger))));
                    }
                    if board::is_wanted(database) {
                        collect(settings::fold_interval());
                    }
                }
            }
            Err(failure) => {
                fold::fuse::forget();
                hold(database, &failure, &mut last_failure);
                told = None;
                let wait = backoff.fail();
                if board::give_way(database, Some(micros(wait))) {
                    return;
                }
                collect(wait);
                idle_since = Instant::now();
            }
        }
    }
}

/// Shows in pg_stat_activity whether the worker folds or waits.
fn report_activity(state: pg_sys::BackendState::Type) {
    // SAFETY: reports this process; the text is static.
    unsafe { pg_sys::pgstat_report_activity(state, c"litellm_spend fold".as_ptr()) };
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Waits for the whole of `duration`, however often commits set the latch meanwhile, unless a database
/// waits for this process.
fn collect(duration: Duration) {
    let deadline = Instant::now() + duration;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || board::is_turn_wanted() {
            return;
        }
        signals::wait(Some(left));
    }
}

/// A fold if there is something to fold, and the upkeep of staging once nothing is left.
fn step(database: pg_sys::Oid, last_refusal: &mut Option<Failure>) -> std::result::Result<Step, Failure> {
    match transaction::run(|| fold(database))? {
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

/// One transaction.
fn fold(database: pg_sys::Oid) -> Result<Step> {
    // Nothing of the database is read before.
    match extension::lock() {
        Lock::NotInstalled => return Ok(Step::NotInstalled),
        Lock::Busy(_) => return Ok(Step::Busy),
        Lock::Taken => {}
    }
    session::pinned(|| {
        if !fold::fuse::is_careful() && fold::retry_postponed(Patience::Short)?.is_some() {
            return Ok(Step::Retried);
        }
        if fold::pending::exists()? {
            if !board::is_fuse_armed(database) {
                fold::fuse::arm()?;
                return Ok(Step::Armed);
            }
            if fold::fuse::wants_note() {
                return Ok(match fold::fuse::note_next()? {
                    Some(folded) => Step::Folded { more: folded.more },
                    None => Step::Noted,
                });
            }
            let folded = fold::fold_once(Patience::Short)?;
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
            prepared: fold::prepared_transactions_hold_rows()?,
            truncate_in: None,
            retry_in: fold::next_retry()?,
        })
    })
}

/// Gives staging space back, in a transaction of its own: a failure here undoes no fold. Tells an idle worker when
/// the next truncation is due.
fn keep_staging(last_refusal: &mut Option<Failure>, is_idle: bool) -> Option<Duration> {
    let kept = transaction::run(|| match extension::lock() {
        Lock::Taken if fold::version::is_known()? => session::pinned(|| {
            let refusal = fold::keep_staging()?;
            Ok((refusal, if is_idle { fold::next_truncation()? } else { None }))
        }),
        _ => Ok((None, None)),
    });
    // A failure is tried again like a truncation that another session's lock has put off.
    let (refusal, truncate_in) = kept.unwrap_or_else(|failure| (Some(failure), Some(Duration::ZERO)));
    // The same failure is logged once, not at every retry.
    if refusal != *last_refusal {
        refusal.iter().for_each(fold::warn_of_staging);
        *last_refusal = refusal;
    }
    truncate_in
}

fn hold(database: pg_sys::Oid, failure: &Failure, last: &mut Option<Failure>) {
    let text = match &failure.hint {
        Some(hint) => format!("{} (SQLSTATE {}). {hint}", failure.message, failure.sqlstate),
        None => format!("{} (SQLSTATE {})", failure.message, failure.sqlstate),
    };
    board::set_error(database, Some(&text), true);
    // The same failure is logged once, not at every retry.
    if last.as_ref() != Some(failure) {
        warning!("litellm_spend holds the fold and tries again: {text}");
        *last = Some(failure.clone());
    }
}

/// Notes that a fold did not fail; true if the one before did.
fn recover(database: pg_sys::Oid, backoff: &mut Backoff, last: &mut Option<Failure>) -> bool {
    // The error may be that of a worker that was terminated while it held the fold.
    if !backoff.is_failing() && !board::is_held(database) {
        return false;
    }
    backoff.succeed();
    board::set_error(database, None, false);
    *last = None;
    log!("litellm_spend folds again");
    true
}

/// Shows what records were postponed for, which holds no others up.
fn tell_what_is_held(database: pg_sys::Oid, told: &mut Option<String>) {
    let held = fold::held::description();
    if *told == held {
        return;
    }
    let text = held.as_ref().map(|held| format!("{held}; the records that need them are postponed (SQLSTATE 55P03)"));
    board::set_error(database, text.as_deref(), false);
    if let (None, Some(text)) = (&told, &text) {
        log!("litellm_spend: {text}");
    }
    *told = held;
}
