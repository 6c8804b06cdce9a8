//! The state of this session and of its transaction.

use std::ffi::CStr;

use pgrx::prelude::*;

/// Whether the server is loading libraries at its start.
pub fn is_preloading() -> bool {
    // SAFETY: this is a plain flag of this process, and Postgres sets it before it loads libraries.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Whether pg_upgrade runs the server.
pub fn is_binary_upgrade() -> bool {
    // SAFETY: this is a plain flag of this process, and Postgres sets it before it loads libraries.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Whether the server is a standby or recovers from a crash.
pub fn is_in_recovery() -> bool {
    // SAFETY: this reads the state of the server.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// The server's identifier. It stays the same for as long as the data directory lives.
pub fn system_identifier() -> u64 {
    // SAFETY: Postgres reads the control file when the server starts.
    unsafe { pg_sys::GetSystemIdentifier() }
}

/// Raises an error on a standby and in a read-only transaction; `function` is the name that the error shows.
pub fn require_writes(function: &CStr) {
    // SAFETY: both functions raise an error or return, and the name outlives the calls.
    unsafe {
        pg_sys::PreventCommandDuringRecovery(function.as_ptr());
        pg_sys::PreventCommandIfReadOnly(function.as_ptr());
    }
}

/// Whether the running statement is part of a transaction block or of a subtransaction.
pub fn is_in_transaction_block() -> bool {
    // SAFETY: this reads the state of the session's transaction.
    unsafe { pg_sys::IsTransactionBlock() || pg_sys::GetCurrentTransactionNestLevel() > 1 }
}

/// Whether the transaction has written something.
pub fn has_written() -> bool {
    // SAFETY: this reads the state of the session's transaction.
    let xid = unsafe { pg_sys::GetTopTransactionIdIfAny() };
    xid != pg_sys::InvalidTransactionId
}

/// Whether the transaction reads under one snapshot, as at REPEATABLE READ or SERIALIZABLE.
pub fn keeps_its_snapshot() -> bool {
    // SAFETY: this reads the state of the session's transaction.
    let isolation = unsafe { pg_sys::XactIsoLevel };
    isolation >= pg_sys::XACT_REPEATABLE_READ as i32
}

/// The transaction's id with its epoch. If the transaction has no id yet, this assigns one, as its first write would.
pub fn transaction_id() -> u64 {
    // SAFETY: this assigns an id to the top-level transaction, as an insert would.
    unsafe { pg_sys::GetTopFullTransactionId() }.value
}

/// The transaction's id with its epoch; 0 if the transaction has no id yet.
pub fn transaction_id_if_any() -> u64 {
    // SAFETY: this reads the id of the running transaction.
    unsafe { pg_sys::GetTopFullTransactionIdIfAny() }.value
}

/// Aborts the transaction that an error at the session's end may have left, as the server does before it drops
/// temporary tables.
pub fn abort_at_exit() {
    // SAFETY: this is called while the process ends, so no code continues in the aborted transaction.
    unsafe { pg_sys::AbortOutOfAnyTransaction() };
}

/// Sets the name of a process of this library in pg_stat_activity.
pub fn report_name(name: &'static CStr) {
    // SAFETY: this reports about the own process, and the text is static.
    unsafe { pg_sys::pgstat_report_appname(name.as_ptr()) };
}

/// Shows in pg_stat_activity what the process does, and whether it is running now.
pub fn report_activity(is_running: bool, what: &'static CStr) {
    let state = if is_running { pg_sys::BackendState::STATE_RUNNING } else { pg_sys::BackendState::STATE_IDLE };
    // SAFETY: this reports about the own process, and the text is static.
    unsafe { pg_sys::pgstat_report_activity(state, what.as_ptr()) };
}
