//! How much one fold counts at a time. Other sessions that need the fold's rows, a LiteLLM proxy for example, wait
//! until it commits. While somebody waits, a worker therefore writes only as much as takes 200 ms. While nobody waits,
//! it writes more and more, because larger folds write fewer rows in all. A fold that fails counts nothing. The next
//! fold reads half as many rows, and so on until a fold reads one row alone and fails.

use std::time::Duration;

/// How long a write may take while somebody waits for it.
const SHORT: Duration = Duration::from_millis(200);
/// The fewest and the most rows of LiteLLM's tables that a worker writes at a time.
const FEWEST: usize = 1_000;
const MOST: usize = 50_000;
/// How many rows a worker writes at first. They take 200 ms if each row moves to another page, which takes 50 us.
const FIRST: usize = 4_000;
/// How many rows of LiteLLM's tables a record changes if no other record changes the same rows.
const ROWS_OF_RECORD: usize = 8;
/// The most bytes of sums, as `Totals::bytes` counts them. Writing them takes about as much memory again.
const BYTES_OF_WORKER: usize = 32 << 20;
const BYTES_OF_CALLER: usize = 128 << 20;
/// How many times in a row a fold gives way to sessions that lock its rows one after the other.
const MOST_BUSY: usize = 5;

/// Who folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoldedBy {
    /// A worker. It commits after each write, so that others wait as briefly as possible.
    Worker,
    /// The caller of `fold()`. The caller decides when to commit, and no fold can change that. A row that the caller's
    /// transaction writes twice is stored beside its own first version.
    Caller,
}

/// The bounds that come from settings.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most staged rows in memory at a time: `litellm_spend.batch_rows`.
    pub batch_rows: usize,
    /// The most staged rows of one fold: `litellm_spend.fold_rows`.
    pub fold_rows: usize,
}

/// How much a fold has counted so far.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// How many staged rows it has read.
    pub staged: usize,
    /// How many rows of LiteLLM's tables these staged rows change.
    pub rows: usize,
    /// How many bytes the sums take.
    pub bytes: usize,
}

/// How long a fold waits for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockWait {
    /// As long as `litellm_spend.lock_timeout` says.
    Usual,
    /// Briefly, because the fold only looks for the record that needs a lock which another session holds.
    Short,
    /// Longer, because other sessions lock its rows again and again.
    Long,
}

/// The pace of a process. Each fold changes it for the next one.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The most rows of LiteLLM's tables that a worker writes at a time.
    write_rows: usize,
    /// The most staged rows that the next fold may read.
    limit: usize,
    /// Whether the limit is small because of a lock that no row of the last fold explains.
    seeks_lock: bool,
    /// How many folds in a row have met rows that other sessions lock again and again.
    busy: usize,
}

impl Pace {
    /// The pace of a process that has not folded yet.
    pub const fn new() -> Self {
        Pace { write_rows: FIRST, limit: usize::MAX, seeks_lock: false, busy: 0 }
    }

    /// The most staged rows that the next fold may read.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many staged rows to read next if `rows` rows are already waiting to be written. The batch is not much larger
    /// than the room that is left, and not so small that reading takes most of the time.
    pub fn next_batch(&self, by: FoldedBy, bounds: Bounds, rows: usize) -> usize {
        match by {
            FoldedBy::Worker => {
                let room = self.write_rows.saturating_sub(rows) / ROWS_OF_RECORD;
                bounds.batch_rows.min(room.max(self.write_rows / (4 * ROWS_OF_RECORD)))
            }
            FoldedBy::Caller => bounds.batch_rows,
        }
    }

    /// Whether a fold has counted enough and must now write it.
    pub fn is_full(&self, by: FoldedBy, bounds: Bounds, counted: Counted) -> bool {
        let (rows, bytes) = match by {
            FoldedBy::Worker => (self.write_rows, BYTES_OF_WORKER),
            FoldedBy::Caller => (MOST, BYTES_OF_CALLER),
        };
        counted.staged >= bounds.fold_rows || counted.rows >= rows || counted.bytes >= bytes
    }

    /// Whether the duration of a write tells how much to write next. If so, `after_write` must know whether somebody
    /// waits.
    pub fn learns_from(&self, by: FoldedBy, rows: usize, took: Duration) -> bool {
        by == FoldedBy::Worker && (took > SHORT || rows >= self.write_rows / 2)
    }

