//! What a worker does after each look at staging: it looks again, lets commits collect, waits, or leaves its database
//! (invariants 11 and 16). Times are counted from any fixed moment.

use std::time::Duration;

/// How often to look for rows of a prepared transaction. The commit of one wakes no worker.
pub const PREPARED_POLL: Duration = Duration::from_secs(1);
/// How soon to look again if another session holds one of the extension's own tables.
pub const BUSY_POLL: Duration = Duration::from_millis(200);
/// How soon to try a truncation again that failed because another session holds a lock.
const TRUNCATION_RETRY: Duration = Duration::from_secs(10);
/// How long a worker with a backlog goes on while another database waits for a process.
const TURN: Duration = Duration::from_secs(5);

/// The result of one look at staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The extension is not installed in the database, or no longer.
    NotInstalled,
    /// Another session drops or alters the extension's tables. `is_failing` tells whether the fold was held before.
    Busy { is_failing: bool },
    /// Another session drops or alters the extension's tables, and the worker found no session that holds them.
    StillBusy,
    /// Rows were folded, in a transaction that took `took`. `more` tells whether more rows wait.
    Folded { more: bool, took: Duration },
    /// A note is stored that a fold is about to begin, for the first time since the server's start.
    Armed,
    /// A note is stored which row is folded next, alone.
    Noted,
    /// Postponed records were tried again, or the worker learned why a fold fails.
    Retried,
    /// There was nothing to fold.
    Idle {
        /// Whether a prepared transaction holds rows.
        has_prepared: bool,
        /// The time until the next truncation; zero if a lock has put it off, `None` if none is due.
        truncate_in: Option<Duration>,
        /// The time until postponed records are tried again; `None` if there are none.
        retry_in: Option<Duration>,
    },
    /// The fold failed and is held. It is tried again after `retry_in`.
    Failed { retry_in: Duration },
}

/// The next action of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Look again at once.
    LookAgain,
    /// Serve signals and wait for at most this long, then look again.
    Wait(Duration),
    /// Let commits collect for this long, unless another database waits for this process; then look again.
    Collect(Duration),
    /// Wait for a commit for at most this long. If one comes, let more of them collect.
    WaitForCommit(Duration),
    /// Find out which session holds the extension's tables.
    NameHolders,
    /// Leave the database, and visit it again after `visit_in` if that is given. If `unless_wanted` is set and
    /// something has committed meanwhile, stay.
    Leave { visit_in: Option<Duration>, unless_wanted: bool },
    /// Leave the database, and visit it again when the work that is left in it needs that.
    LeaveAfterFold,
    /// Leave the database, because there is nothing to do in it.
    Forget,
}

/// The settings that decide the next action.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long an idle worker stays: `litellm_spend.linger`.
    pub linger: Duration,
    /// How long commits collect before they are folded: `litellm_spend.fold_interval`.
    pub fold_interval: Duration,
    /// How long tables may stay locked before their holders are named: `litellm_spend.lock_timeout`.
    pub lock_timeout: Duration,
}

/// What a worker remembers from one step to the next.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// When the worker began.
    begun: Duration,
    /// When the worker last folded something. A visit that finds nothing does not linger.
    folded_at: Option<Duration>,
    /// Since when another session has held the extension's own tables.
    busy_since: Option<Duration>,
    /// Whether the last look found neither rows nor a prepared transaction.
    found_nothing: bool,
}

impl State {
    /// The state of a worker that begins now.
    pub fn new(now: Duration) -> Self {
        State { begun: now, folded_at: None, busy_since: None, found_nothing: false }
    }

