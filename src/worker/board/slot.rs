//! One database's slot on the board. It is plain data and has the same layout in every process.

use std::borrow::Cow;
use std::time::Duration;

use litellm_spend_core::backoff;
use pgrx::pg_sys;

use crate::postgres::process;

/// The most bytes that are kept from an error message.
const ERROR_BYTES: usize = 400;

#[derive(Clone, Copy)]
pub struct Slot {
    pub database: pg_sys::Oid,
    /// A transaction has committed records since the worker last looked.
    pub wanted: bool,
    /// A prepared transaction may hold staged rows. Its COMMIT PREPARED wakes no worker.
    pub prepared: bool,
    /// The launcher has started a worker that is not on the board yet.
    pub is_starting: bool,
    /// 0 while no worker is connected.
    pub worker_pid: i32,
    /// No worker may start before this time, because of a failure.
    pub not_before: pg_sys::TimestampTz,
    /// When a worker must visit the database for a truncation or another try; 0 for never.
    pub visit_at: pg_sys::TimestampTz,
    /// When the wait for a free process began; 0 if no worker waits for one.
    pub starved_since: pg_sys::TimestampTz,
    /// Number of consecutive failures of folds and of worker starts.
    pub failures: u32,
    /// The segment that recorders use; `None` while it is not known here.
    pub segment: Option<u8>,
    /// Whether a worker has noted in the database, since the server's start, that it folds.
    pub is_fuse_armed: bool,
    /// Whether the error holds the fold. If false, the error only postpones some records.
    pub is_held: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Slot::of(pg_sys::InvalidOid)
    }
}

impl Slot {
    /// A slot for `database` with no notes.
    pub const fn of(database: pg_sys::Oid) -> Self {
        Slot {
            database,
            wanted: false,
            prepared: false,
            is_starting: false,
            worker_pid: 0,
            not_before: 0,
            visit_at: 0,
            starved_since: 0,
            failures: 0,
            segment: None,
            is_fuse_armed: false,
            is_held: false,
        }
    }

    /// Whether there may be rows to fold.
    pub fn is_wanted(&self) -> bool {
        self.wanted || self.prepared
    }

    /// Whether another database may take the slot. It may if this database only waits for a later visit or for another
    /// try, because the launcher makes that visit even without the slot.
    pub fn is_takeable(&self) -> bool {
        (!self.is_wanted() || self.failures > 0) && !self.is_starting && self.worker_pid == 0
    }

    /// Ranks the takeable slots; the highest rank is taken first. An empty slot ranks highest, then a slot with no
    /// visit due, then the slot with the latest visit.
    pub fn spareness(&self) -> pg_sys::TimestampTz {
        match (self.database, self.visit_at) {
            (pg_sys::InvalidOid, _) => pg_sys::TimestampTz::MAX,
            (_, 0) => pg_sys::TimestampTz::MAX - 1,
            (_, at) => at,
        }
    }

    /// Whether the database waits for a process.
    pub fn is_starved(&self) -> bool {
        self.starved_since != 0
    }

    /// When the launcher must start a worker; `None` if no worker is needed or one is already there.
    pub fn due_at(&self) -> Option<pg_sys::TimestampTz> {
        if self.database == pg_sys::InvalidOid || self.is_starting || self.worker_pid != 0 {
            None
        } else if self.is_wanted() {
            Some(self.not_before)
        } else {
            (self.visit_at != 0).then_some(self.visit_at.max(self.not_before))
        }
    }

    /// Asks for a visit `wait` from now, unless an earlier visit is due.
    pub fn visit_after(&mut self, wait: Duration) {
        let at = process::after(wait);
        self.visit_at = if self.visit_at == 0 { at } else { self.visit_at.min(at) };
    }

    /// Counts a failure and delays the next worker. The delay grows with the number of failures. Returns the delay.
    pub fn put_off(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::wait_after(self.failures);
        self.not_before = process::after(wait);
        self.visit_after(wait);
        wait
    }
}

/// Why a database's last fold failed, or why records are postponed.
#[derive(Clone, Copy)]
pub struct ErrorText {
    /// 0 if there is none.
    pub at: pg_sys::TimestampTz,
    length: usize,
    text: [u8; ERROR_BYTES],
}

impl Default for ErrorText {
    fn default() -> Self {
        ErrorText { at: 0, length: 0, text: [0; ERROR_BYTES] }
    }
}

impl ErrorText {
    /// Keeps the beginning of an error message, with the current time.
    pub fn of(error: &str) -> Self {
        let mut kept =
            ErrorText { at: process::now(), length: error.floor_char_boundary(ERROR_BYTES), ..Self::default() };
        kept.text[..kept.length].copy_from_slice(&error.as_bytes()[..kept.length]);
        kept
    }

    /// `None` if there is no error.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        (self.at != 0).then(|| String::from_utf8_lossy(&self.text[..self.length]))
    }
}