    /// Learns from a write of `rows` rows that took `took`. While somebody waits, the worker writes at most a little
    /// more next time, because the same rows may take much longer then. If the write took too long, it writes less
    /// at once.
    pub fn after_write(&mut self, rows: usize, took: Duration, somebody_waits: bool) {
        let bound = self.write_rows;
        let next = if somebody_waits {
            let of_short = rows as f64 * SHORT.as_secs_f64() / took.as_secs_f64();
            (of_short as usize).min(bound + bound / 4)
        } else if rows < bound / 2 {
            bound
        } else {
            bound * 2
        };
        self.write_rows = next.clamp(FEWEST, MOST);
    }

    /// How long the next fold waits for each lock.
    pub fn lock_wait(&self) -> LockWait {
        if self.seeks_lock {
            LockWait::Short
        } else if self.busy > 0 {
            LockWait::Long
        } else {
            LockWait::Usual
        }
    }

    /// Notes that a fold has succeeded. The next one reads twice as many rows.
    pub fn after_fold(&mut self, bounds: Bounds) {
        self.seeks_lock &= self.limit < bounds.batch_rows;
        self.limit = self.limit.saturating_mul(2);
        self.busy = 0;
    }

    /// Notes that a fold that read `rows_read` rows has failed. The next one reads half as many. Returns false if that
    /// is not possible, because the fold read one row alone, or none.
    pub fn after_failure(&mut self, bounds: Bounds, rows_read: usize, read_one_alone: bool) -> bool {
        if read_one_alone || rows_read == 0 {
            return false;
        }
        self.limit = (rows_read / 2).clamp(1, bounds.batch_rows);
        true
    }

    /// Notes that a fold has failed because of a lock that no row explains. The next one reads half as many rows, and
    /// the next ones wait only briefly for locks. Returns false if the fold read one row alone, or none.
    pub fn after_lock(&mut self, bounds: Bounds, rows_read: usize, read_one_alone: bool) -> bool {
        let narrows = self.after_failure(bounds, rows_read, read_one_alone);
        self.seeks_lock |= narrows;
        narrows
    }

    /// Notes that a fold has met rows that other sessions lock again and again. Returns whether the next fold may try
    /// the same rows once more.
    pub fn may_give_way_again(&mut self) -> bool {
        let may = self.busy < MOST_BUSY;
        self.busy += usize::from(may);
        may
    }

    /// Notes that the held rows are known, so that no fold needs to look for them.
    pub fn after_held_rows(&mut self) {
        self.seeks_lock = false;
    }

    /// Notes that the rows that other sessions lock again and again count as held from now on.
    pub fn stop_giving_way(&mut self) {
        self.busy = 0;
    }

    /// Makes the next folds wait longer for locks.
    pub fn wait_longer(&mut self) {
        self.busy = self.busy.max(1);
    }

    /// Makes the next fold read one row, and makes it wait only briefly for locks.
    pub fn read_one_by_one(&mut self) {
        self.limit = 1;
        self.seeks_lock = true;
    }

    /// Notes that a row that failed alone is rejected. The next fold reads two rows.
    pub fn after_verdict(&mut self) {
        self.limit = 2;
    }

    /// Ends the search for a bad record or a held lock.
    pub fn widen(&mut self) {
        self.limit = usize::MAX;
        self.seeks_lock = false;
    }
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { batch_rows: 500, fold_rows: 20_000 };

    fn after(rows: usize, millis: u64, somebody_waits: bool) -> Pace {
        let mut pace = Pace::new();
        pace.after_write(rows, Duration::from_millis(millis), somebody_waits);
        pace
    }

    #[test]
    fn a_worker_writes_more_while_nobody_waits_and_less_at_once_when_somebody_does() {
        assert_eq!(after(FIRST, 50, false).write_rows, 2 * FIRST);
        assert_eq!(after(FIRST / 4, 300, false).write_rows, FIRST, "a fold that was not full tells nothing");
        assert_eq!(after(FIRST, 400, true).write_rows, FIRST / 2);
        assert_eq!(after(FIRST, 1, true).write_rows, FIRST + FIRST / 4, "up a little at a time");
        assert_eq!(after(FIRST, 60_000, true).write_rows, FEWEST);
        let mut pace = Pace::new();
        (0..10).for_each(|_| pace.after_write(MOST, SHORT, false));
        assert_eq!(pace.write_rows, MOST);
    }