    /// Decides what to do after a step. `gives_way` tells whether another database waits for this process; if so, the
    /// worker leaves. It is called only if the answer matters.
    pub fn after(&mut self, step: Step, now: Duration, settings: &Settings, gives_way: impl FnOnce() -> bool) -> Next {
        match step {
            Step::NotInstalled => Next::Forget,
            Step::Armed | Step::Noted => Next::LookAgain,
            Step::Busy { is_failing } => {
                let since = *self.busy_since.get_or_insert(now);
                if is_failing || now.saturating_sub(since) >= settings.lock_timeout {
                    Next::NameHolders
                } else {
                    busy(gives_way)
                }
            }
            Step::StillBusy => busy(gives_way),
            Step::Folded { more, took } => {
                self.has_folded(now);
                let is_turn_over = !more || now.saturating_sub(self.begun) >= TURN;
                if is_turn_over && gives_way() {
                    return if more { leave(Some(Duration::ZERO)) } else { Next::LeaveAfterFold };
                }
                // A reload and the end of the postmaster must not wait until a long backlog is folded. The commits that
                // came during the last fold have collected already.
                if more {
                    Next::Wait(Duration::ZERO)
                } else {
                    Next::Collect(settings.fold_interval.saturating_sub(took))
                }
            }
            Step::Retried => {
                self.has_folded(now);
                Next::Wait(Duration::ZERO)
            }
            Step::Idle { has_prepared, truncate_in, retry_in } => {
                self.after_idle(has_prepared, truncate_in, retry_in, now, settings, gives_way)
            }
            // A worker leaves if the next try is far away, so that nobody who drops the database waits for it.
            Step::Failed { retry_in } if retry_in > settings.linger || gives_way() => leave(None),
            Step::Failed { retry_in } => {
                self.folded_at = Some(now.saturating_add(retry_in));
                Next::Collect(retry_in)
            }
        }
    }

    fn has_folded(&mut self, now: Duration) {
        self.busy_since = None;
        self.found_nothing = false;
        self.folded_at = Some(now);
    }

    fn after_idle(
        &mut self,
        has_prepared: bool,
        truncate_in: Option<Duration>,
        retry_in: Option<Duration>,
        now: Duration,
        settings: &Settings,
        gives_way: impl FnOnce() -> bool,
    ) -> Next {
        self.busy_since = None;
        // A prepared transaction may have committed after the look for rows and before the look for prepared
        // transactions. A second look sees its rows.
        if !std::mem::replace(&mut self.found_nothing, !has_prepared) && !has_prepared {
            return Next::LookAgain;
        }
        let after_delay = |wait: Duration| if wait.is_zero() { TRUNCATION_RETRY } else { wait };
        let next_visit = if has_prepared { Some(PREPARED_POLL) } else { truncate_in.map(after_delay) };
        let visit_in = next_visit.into_iter().chain(retry_in).min();
        let lingered = self.folded_at.map_or(settings.linger, |at| now.saturating_sub(at));
        let left = settings.linger.saturating_sub(lingered);
        let has_lingered = !has_prepared && left.is_zero();
        if has_lingered || gives_way() {
            return Next::Leave { visit_in, unless_wanted: has_lingered };
        }
        if has_prepared {
            return Next::Wait(visit_in.unwrap_or(PREPARED_POLL));
        }
        Next::WaitForCommit(left.min(retry_in.unwrap_or(left)))
    }
}

fn busy(gives_way: impl FnOnce() -> bool) -> Next {
    if gives_way() { leave(Some(BUSY_POLL)) } else { Next::Wait(BUSY_POLL) }
}

