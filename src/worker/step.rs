//! What a worker does between two looks at staging: it collects commits, lingers, retries with backoff what
//! failed, or leaves (invariants 11 and 16).

use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::board;
use crate::error::Result;
use crate::fold::isolate::{fuse, held};
use crate::fold::pass;
use crate::postgres::failure::Failure;
use crate::postgres::own_tables::{self, Lock};
use crate::postgres::{lock_holders, signals, transaction};
use crate::staging::{backlog, rotation};
use crate::{failpoint, settings};

/// How often to look for rows of a prepared transaction, whose commit wakes nobody.
const PREPARED_POLL: Duration = Duration::from_secs(1);
/// How soon to look again when another session holds one of the extension's own tables.
const BUSY_POLL: Duration = Duration::from_millis(200);

/// How soon to try a truncation again that another session's lock has put off.
const TRUNCATION_RETRY: Duration = Duration::from_secs(10);
/// How long a worker with a backlog goes on while another database waits for a process.
const TURN: Duration = Duration::from_secs(5);

/// Decides after each look at staging what to wait for. A method is false when the worker is to leave.
pub struct Pace {
    database: pg_sys::Oid,
    begun: Instant,
    /// When it last folded something; a visit that finds nothing does not linger.
    folded_at: Option<Instant>,
    /// Since when another session has kept the extension's own tables.
    busy_since: Option<Instant>,
    /// Whether the last look found neither rows nor a prepared transaction.
    found_nothing: bool,
    /// What it has told of records that are postponed; at first, what a worker before it has told is unknown.
    told: Option<Option<String>>,
}

impl Pace {
    pub fn new(database: pg_sys::Oid) -> Self {
        Pace { database, begun: Instant::now(), folded_at: None, busy_since: None, found_nothing: false, told: None }
    }

    pub fn go_on(&mut self, more: bool, fold_begun: Instant) -> bool {
        fuse::note_is_gone();
        failpoint::reach("after_commit");
        self.recover();
        self.tell_what_is_held();
        self.found_nothing = false;
        self.folded_at = Some(Instant::now());
        if (!more || self.begun.elapsed() >= TURN) && board::give_way() {
            board::visit_after(self.database, if more { Duration::ZERO } else { next_visit() });
            return false;
        }
        if more {
            // For a reload and the postmaster's end, which a long backlog must not put off.
            signals::wait(Some(Duration::ZERO));
        } else {
            // What came while it folded has been collected already.
            collect(settings::fold_interval().saturating_sub(fold_begun.elapsed()));
        }
        true
    }

    /// After records that were postponed have been tried again.
    pub fn look_again(&mut self) -> bool {
        fuse::forget();
        self.tell_what_is_held();
        self.found_nothing = false;
        self.folded_at = Some(Instant::now());
        signals::wait(Some(Duration::ZERO));
        true
    }

    pub fn idle(&mut self, prepared: bool, truncate_in: Option<Duration>, retry_in: Option<Duration>) -> bool {
        self.recover();
        self.tell_what_is_held();
        let is_noted = board::take_prepared(self.database);
        let has_prepared = prepared || is_noted;
        let after_delay = |wait: Duration| if wait.is_zero() { TRUNCATION_RETRY } else { wait };
        let next_visit = if has_prepared { Some(PREPARED_POLL) } else { truncate_in.map(after_delay) };
        let next_visit = next_visit.into_iter().chain(retry_in).min();
        let lingered = self.folded_at.map_or(settings::linger(), |at| at.elapsed());
        let linger = settings::linger().saturating_sub(lingered);
        let has_lingered = !has_prepared && linger.is_zero();
        // A prepared transaction may have committed between the look for rows and that for it: a second look sees
        // its rows.
        let found_nothing = !has_prepared;
        if !std::mem::replace(&mut self.found_nothing, found_nothing) && found_nothing {
            return true;
        }
        if has_lingered || board::give_way() {
            if let Some(wait) = next_visit {
                board::visit_after(self.database, wait);
            }
            // For a commit of this moment the worker stays, unless its process is wanted.
            return has_lingered && board::is_wanted(self.database);
        }
        if has_prepared {
            signals::wait(next_visit);
            return true;
        }
        // First, for a wait for a lock may have used up the latch of a commit.
        if !board::is_wanted(self.database) {
            signals::wait(Some(linger.min(retry_in.unwrap_or(linger))));
        }
        if board::is_wanted(self.database) {
            collect(settings::fold_interval());
        }
        true
    }

    /// Waits for the extension's own tables, and holds the fold once that takes longer than
    /// `litellm_spend.lock_timeout`.
    pub fn wait_for_tables(&mut self) -> bool {
        let since = *self.busy_since.get_or_insert_with(Instant::now);
        if (board::is_failing(self.database) || since.elapsed() >= settings::lock_timeout())
            && let Err(failure) = transaction::run(name_lock_holders)
        {
            return self.hold(&failure);
        }
        if board::give_way() {
            board::visit_after(self.database, BUSY_POLL);
            return false;
        }
        signals::wait(Some(BUSY_POLL));
        true
    }

    /// Waits for the next try: outside of the database if that is far away, so that nobody who drops it waits.
    pub fn hold(&mut self, failure: &Failure) -> bool {
        fuse::forget();
        let text = match &failure.hint {
            Some(hint) => format!("{} (SQLSTATE {}). {hint}", failure.message, failure.sqlstate),
            None => format!("{} (SQLSTATE {})", failure.message, failure.sqlstate),
        };
        let (wait, is_news) = board::note_failure(self.database, &text);
        self.told = None;
        // The same failure is logged once, not at every retry.
        if is_news {
            warning!("litellm_spend holds the fold and tries again: {text}");
        }
        if wait > settings::linger() || board::give_way() {
            return false;
        }
        collect(wait);
        self.folded_at = Some(Instant::now());
        true
    }

    fn recover(&mut self) {
        self.busy_since = None;
        // The error may be that of a worker that was here before.
        if board::is_failing(self.database) && board::note_success(self.database) {
            log!("litellm_spend folds again");
            self.told = None;
        }
    }

    /// Shows what records were postponed for, which holds no others up.
    fn tell_what_is_held(&mut self) {
        let held = held::description();
        if self.told.as_ref() == Some(&held) {
            return;
        }
        let text =
            held.as_ref().map(|held| format!("{held}; the records that need them are postponed (SQLSTATE 55P03)"));
        let is_news = board::note_postponed(self.database, text.as_deref());
        if let Some(text) = text.filter(|_| is_news) {
            log!("litellm_spend: {text}");
        }
        self.told = Some(held);
    }
}

/// When a database that has just been folded to its end is to be visited again. As in `Pace::idle`, a look for
/// rows comes after that for prepared transactions.
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

/// The answer to a question about the database; `None` where there is none now.
fn look<R>(question: impl FnOnce() -> Result<R>) -> Option<R> {
    transaction::run(|| match own_tables::lock() {
        Lock::Taken => question().map(Some),
        Lock::NotInstalled | Lock::Busy(_) => Ok(None),
    })
    .unwrap_or(None)
}

/// Fails if somebody is in the way of the extension's own tables.
fn name_lock_holders() -> Result<()> {
    lock_holders::of_own_tables()?.map_or(Ok(()), Err)
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
