//! Carries out what a worker does between two looks at staging. `litellm_spend_core::step` decides what that is.

use std::time::{Duration, Instant};

use litellm_spend_core::step::{Next, PREPARED_POLL, Settings};
use pgrx::prelude::*;

use super::board;
use crate::error::Result;
use crate::fold::pass;
use crate::postgres::own_tables::{self, Lock};
use crate::postgres::{signals, transaction};
use crate::settings;
use crate::staging::{backlog, rotation};

/// The current settings that the decision depends on.
pub fn settings() -> Settings {
    Settings {
        linger: settings::linger(),
        fold_interval: settings::fold_interval(),
        lock_timeout: settings::lock_timeout(),
    }
}

/// Waits as `next` says. Returns false if the worker must leave.
pub fn carry_out(next: Next, database: pg_sys::Oid) -> bool {
    match next {
        Next::LookAgain | Next::NameHolders => true,
        Next::Wait(duration) => {
            signals::wait(Some(duration));
            true
        }
        Next::Collect(duration) => {
            collect(duration);
            true
        }
        Next::WaitForCommit(duration) => {
            // The note on the board is read first, because a wait for a lock may already have reset the latch that a
            // commit set.
            if !board::is_wanted(database) {
                signals::wait(Some(duration));
            }
            if board::is_wanted(database) {
                collect(settings::fold_interval());
            }
            true
        }
        Next::Leave { visit_in, unless_wanted } => {
            if let Some(wait) = visit_in {
                board::visit_after(database, wait);
            }
            // If a transaction has just committed, the worker stays, unless its process is wanted elsewhere.
            unless_wanted && board::is_wanted(database)
        }
        Next::LeaveAfterFold => {
            board::visit_after(database, next_visit());
            false
        }
        Next::Forget => {
            board::clear(database);
            false
        }
    }
}

/// How long until the next visit of a database that has just been folded to its end. The search for rows comes after
/// the search for prepared transactions, because a prepared transaction may commit between the two.
fn next_visit() -> Duration {
    let later = look(|| Ok((rotation::prepared_transactions_hold_rows()?, pass::next_retry()?)));
    match (later, look(backlog::exists)) {
        (Some((has_prepared, retry_in)), Some(false)) => {
            let poll = has_prepared.then_some(PREPARED_POLL);
            poll.into_iter().chain(retry_in).fold(settings::truncate_delay(), Duration::min)
        }
        _ => Duration::ZERO,
    }
}

/// The answer to a question about the database; `None` if it cannot be answered now.
fn look<R>(question: impl FnOnce() -> Result<R>) -> Option<R> {
    transaction::run(|| match own_tables::lock() {
        Lock::Taken => question().map(Some),
        Lock::NotInstalled | Lock::Busy(_) => Ok(None),
    })
    .unwrap_or(None)
}

/// Waits for the whole of `duration`, however often commits set the latch. The wait ends early if a database waits for
/// this process.
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