fn leave(visit_in: Option<Duration>) -> Next {
    Next::Leave { visit_in, unless_wanted: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { linger: seconds(5), fold_interval: millis(100), lock_timeout: seconds(10) };
    const IDLE: Step = Step::Idle { has_prepared: false, truncate_in: None, retry_in: None };

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn after(state: &mut State, step: Step, now: Duration) -> Next {
        state.after(step, now, &SETTINGS, || false)
    }

    fn folded(more: bool) -> Step {
        Step::Folded { more, took: millis(30) }
    }

    #[test]
    fn a_backlog_is_folded_without_a_pause_and_commits_collect_after_its_end() {
        let mut state = State::new(seconds(0));
        assert_eq!(after(&mut state, folded(true), seconds(1)), Next::Wait(Duration::ZERO));
        assert_eq!(after(&mut state, folded(false), seconds(2)), Next::Collect(millis(70)));
        let slow = Step::Folded { more: false, took: seconds(1) };
        assert_eq!(after(&mut state, slow, seconds(3)), Next::Collect(Duration::ZERO));
    }

    #[test]
    fn a_worker_with_a_backlog_gives_way_after_its_turn_and_at_once_without_one() {
        let mut state = State::new(seconds(0));
        let mut wanted = |step, now| state.after(step, now, &SETTINGS, || true);
        assert_eq!(wanted(folded(true), seconds(4)), Next::Wait(Duration::ZERO));
        assert_eq!(wanted(folded(true), TURN), leave(Some(Duration::ZERO)));
        assert_eq!(wanted(folded(false), seconds(1)), Next::LeaveAfterFold);
    }

    #[test]
    fn a_worker_looks_twice_before_it_waits_and_leaves_when_it_has_lingered() {
        let mut state = State::new(seconds(0));
        after(&mut state, folded(false), seconds(1));
        assert_eq!(after(&mut state, IDLE, seconds(1)), Next::LookAgain);
        assert_eq!(after(&mut state, IDLE, seconds(2)), Next::WaitForCommit(seconds(4)));
        let leaves = Next::Leave { visit_in: None, unless_wanted: true };
        assert_eq!(after(&mut state, IDLE, seconds(6)), leaves);
    }

    #[test]
    fn a_visit_that_finds_nothing_does_not_linger() {
        let mut state = State::new(seconds(0));
        assert_eq!(after(&mut state, IDLE, seconds(0)), Next::LookAgain);
        assert_eq!(after(&mut state, IDLE, seconds(0)), Next::Leave { visit_in: None, unless_wanted: true });
    }

    #[test]
    fn an_idle_worker_comes_back_for_what_is_due_first() {
        let mut state = State::new(seconds(0));
        let idle = |truncate_in, retry_in| Step::Idle { has_prepared: false, truncate_in, retry_in };
        after(&mut state, IDLE, seconds(0));
        let mut visit = |step| match after(&mut state, step, seconds(0)) {
            Next::Leave { visit_in, .. } => visit_in,
            next => unreachable!("{next:?}"),
        };
        assert_eq!(visit(idle(Some(seconds(3)), Some(seconds(2)))), Some(seconds(2)));
        assert_eq!(visit(idle(Some(seconds(1)), Some(seconds(2)))), Some(seconds(1)));
        assert_eq!(visit(idle(Some(Duration::ZERO), None)), Some(TRUNCATION_RETRY));
    }

    #[test]
    fn a_worker_stays_while_a_prepared_transaction_holds_rows() {
        let mut state = State::new(seconds(0));
        let prepared = Step::Idle { has_prepared: true, truncate_in: None, retry_in: None };
        for now in [0, 100] {
            assert_eq!(after(&mut state, prepared, seconds(now)), Next::Wait(PREPARED_POLL));
        }
        let next = state.after(prepared, seconds(100), &SETTINGS, || true);
        assert_eq!(next, leave(Some(PREPARED_POLL)));
        assert_eq!(after(&mut state, IDLE, seconds(100)), Next::LookAgain, "it may have committed just now");
    }

    #[test]
    fn tables_that_stay_locked_hold_the_fold_after_the_lock_timeout() {
        let mut state = State::new(seconds(0));
        let busy = Step::Busy { is_failing: false };
        assert_eq!(after(&mut state, busy, seconds(1)), Next::Wait(BUSY_POLL));
        assert_eq!(after(&mut state, busy, seconds(10)), Next::Wait(BUSY_POLL));
        assert_eq!(after(&mut state, busy, seconds(11)), Next::NameHolders);
        assert_eq!(after(&mut state, Step::StillBusy, seconds(11)), Next::Wait(BUSY_POLL));
        after(&mut state, folded(false), seconds(12));
        assert_eq!(after(&mut state, busy, seconds(13)), Next::Wait(BUSY_POLL), "the time begins anew");
        assert_eq!(after(&mut state, Step::Busy { is_failing: true }, seconds(13)), Next::NameHolders);
        assert_eq!(state.after(busy, seconds(13), &SETTINGS, || true), leave(Some(BUSY_POLL)));
    }

    #[test]
    fn a_held_fold_leaves_the_database_when_the_next_try_is_far_away() {
        let mut state = State::new(seconds(0));
        assert_eq!(after(&mut state, Step::Failed { retry_in: seconds(1) }, seconds(0)), Next::Collect(seconds(1)));
        assert_eq!(after(&mut state, Step::Failed { retry_in: seconds(6) }, seconds(1)), leave(None));
        let next = state.after(Step::Failed { retry_in: seconds(1) }, seconds(1), &SETTINGS, || true);
        assert_eq!(next, leave(None));
    }

    #[test]
    fn notes_are_followed_by_a_look_and_a_database_without_the_extension_is_left() {
        let mut state = State::new(seconds(0));
        assert_eq!(after(&mut state, Step::Armed, seconds(0)), Next::LookAgain);
        assert_eq!(after(&mut state, Step::Noted, seconds(0)), Next::LookAgain);
        assert_eq!(after(&mut state, Step::Retried, seconds(0)), Next::Wait(Duration::ZERO));
        assert_eq!(after(&mut state, Step::NotInstalled, seconds(0)), Next::Forget);
    }
}
