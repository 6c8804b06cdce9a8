//! One database's place on the board: plain data, the same in every process.

use pgrx::pg_sys;

/// Bytes kept of an error message.
const ERROR_BYTES: usize = 400;

#[derive(Clone, Copy)]
pub struct Slot {
    pub database: pg_sys::Oid,
    /// Something has committed since the worker last looked.
    pub wanted: bool,
    /// A prepared transaction may hold staged rows; its COMMIT PREPARED wakes nobody.
    pub prepared: bool,
    /// 0 while no worker is connected.
    pub worker_pid: i32,
    /// When the launcher may start a worker: while one is starting, or after a failure.
    pub not_before: pg_sys::TimestampTz,
    /// When the database is to be visited for a truncation; 0 for never.
    pub visit_at: pg_sys::TimestampTz,
    /// Since when no process was free for a worker; 0 if there was one.
    pub starved_since: pg_sys::TimestampTz,
    /// Starts in a row for which no process was free.
    pub starts_failed: u32,
    /// The segment that recorders are to use; `None` while that is not known here.
    pub segment: Option<u8>,
    /// Whether a worker has noted in the database that it folds, since the server's start.
    pub is_fuse_armed: bool,
    /// Whether the error holds the fold; otherwise it only postpones some records.
    pub is_held: bool,
    pub error_at: pg_sys::TimestampTz,
    error_length: usize,
    error: [u8; ERROR_BYTES],
}

impl Default for Slot {
    fn default() -> Self {
        Slot {
            database: pg_sys::InvalidOid,
            wanted: false,
            prepared: false,
            worker_pid: 0,
            not_before: 0,
            visit_at: 0,
            starved_since: 0,
            starts_failed: 0,
            segment: None,
            is_fuse_armed: false,
            is_held: false,
            error_at: 0,
            error_length: 0,
            error: [0; ERROR_BYTES],
        }
    }
}

impl Slot {
    /// A place for `database`, with nothing noted.
    pub fn of(database: pg_sys::Oid) -> Self {
        Slot { database, ..Slot::default() }
    }

    /// Whether nothing is lost if another database takes the slot.
    pub fn is_free(&self) -> bool {
        self.database == pg_sys::InvalidOid
            || !self.wanted && !self.prepared && self.worker_pid == 0 && self.visit_at == 0 && self.error_length == 0
    }

    /// Whether it waits for a process.
    pub fn is_starved(&self) -> bool {
        self.starved_since != 0
    }

    /// When a worker is needed; `None` if it is not.
    pub fn due_at(&self) -> Option<pg_sys::TimestampTz> {
        if self.database == pg_sys::InvalidOid {
            None
        } else if self.wanted || self.prepared {
            Some(self.not_before)
        } else {
            (self.visit_at != 0).then_some(self.visit_at.max(self.not_before))
        }
    }

    /// Whether a worker is needed by now.
    pub fn is_due(&self, now: pg_sys::TimestampTz) -> bool {
        self.due_at().is_some_and(|at| at <= now)
    }

    /// Keeps the beginning of an error; `None` clears it.
    pub fn set_error(&mut self, error: Option<&str>, now: pg_sys::TimestampTz) {
        let text = error.unwrap_or_default();
        let length = text.floor_char_boundary(ERROR_BYTES);
        self.error[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.error_length = length;
        self.error_at = if error.is_some() { now } else { 0 };
    }

    /// The error that was kept.
    pub fn error(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.error[..self.error_length]);
        (self.error_length > 0).then(|| text.into_owned())
    }
}
