//! One database's place on the board: plain data, the same in every process.

use std::borrow::Cow;
use std::time::Duration;

use litellm_spend_core::backoff;
use pgrx::pg_sys;

use crate::postgres::process;

/// Bytes kept of an error message.
const ERROR_BYTES: usize = 400;

#[derive(Clone, Copy)]
pub struct Slot {
    pub database: pg_sys::Oid,
    /// Something has committed since the worker last looked.
    pub wanted: bool,
    /// A prepared transaction may hold staged rows; its COMMIT PREPARED wakes nobody.
    pub prepared: bool,
    /// The launcher has started a worker that has not come to the board yet.
    pub is_starting: bool,
    /// 0 while no worker is connected.
    pub worker_pid: i32,
    /// No worker is to start before this, after a failure.
    pub not_before: pg_sys::TimestampTz,
    /// When the database is to be visited for a truncation or another attempt; 0 for never.
    pub visit_at: pg_sys::TimestampTz,
    /// Since when no process was free for a worker; 0 if there was one.
    pub starved_since: pg_sys::TimestampTz,
    /// Folds, and starts of a worker, that failed one after the other.
    pub failures: u32,
    /// The segment that recorders are to use; `None` while that is not known here.
    pub segment: Option<u8>,
    /// Whether a worker has noted in the database that it folds, since the server's start.
    pub is_fuse_armed: bool,
    /// Whether the error holds the fold; otherwise it only postpones some records.
    pub is_held: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Slot::of(pg_sys::InvalidOid)
    }
}

impl Slot {
    /// A place for `database`, with nothing noted.
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

    /// Whether there may be something to fold.
    pub fn is_wanted(&self) -> bool {
        self.wanted || self.prepared
    }

    /// Whether another database may take the slot, because this one waits for a later visit or another try, which
    /// the launcher makes up for.
    pub fn is_takeable(&self) -> bool {
        (!self.is_wanted() || self.failures > 0) && !self.is_starting && self.worker_pid == 0
    }

    /// Which of the slots that may be taken is missed least: an empty one, one that nobody waits for, and then
    /// the one whose visit is the farthest away.
    pub fn spareness(&self) -> pg_sys::TimestampTz {
        match (self.database, self.visit_at) {
            (pg_sys::InvalidOid, _) => pg_sys::TimestampTz::MAX,
            (_, 0) => pg_sys::TimestampTz::MAX - 1,
            (_, at) => at,
        }
    }

    /// Whether it waits for a process.
    pub fn is_starved(&self) -> bool {
        self.starved_since != 0
    }

    /// When the launcher is to start a worker; `None` if none is needed, or one is there.
    pub fn due_at(&self) -> Option<pg_sys::TimestampTz> {
        if self.database == pg_sys::InvalidOid || self.is_starting || self.worker_pid != 0 {
            None
        } else if self.is_wanted() {
            Some(self.not_before)
        } else {
            (self.visit_at != 0).then_some(self.visit_at.max(self.not_before))
        }
    }

    /// Asks for a visit `wait` from now, unless an earlier one is due.
    pub fn visit_after(&mut self, wait: Duration) {
        let at = process::after(wait);
        self.visit_at = if self.visit_at == 0 { at } else { self.visit_at.min(at) };
    }

    /// Counts a failure, and puts the next worker off, the longer the more there were; returns for how long.
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
    /// The beginning of an error of this moment.
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