    #[test]
    fn a_short_write_of_few_rows_tells_nothing() {
        let pace = Pace::new();
        assert!(!pace.learns_from(FoldedBy::Worker, FIRST / 4, SHORT));
        assert!(pace.learns_from(FoldedBy::Worker, FIRST / 4, SHORT * 2));
        assert!(pace.learns_from(FoldedBy::Worker, FIRST / 2, SHORT / 2));
        assert!(!pace.learns_from(FoldedBy::Caller, MOST, SHORT * 2));
    }

    #[test]
    fn a_batch_is_as_large_as_the_room_that_is_left() {
        let pace = Pace::new();
        let next = |by, rows| pace.next_batch(by, BOUNDS, rows);
        assert_eq!(next(FoldedBy::Worker, 0), FIRST / ROWS_OF_RECORD);
        assert_eq!(next(FoldedBy::Worker, FIRST - 800), FIRST / (4 * ROWS_OF_RECORD), "never very few");
        assert_eq!(next(FoldedBy::Caller, FIRST), BOUNDS.batch_rows);
    }

    #[test]
    fn a_fold_is_full_by_staged_rows_by_rows_or_by_bytes() {
        let is_full = |by, staged, rows, bytes| Pace::new().is_full(by, BOUNDS, Counted { staged, rows, bytes });
        assert!(!is_full(FoldedBy::Worker, 1, FIRST - 1, 1));
        assert!(is_full(FoldedBy::Worker, BOUNDS.fold_rows, 1, 1));
        assert!(is_full(FoldedBy::Worker, 1, FIRST, 1));
        assert!(is_full(FoldedBy::Worker, 1, 1, BYTES_OF_WORKER));
        assert!(!is_full(FoldedBy::Caller, 1, FIRST, BYTES_OF_WORKER));
        assert!(is_full(FoldedBy::Caller, 1, MOST, 1));
        assert!(is_full(FoldedBy::Caller, 1, 1, BYTES_OF_CALLER));
    }

    #[test]
    fn failures_halve_what_is_read_down_to_one_row_and_successes_double_it() {
        let mut pace = Pace::new();
        assert!(pace.after_failure(BOUNDS, 4_000, false));
        assert_eq!(pace.limit(), BOUNDS.batch_rows);
        for expected in [250, 125, 62, 31, 15, 7, 3, 1] {
            assert!(pace.after_failure(BOUNDS, pace.limit(), false));
            assert_eq!(pace.limit(), expected);
        }
        assert!(!pace.after_failure(BOUNDS, 1, true));
        assert!(!pace.after_failure(BOUNDS, 0, false));
        pace.after_verdict();
        pace.after_fold(BOUNDS);
        assert_eq!(pace.limit(), 4);
    }

    #[test]
    fn a_fold_that_seeks_a_lock_waits_briefly_until_it_reads_whole_batches_again() {
        let mut pace = Pace::new();
        assert_eq!(pace.lock_wait(), LockWait::Usual);
        assert!(pace.after_lock(BOUNDS, 400, false));
        assert_eq!((pace.lock_wait(), pace.limit()), (LockWait::Short, 200));
        pace.after_fold(BOUNDS);
        assert_eq!((pace.lock_wait(), pace.limit()), (LockWait::Short, 400));
        pace.after_fold(BOUNDS);
        pace.after_fold(BOUNDS);
        assert_eq!((pace.lock_wait(), pace.limit()), (LockWait::Usual, 1_600));
        pace.read_one_by_one();
        assert_eq!((pace.lock_wait(), pace.limit()), (LockWait::Short, 1));
        pace.after_held_rows();
        assert_eq!((pace.lock_wait(), pace.limit()), (LockWait::Usual, 1));
        pace.widen();
        assert_eq!(pace.limit(), usize::MAX);
    }

    #[test]
    fn a_fold_gives_way_a_few_times_and_waits_longer_meanwhile() {
        let mut pace = Pace::new();
        for _ in 0..MOST_BUSY {
            assert!(pace.may_give_way_again());
            assert_eq!(pace.lock_wait(), LockWait::Long);
        }
        assert!(!pace.may_give_way_again());
        pace.stop_giving_way();
        assert_eq!(pace.lock_wait(), LockWait::Usual);
        pace.wait_longer();
        assert_eq!(pace.lock_wait(), LockWait::Long);
        pace.after_fold(BOUNDS);
        assert_eq!(pace.lock_wait(), LockWait::Usual);
    }
}
